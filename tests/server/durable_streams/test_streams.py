"""What the suite does not ask of streams that are made here: what crashes, forks, limits and strangers do to them."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from http_rig import running_server
from redis_server import RedisServer

from tokentape.server.durable_streams import creation
from tokentape.stores.base import Append, Retention, StreamConfig
from tokentape.stores.redis import RedisStore

TEXT = {"Content_Type": "text/plain"}
JSON = {"Content_Type": "application/json"}
ZERO = f"{0:016d}_{'0' * 16}"


async def text_of(rig, name: str) -> str:
    reply = await rig.ask("GET", f"/v1/stream/{name}")
    assert reply.status == 200, reply
    return reply.body.decode()


def unfinished(**attributes) -> StreamConfig:
    """As a stream is left behind when its maker dies before it has its content."""
    retention = Retention(max_bytes=67_108_864)
    return StreamConfig(
        content_type="text/plain", retention=retention, attributes={"kind": "durable", "begins": True, **attributes}
    )


async def test_a_stream_is_there_with_all_of_its_first_content_or_not_at_all():
    async with running_server() as rig:
        await rig.services.store.create("half", unfinished())
        for method in ("GET", "HEAD", "DELETE"):
            assert (await rig.ask(method, "/v1/stream/half")).status == 404, method
        assert (await rig.ask("POST", "/v1/stream/half", b"x", **TEXT)).status == 404
        assert (await rig.ask("PUT", "/v1/stream/half", b"whole", **TEXT)).status == 201
        assert await text_of(rig, "half") == "whole"
        assert (await rig.ask("PUT", "/v1/stream/half", b"whole", **TEXT)).status == 200
        assert await text_of(rig, "half") == "whole"


async def test_what_nobody_will_finish_is_not_in_the_way_for_ever(monkeypatch):
    async with running_server() as rig:
        await rig.services.store.create("half", unfinished(other=1))
        assert (await rig.ask("PUT", "/v1/stream/half", b"x", **TEXT)).status == 409
        now = time.time() + 61
        monkeypatch.setattr(creation.time, "time", lambda: now)
        assert (await rig.ask("PUT", "/v1/stream/half", b"x", **TEXT)).status == 201


async def test_of_many_who_make_a_stream_at_once_one_does():
    async with running_server() as rig:
        replies = await asyncio.gather(*[rig.ask("PUT", "/v1/stream/a", b"content", **TEXT) for _ in range(10)])
        assert sorted(reply.status for reply in replies) == [200] * 9 + [201]
        assert await text_of(rig, "a") == "content"


async def test_a_fork_is_whole_whatever_becomes_of_its_source():
    async with running_server() as rig:
        store = rig.services.store
        retention = Retention(max_bytes=100_000)
        await store.create(
            "room", StreamConfig(retention=retention, content_type="text/plain", attributes={"kind": "durable"})
        )
        pieces = [f"{n:05d}".encode() * 1000 for n in range(40)]
        for piece in pieces:
            await store.append([Append(stream="room", records=[piece])])
        first = (await store.info("room")).first
        assert first > 1, "nothing was trimmed"
        kept = b"".join(pieces[first - 1 :]).decode()
        made = await rig.ask("PUT", "/v1/stream/branch", Stream_Forked_From="/v1/stream/room", **TEXT)
        assert made.status == 201, made
        # Offsets are those of the source, also where its beginning was trimmed.
        assert made.headers["stream-next-offset"].startswith(f"{40:016d}_")
        source = (await rig.ask("HEAD", "/v1/stream/room")).headers["stream-next-offset"]
        await rig.ask("POST", "/v1/stream/branch", b"mine", **TEXT)
        assert (await rig.ask("GET", f"/v1/stream/branch?offset={source}")).body == b"mine"
        await rig.ask("DELETE", "/v1/streams/room")
        assert await text_of(rig, "branch") == kept + "mine"
        # Deleted by another route, the name is free at once; the fork does not mind.
        assert (await rig.ask("PUT", "/v1/stream/room", b"new", **TEXT)).status == 201
        assert (await rig.ask("GET", f"/v1/stream/branch?offset={source}")).body == b"mine"
        assert (await rig.ask("GET", f"/v1/stream/room?offset={source}")).status == 410


async def test_a_long_source_is_copied_in_pages_once(monkeypatch):
    async with running_server() as rig:
        await rig.ask("PUT", "/v1/stream/long", **TEXT)
        pieces = [b"%06d" % n * 5000 for n in range(60)]
        for piece in pieces:
            assert (await rig.ask("POST", "/v1/stream/long", piece, **TEXT)).status == 204
        fork = {"Stream_Forked_From": "/v1/stream/long", **TEXT}
        replies = await asyncio.gather(*[rig.ask("PUT", "/v1/stream/branch", b"end", **fork) for _ in range(4)])
        assert sorted(reply.status for reply in replies) == [200, 200, 200, 201]
        found, offset = b"", "-1"
        while True:
            reply = await rig.ask("GET", f"/v1/stream/branch?offset={offset}")
            found, offset = found + reply.body, reply.headers["stream-next-offset"]
            if "stream-up-to-date" in reply.headers:
                break
        assert found == b"".join(pieces) + b"end"


@pytest.mark.parametrize("how", ["delete", "expire"])
async def test_a_deleted_name_is_free_once_its_last_fork_is_gone(how):
    async with running_server() as rig:
        await rig.ask("PUT", "/v1/stream/a", b"x", **TEXT)
        for name in ("b", "c"):
            ttl = {"Stream_TTL": "0"} if (how, name) == ("expire", "c") else {}
            await rig.ask("PUT", f"/v1/stream/{name}", Stream_Forked_From="/v1/stream/a", **TEXT, **ttl)
        await rig.ask("DELETE", "/v1/stream/a")
        assert (await rig.ask("GET", "/v1/stream/a")).status == 410
        assert (await rig.ask("DELETE", "/v1/stream/b")).status == 204
        if how == "delete":
            assert (await rig.ask("GET", "/v1/stream/a")).status == 410
            await rig.ask("DELETE", "/v1/stream/c")
        assert (await rig.ask("GET", "/v1/stream/a")).status == 404
        assert (await rig.ask("PUT", "/v1/stream/a", b"y", **TEXT)).status == 201
        assert [stream.name for stream in await rig.services.store.list("$forks/")] == []


async def test_forks_and_deletions_are_known_to_all_instances(tmp_path):
    with RedisServer(tmp_path) as redis:
        async with AsyncExitStack() as stack:
            one, two = [await stack.enter_async_context(running_server(store=RedisStore(redis.url))) for _ in range(2)]
            await one.ask("PUT", "/v1/stream/a", b"hello", **TEXT)
            fork = {"Stream_Forked_From": "/v1/stream/a", "Stream_Fork_Offset": ZERO, "Stream_Fork_Sub_Offset": "4"}
            replies = await asyncio.gather(*[rig.ask("PUT", "/v1/stream/b", **fork, **TEXT) for rig in (one, two) * 3])
            assert sorted(reply.status for reply in replies) == [200] * 5 + [201]
            async with two.stream("/v1/stream/b?offset=-1&live=sse") as events:
                assert (await events.next()).data == "hell"
                await events.next()
                await one.ask("POST", "/v1/stream/b", b"fire", **TEXT)
                assert (await events.next()).data == "fire"
            assert (await two.ask("DELETE", "/v1/stream/a")).status == 204
            assert [(await rig.ask("HEAD", "/v1/stream/a")).status for rig in (one, two)] == [410, 410]
            assert await text_of(two, "b") == "hellfire"
            await one.ask("DELETE", "/v1/stream/b")
            assert [(await rig.ask("HEAD", "/v1/stream/a")).status for rig in (two, one)] == [404, 404]


async def test_producers_of_a_new_epoch_begin_at_0_and_others_may_be_early():
    async with running_server() as rig:
        await rig.ask("PUT", "/v1/stream/a", **TEXT)

        async def send(epoch: int, seq: int):
            producer = {"Producer_Id": "p", "Producer_Epoch": str(epoch), "Producer_Seq": str(seq)}
            return await rig.ask("POST", "/v1/stream/a", b"x", **producer, **TEXT)

        # Requests overtake each other: whoever is early tries again.
        early = await send(0, 1)
        assert (early.status, early.headers["producer-expected-seq"]) == (409, "0")
        assert [(await send(0, seq)).status for seq in (0, 1, 1)] == [200, 200, 204]
        assert (await send(1, 1)).status == 400
        reply = await rig.ask(
            "POST", "/v1/stream/a", b"x", Producer_Id="$fork", Producer_Epoch="0", Producer_Seq="0", **TEXT
        )
        assert reply.status == 400


async def test_limits():
    async with running_server(limits__max_body=50_000, limits__watchers_per_stream=1) as rig:
        await rig.ask("PUT", "/v1/stream/a", **JSON)
        too_large = await rig.ask("POST", "/v1/stream/a", b'"' + b"x" * 60_000 + b'"', **JSON)
        assert (too_large.status, too_large.json["code"]) == (413, "too_large")
        many = await rig.ask("POST", "/v1/stream/a", b"[" + b"1," * 20_001 + b"1]", **JSON)
        assert (many.status, many.json["code"]) == (413, "too_large")
        deep = await rig.ask("POST", "/v1/stream/a", b"[" * 20_000 + b"]" * 20_000, **JSON)
        assert deep.status == 400
        async with rig.stream("/v1/stream/a?offset=now&live=sse") as events:
            await events.next()
            assert (await rig.ask("GET", "/v1/stream/a?offset=now&live=long-poll")).status == 429


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        (b'[1, "a\\nb", {"x": [1,\n2]}, 12345678901234567890123]', b'[1,"a\\nb",{"x":[1,2]},12345678901234567890123]'),
        (b"[[1],[]]", b"[[1],[]]"),
        (b" null ", b"[null]"),
        (b'"\xc3\xa9"', b'["\xc3\xa9"]'),
        (b'"\xff"', None),
        (b"[1,]", None),
        (b"NaN", None),
        (b"{} {}", None),
        (b'{"a":1,"a":2}', b'[{"a":1,"a":2}]'),
    ],
)
async def test_messages_are_kept_as_they_came(body, stored):
    async with running_server() as rig:
        await rig.ask("PUT", "/v1/stream/a", **JSON)
        reply = await rig.ask("POST", "/v1/stream/a", body, **JSON)
        assert reply.status == (400 if stored is None else 204), reply
        assert (await rig.ask("GET", "/v1/stream/a")).body == (stored or b"[]")


async def test_strangers_are_kept_out_and_browsers_run_nothing():
    key = {"Authorization": "Bearer secret-key-0123456789"}
    async with running_server(auth__api_keys=["secret-key-0123456789"]) as rig:
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
            assert (await rig.ask(method, "/v1/stream/a", b"x", **TEXT)).status == 401, method
        html = {"Content_Type": "text/html"}
        assert (await rig.ask("PUT", "/v1/stream/a", b"<script>", **html, **key)).status == 201
        reply = await rig.ask("GET", "/v1/stream/a", **key)
        assert reply.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert reply.headers["x-content-type-options"] == "nosniff"
    async with running_server() as rig:
        foreign = {"Origin": "https://evil.example"}
        for method in ("PUT", "POST", "DELETE"):
            assert (await rig.ask(method, "/v1/stream/a", b"x", **TEXT, **foreign)).status == 403, method
        preflight = {"Access_Control_Request_Method": "PUT", "Access_Control_Request_Headers": "stream-ttl"}
        assert (
            "access-control-allow-origin"
            not in (await rig.ask("OPTIONS", "/v1/stream/a", **preflight, **foreign)).headers
        )
    async with running_server(cors__origins=["https://good.example"]) as rig:
        reply = await rig.ask("OPTIONS", "/v1/stream/a", **preflight, Origin="https://good.example")
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, "https://good.example")
        assert (await rig.ask("OPTIONS", "/v1/stream/a", **preflight, **foreign)).status == 400


async def test_headers_that_are_not_what_they_should_be_are_refused():
    async with running_server() as rig:
        for headers in (
            {"Stream_TTL": "99999999999999"},
            {"Stream_TTL": "9" * 40},
            {"Stream_Expires_At": "2030-13-01T00:00:00Z"},
            {"Stream_Expires_At": "2030-01-01T00:00:00"},
            {"Content_Type": "text"},
            {"Content_Type": "text/plain; a"},
            {"Stream_Forked_From": "/v1/other/a"},
            {"Stream_Forked_From": "/v1/stream/%2e%2e/a"},
        ):
            reply = await rig.ask("PUT", "/v1/stream/a", **{**TEXT, **headers})
            assert reply.status == 400, (headers, reply)
        await rig.ask("PUT", "/v1/stream/a", **TEXT)
        for headers in (
            {"Stream_Seq": "x" * 300},
            {"Producer_Id": "x" * 300, "Producer_Epoch": "0", "Producer_Seq": "0"},
        ):
            assert (await rig.ask("POST", "/v1/stream/a", b"x", **TEXT, **headers)).status == 400
        assert (await rig.ask("GET", "/v1/stream/a?offset=-1&live=other")).status == 400


async def test_under_a_prefix_addresses_have_it():
    async with running_server(mount="/tape") as rig:
        made = await rig.ask("PUT", "/tape/v1/stream/a", b"x", **TEXT)
        assert made.headers["location"] == f"{rig.url}/tape/v1/stream/a"
        fork = await rig.ask("PUT", "/tape/v1/stream/b", Stream_Forked_From="/tape/v1/stream/a", **TEXT)
        assert fork.status == 201
        assert (await rig.ask("GET", "/tape/v1/stream/b")).body == b"x"
