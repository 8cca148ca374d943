"""Who may come in, and in which language; rows 28 and 33 (deflate) of the faults."""

import asyncio
import json

import pytest
from websockets.exceptions import InvalidStatus
from ws_rig import limits, serving

from tokentape.core.frames import CloseCode
from tokentape.core.messages import SUBPROTOCOL
from tokentape.server.config import Auth, Cors, ServerConfig
from tokentape.server.settings import ApiKey
from tokentape.server.websocket import conversation
from tokentape.server.websocket.routes import websocket_routes

KEYS = ServerConfig(auth=Auth(api_keys=(ApiKey("secret"),)), cors=Cors(origins=("https://app.example",)))


@pytest.fixture
async def rig():
    async with serving() as rig:
        yield rig


@pytest.fixture
async def locked():
    async with serving(KEYS) as rig:
        yield rig


def problem_of(refusal: InvalidStatus) -> dict:
    assert refusal.response.headers["Content-Type"] == "application/problem+json"
    return json.loads(refusal.response.body)


# The subprotocol


async def test_the_subprotocol_is_chosen_among_those_offered(rig):
    async with rig.peer(subprotocols=["other.v2", SUBPROTOCOL]) as peer:
        assert peer.ws.subprotocol == SUBPROTOCOL
        assert await peer.ask("ping") == {}


async def test_a_client_that_asks_for_none_is_served(rig):
    async with rig.peer(subprotocols=None) as peer:
        assert peer.ws.subprotocol is None
        assert await peer.ask("ping") == {}


async def test_a_client_of_another_subprotocol_is_refused_before_the_upgrade(rig):
    with pytest.raises(InvalidStatus) as refusal:
        async with rig.peer(subprotocols=["graphql-ws"]):
            pass
    assert refusal.value.response.status_code == 400
    assert "graphql-ws" in problem_of(refusal.value)["detail"]


async def test_where_a_server_cannot_answer_with_http_the_close_code_says_it(rig):
    app = websocket_routes(rig.services)[0].app
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"127.0.0.1")]
    await app({"type": "websocket", "subprotocols": ["graphql-ws"], "headers": headers}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert sent[1]["code"] == CloseCode.PROTOCOL_VERSION


async def test_deflate_is_off_also_for_clients_that_offer_it(rig):
    async with rig.peer(compression="deflate") as peer:
        assert peer.ws.protocol.extensions == []


# Origin and host


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_pages_of_other_origins_are_refused_before_the_upgrade(rig, origin):
    with pytest.raises(InvalidStatus) as refusal:
        async with rig.peer(origin=origin):
            pass
    assert refusal.value.response.status_code == 403
    assert problem_of(refusal.value)["code"] == "forbidden"


async def test_a_page_of_this_server_is_served(rig):
    async with rig.peer(origin=f"http://127.0.0.1:{rig.port}") as peer:
        assert await peer.ask("ping") == {}


async def test_a_key_server_checks_origins_of_pages_that_will_send_their_key(locked):
    with pytest.raises(InvalidStatus) as refusal:
        async with locked.peer(origin="https://evil.example"):
            pass
    assert refusal.value.response.status_code == 403
    async with locked.peer(origin="https://app.example") as peer:
        assert await peer.ask("auth", token="secret") == {}


async def test_any_origin_may_be_allowed():
    config = ServerConfig(auth=Auth(api_keys=(ApiKey("secret"),)), cors=Cors(origins=("*",)))
    async with serving(config) as rig, rig.peer(origin="https://anywhere.example") as peer:
        assert await peer.ask("auth", token="secret") == {}


async def test_a_hostile_name_for_this_machine_is_refused(rig, caplog):
    with pytest.raises(InvalidStatus) as refusal:
        async with rig.peer(additional_headers={"Host": "rebound.example"}):
            pass
    assert refusal.value.response.status_code == 403
    await rig.idle()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == [], "a refusal is no failure"


async def test_a_crowded_server_asks_to_come_later():
    async with serving(limits(connections=1)) as rig, rig.peer() as first:
        with pytest.raises(InvalidStatus) as refusal:
            async with rig.peer():
                pass
        assert refusal.value.response.status_code == 429
        assert problem_of(refusal.value)["retryable"] is True
        assert await first.ask("ping") == {}


# Keys


async def test_a_key_in_the_header_is_enough(locked):
    async with locked.peer(additional_headers={"Authorization": "Bearer secret"}) as peer:
        assert await peer.ask("ping") == {}


async def test_a_wrong_key_in_the_header_is_refused_before_the_upgrade(locked):
    with pytest.raises(InvalidStatus) as refusal:
        async with locked.peer(additional_headers={"Authorization": "Bearer guess"}):
            pass
    assert refusal.value.response.status_code == 401
    assert problem_of(refusal.value)["code"] == "unauthorized"


async def test_a_browser_brings_its_key_in_the_first_message(locked):
    async with locked.peer() as peer:
        assert await peer.ask("auth", token="secret") == {}
        assert (await peer.ask("subscribe", stream="room"))["outcome"] == "live"


async def test_a_wrong_key_in_the_first_message_ends_the_connection(locked):
    async with locked.peer() as peer:
        assert (await peer.refused("auth", token="guess"))["code"] == "unauthorized"
        assert (await peer.closed())[0] == CloseCode.UNAUTHORIZED


@pytest.mark.parametrize("first", ['{"op":"ping","id":1}', '{"op":"subscribe","id":1,"stream":"room"}', "hello"])
async def test_nothing_is_served_before_the_key(locked, first):
    async with locked.peer() as peer:
        await peer.ws.send(first)
        assert (await peer.closed())[0] == CloseCode.UNAUTHORIZED
        assert peer.seen == []


async def test_what_follows_a_wrong_key_in_the_same_write_is_not_served(locked):
    async with locked.peer() as peer:
        await peer.tell("auth", token="guess")
        await peer.tell("publish", stream="room", type="chat:x", data=1)
        assert (await peer.closed())[0] == CloseCode.UNAUTHORIZED
    with pytest.raises(Exception, match="room"):
        await locked.services.store.info("room")


async def test_a_client_that_never_sends_its_key_is_closed(locked, monkeypatch):
    monkeypatch.setattr(conversation, "AUTH_SECONDS", 0.05)
    async with locked.peer() as peer:
        assert (await peer.closed())[0] == CloseCode.UNAUTHORIZED


async def test_another_key_may_be_sent_later_and_a_wrong_one_changes_nothing(locked):
    async with locked.peer() as peer:
        await peer.ask("auth", token="secret")
        assert (await peer.refused("auth", token="guess"))["code"] == "unauthorized"
        assert await peer.ask("auth", token="secret") == {}


async def test_an_open_server_takes_any_key(rig):
    async with rig.peer() as peer:
        assert await peer.ask("auth", token="whatever") == {}


async def test_the_key_is_in_no_log(locked, caplog):
    caplog.set_level("DEBUG", logger="tokentape")
    async with locked.peer() as peer:
        await peer.refused("auth", token="planted-key")
        await peer.closed()
    await asyncio.sleep(0)
    assert "planted-key" not in caplog.text
