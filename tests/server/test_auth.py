"""Who may come in, before anything else is looked at."""

import aiohttp
import pytest
from http_rig import HELLO, running_server, serving_config

from tokentape.core.errors import Forbidden, TokentapeError, Unauthorized
from tokentape.server.auth import Gate, is_loopback

PUBLIC = ["/", "/healthz", "/readyz"]


def gate(**settings) -> Gate:
    return Gate(serving_config(**settings))


def scope(kind="http", method="POST", **headers: str) -> dict:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": kind, "method": method, "headers": raw}


def outcome(gate: Gate, scope: dict) -> type[TokentapeError] | None:
    try:
        gate.check(scope)
    except TokentapeError as error:
        return type(error)
    return None


async def test_with_keys_everything_under_v1_needs_one():
    async with running_server(auth__api_keys=["sk-one", "sk-two"]) as rig:
        for route in rig.app.routes:
            path = getattr(route, "path", "")
            if not path.startswith("/v1") or not getattr(route, "methods", None):
                continue
            for method in route.methods - {"HEAD"}:
                reply = await rig.ask(method, path.replace("{name:path}", "x").replace("{id}", "x"))
                told = reply.json.get("error", reply.json)  # other people's protocols have their own shape
                assert (reply.status, told["code"]) == (401, "unauthorized"), path
                assert reply.headers["www-authenticate"] == "Bearer"
        for path in PUBLIC:
            assert (await rig.ask("GET", path)).status == 200
        for key in ("sk-one", "sk-two"):
            assert (await rig.ask("GET", "/v1/runs", Authorization=f"Bearer {key}")).status == 200
        assert (await rig.ask("GET", "/v1/runs", Authorization="bearer   sk-two ")).status == 200


async def test_a_refused_start_starts_nothing():
    async with running_server(auth__api_keys=["sk-one"]) as rig:
        assert (await rig.ask("POST", "/v1/runs", HELLO)).status == 401
        assert rig.services.runs.live() == 0


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", "Bearer sk-three", "Basic sk-one", "sk-one", "Bearer sk-one sk-two", "Bearer caf\xe9"],
)
def test_what_is_no_key_of_this_server(given):
    assert outcome(gate(auth__api_keys=["sk-one"]), scope(authorization=given)) is Unauthorized


def test_a_refusal_does_not_repeat_the_key():
    with pytest.raises(Unauthorized) as caught:
        gate(auth__api_keys=["sk-one"]).check(scope(authorization="Bearer sk-planted"))
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "is_open"),
    [
        ("127.0.0.1:8000", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("tape.localhost:1", True),
        ("[::1]:8000", True),
        ("tape.example:8000", True),
        ("TAPE.example", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("0.0.0.0", False),
        ("", False),
        ("[::1", False),
        ("[evil", False),
    ],
)
def test_an_open_server_answers_to_its_own_names(host, is_open):
    """DNS rebinding: a hostile name may point at this machine."""
    own = gate(hosts=["tape.example"])
    assert outcome(own, scope(method="GET", host=host)) is (None if is_open else Forbidden)
    assert outcome(own, scope("websocket", host=host)) is (None if is_open else Forbidden)


def test_no_host_or_two_are_nobodys():
    assert outcome(gate(), scope(method="GET")) is Forbidden
    twice = scope(method="GET", host="localhost")
    twice["headers"].append((b"host", b"evil.example"))
    assert outcome(gate(), twice) is Forbidden


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:8000", True),
        ("https://localhost:8000", True),
        ("https://app.example", True),
        ("http://localhost:5173", False),
        ("http://localhost", False),
        ("https://evil.example", False),
        ("https://app.example.evil", False),
        ("https://app.example:8443", False),
        ("null", False),
        ("", False),
        ("http://[", False),
        ("localhost:8000", False),
    ],
)
def test_pages_of_other_origins_change_nothing(origin, allowed):
    """Faults, row 28, and requests that a browser sends without asking."""
    own = gate(cors__origins=["https://app.example"])
    expected = None if allowed else Forbidden
    assert outcome(own, scope(host="localhost:8000", origin=origin)) is expected
    assert outcome(own, scope(method="DELETE", host="localhost:8000", origin=origin)) is expected
    assert outcome(own, scope("websocket", host="localhost:8000", origin=origin)) is expected
    # What changes nothing cannot be read by a foreign page anyway.
    assert outcome(own, scope(method="GET", host="localhost:8000", origin=origin)) is None


def test_default_ports_are_the_same_place():
    assert outcome(gate(), scope(host="localhost", origin="http://localhost:80")) is None
    assert outcome(gate(), scope(host="localhost:443", origin="https://localhost")) is None


def test_with_a_key_the_origin_matters_to_websockets_only():
    keyed = gate(auth__api_keys=["sk-one"])
    known = {"authorization": "Bearer sk-one", "host": "tape.example", "origin": "https://evil.example"}
    assert outcome(keyed, scope(**known)) is None
    assert outcome(keyed, scope("websocket", **known)) is Forbidden
    anywhere = gate(auth__api_keys=["sk-one"], cors__origins=["*"])
    assert outcome(anywhere, scope("websocket", **known)) is None


def test_who_delegates_takes_any_host_but_not_any_origin():
    delegated = gate(auth__delegated=True)
    assert outcome(delegated, scope(host="tape.example")) is None
    assert outcome(delegated, scope(host="tape.example", origin="https://tape.example")) is None
    assert outcome(delegated, scope(host="tape.example", origin="https://evil.example")) is Forbidden


def test_loopback():
    assert is_loopback("::1")
    assert not is_loopback("::")
    assert not is_loopback("192.168.0.1")


async def test_a_foreign_page_gets_no_websocket():
    """403 before the upgrade."""
    async with running_server() as rig:
        for origin in ("https://evil.example", "null"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await rig.session.ws_connect(rig.url + "/v1/ws", headers={"Origin": origin})
            assert caught.value.status == 403
        async with rig.session.ws_connect(rig.url + "/v1/ws", headers={"Origin": rig.url}) as socket:
            assert not socket.closed


async def test_pages_of_allowed_origins_may_read_and_send():
    async with running_server(cors__origins=["https://app.example"]) as rig:
        preflight = await rig.ask(
            "OPTIONS",
            "/v1/runs",
            Origin="https://app.example",
            Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="authorization,content-type,idempotency-key",
        )
        assert preflight.status == 200
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        started = await rig.ask("POST", "/v1/runs", HELLO, Origin="https://app.example")
        assert started.status == 201
        assert started.headers["access-control-allow-origin"] == "https://app.example"
        for name in ("location", "tokentape-run", "tokentape-cursor"):
            assert name in started.headers["access-control-expose-headers"].lower()
        run = started.json["id"]
        async with rig.stream(f"/v1/runs/{run}/events", Origin="https://app.example") as events:
            assert events.headers["access-control-allow-origin"] == "https://app.example"
        foreign = await rig.ask("GET", "/v1/runs", Origin="https://evil.example")
        assert "access-control-allow-origin" not in foreign.headers


async def test_an_error_can_be_read_across_origins_too():
    async with running_server(cors__origins=["https://app.example"], auth__api_keys=["k"]) as rig:
        reply = await rig.ask("GET", "/v1/runs", Origin="https://app.example")
        assert reply.status == 401
        assert reply.headers["access-control-allow-origin"] == "https://app.example"
