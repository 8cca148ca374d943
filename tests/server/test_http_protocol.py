"""HTTP/1.1 and HTTP/1.0 around responses that are written directly: one after the other, and how each ends."""

import asyncio
import json

import pytest
from http_rig import FINISH, HELLO, Rig, data_of, running_server, text_of
from wire import Wire

ROOM = "/v1/channels/room/events"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


# One connection, many requests


async def test_a_connection_is_used_again_and_again():
    """Nothing of a stream stays with its connection."""
    async with running_server() as rig, rig.wire() as wire:
        footprint = await rig.footprint()
        links = []
        for _ in range(100):
            run = await rig.start("a")
            wire.ask(f"/v1/runs/{run}/events")
            events = await wire.stream()
            await events.until("token")
            (watcher,) = rig.services.hub._tails[f"runs/{run}"].attached
            links.append(watcher.outlet.stream._link)
            rig.provider.say("b", FINISH)
            assert await events.rest() == "whole"
            assert text_of(events.events) == "b"
        (link,) = set(links)
        assert len(link._callbacks) == 1  # who counts connections
        assert not link._waiting
        assert link._flow is None
        await footprint.back()
        wire.ask("/healthz")
        assert (await wire.reply()).json == {"status": "ok"}
        await rig.nobody_watches()


@pytest.mark.parametrize("together", [True, False], ids=["at-once", "later"])
async def test_requests_behind_a_stream_wait_for_its_end(together, ours_or_uvicorn):
    async with running_server(server=ours_or_uvicorn) as rig, rig.wire() as wire:
        run = await rig.start("a")
        wire.ask(f"/v1/runs/{run}/events")
        if together:
            wire.write(HEALTH)
        events = await wire.stream()
        await events.until("token")
        if not together:
            wire.write(HEALTH)
        wire.ask(f"/v1/runs/{run}/events")
        wire.ask("/nowhere")
        # They have come when the server has answered this one, on another connection.
        assert (await rig.ask("GET", "/healthz")).status == 200
        rig.provider.say("b", FINISH)
        assert await events.rest() == "whole"
        assert text_of(events.events) == "b"
        assert (await wire.reply()).json == {"status": "ok"}
        again = await wire.stream()
        assert await again.rest() == "whole"
        assert text_of(again.events) == "ab"
        assert (await wire.reply()).status == 404


async def test_half_a_request_behind_a_stream_is_no_hindrance():
    """Neither when its other half comes during the stream, nor when it comes later."""
    async with running_server() as rig, rig.wire() as wire:
        run = await rig.start("a")
        for rest_comes_later in (False, True):
            wire.ask(f"/v1/runs/{run}/events")
            wire.write(HEALTH[:30])
            events = await wire.stream()
            await events.until("token")
            if not rest_comes_later:
                wire.write(HEALTH[30:])
                rig.provider.say("b", FINISH)
            assert await events.rest() == "whole"
            if rest_comes_later:
                wire.write(HEALTH[30:])
            assert (await wire.reply()).json == {"status": "ok"}


async def test_the_connection_ends_after_a_stream_that_asked_for_it(ours_or_uvicorn):
    async with running_server(server=ours_or_uvicorn) as rig, rig.wire() as wire:
        run = await rig.finished("a")
        wire.ask(f"/v1/runs/{run}/events", Connection="close")
        events = await wire.stream()
        assert events.headers["connection"] == "close"
        assert await events.rest() == "whole"
        assert await wire.end() == (b"", "closed")


async def test_a_client_that_goes_takes_the_requests_behind_its_stream_along():
    async with running_server() as rig:
        footprint = await rig.footprint()
        async with rig.wire() as wire:
            wire.ask(ROOM)
            wire.write(HEALTH * 3)
            wire.ask(ROOM)
            events = await wire.stream()
            await events.next()
        # A connection with requests behind is not read on, so that its end shows only as something is written.
        await rig.publish("room", {})
        await rig.publish("room", {})
        await rig.nobody_watches()
        await footprint.back()


async def test_what_is_no_http_behind_a_stream_cuts_it():
    """And its refusal does not become a part of the stream."""
    async with running_server() as rig, rig.wire() as wire:
        wire.ask(ROOM)
        events = await wire.stream()
        await events.next()
        wire.write(b"\x16\x03\x01 is how TLS begins\r\n\r\n")
        assert (await wire.end())[0] == b""
        await rig.nobody_watches()


async def test_a_post_streams_and_the_connection_goes_on(ours_or_uvicorn):
    async with running_server(server=ours_or_uvicorn) as rig, rig.wire() as wire:
        for _ in range(3):
            rig.provider.say("a", FINISH)
            wire.ask("/v1/runs", method="POST", body=HELLO, Accept="text/event-stream")
            events = await wire.stream()
            assert await events.rest() == "whole"
            assert data_of(events.events)[-1]["type"] == "done"


async def test_head_has_no_body_and_the_connection_goes_on(ours_or_uvicorn):
    async with running_server(server=ours_or_uvicorn) as rig, rig.wire() as wire:
        for _ in range(3):
            wire.ask(ROOM, method="HEAD")
            status, headers = await wire.head()
            assert (status, headers["content-type"]) == (200, "text/event-stream")
        wire.ask("/healthz")
        assert (await wire.reply()).status == 200
        assert rig.services.hub.watchers() == 0


# HTTP/1.0, where the end of the connection is the end of the response


async def test_http_1_0_has_no_chunks_and_ends_with_the_connection():
    async with running_server() as rig, rig.wire() as wire:
        run = await rig.start("a")
        wire.ask(f"/v1/runs/{run}/events", version="1.0", Connection="keep-alive")
        events = await wire.stream()
        assert events.headers["connection"] == "close"
        assert "transfer-encoding" not in events.headers
        await events.until("token")
        rig.provider.say("b", FINISH)
        assert await events.rest() == "whole"
        assert text_of(events.events) == "b"
        assert data_of(events.events)[-1]["type"] == "done"


async def test_http_1_0_of_what_says_its_length():
    async with running_server() as rig:
        for method, path, status in [("GET", "/healthz", 200), ("HEAD", ROOM, 200), ("GET", "/nowhere", 404)]:
            async with rig.wire() as wire:
                wire.ask(path, method=method, version="1.0")
                assert (await wire.head())[0] == status
                assert (await wire.end())[1] == "closed"


@pytest.mark.parametrize("fate", ["deleted", "drained", "stalled", "half-closed"])
async def test_http_1_0_that_is_not_whole_is_reset(fate):
    """P4: a regular end of the connection would say that it is whole."""
    async with running_server(limits__write_deadline="300ms", shutdown_grace=0) as rig, rig.wire(rcvbuf=4096) as wire:
        wire.ask(ROOM, version="1.0")
        events = await wire.stream()
        await events.next()
        match fate:
            case "deleted":
                await rig.ask("DELETE", "/v1/streams/room")
            case "drained":
                await rig.end()
            case "stalled":
                events.pause()
                await _fill(rig)
                await rig.nobody_watches()
                events.resume()
            case "half-closed":
                wire.half_close()
        assert await events.rest() == "cut"
        await rig.nobody_watches()


async def test_http_1_0_behind_a_stream():
    """The end of the first is not that of the second."""
    async with running_server() as rig, rig.wire() as wire:
        run = await rig.start("a")
        wire.ask(f"/v1/runs/{run}/events")
        wire.ask("/healthz", version="1.0")
        events = await wire.stream()
        await events.until("token")
        rig.provider.say("b", FINISH)
        assert await events.rest() == "whole"
        assert (await wire.reply()).status == 200
        assert await wire.end() == (b"", "closed")


# Half of a connection


async def test_a_client_that_says_it_asks_no_more_is_gone(ours_or_uvicorn):
    """A closed socket looks no different from one that is closed halfway."""
    async with running_server(server=ours_or_uvicorn) as rig, rig.wire() as wire:
        wire.ask(ROOM)
        events = await wire.stream()
        await events.next()
        wire.half_close()
        assert await events.rest() == "cut"
        await rig.nobody_watches()


# What is too slow to be a request


async def test_silent_connections_and_halves_of_requests_are_closed():
    """Faults, row 6."""
    async with running_server(limits__header_deadline="200ms") as rig:
        answers = {b"": b"", b"\r\n": b"", b"GET": b"HTTP/1.1 408 ", HEALTH[:-2]: b"HTTP/1.1 408 "}
        for begun, answer in answers.items():
            async with rig.wire() as wire:
                wire.write(begun)
                came, ending = await wire.end()
                assert (came[: len(answer)], ending) == (answer, "closed"), begun
                assert bool(came) == bool(answer)


async def test_a_byte_now_and_then_is_not_enough():
    """Slow loris: the deadline is for all of the headers."""
    async with running_server(limits__header_deadline="400ms") as rig, rig.wire() as wire:
        ended = asyncio.create_task(wire.end())
        sent = 0
        while not ended.done():
            wire.write(b"GET /healthz HTTP/1.1\r\nX: "[sent : sent + 1] or b"x")
            sent += 1
            await asyncio.wait([ended], timeout=0.05)
        assert (await ended)[0].startswith(b"HTTP/1.1 408 ") or (await ended)[1] == "reset"


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"\r\n\r\n", HEALTH[:20]])
async def test_a_connection_that_was_used_is_not_kept_open_by_less_than_a_request(begun):
    async with running_server(limits__header_deadline="200ms") as rig, rig.wire() as wire:
        wire.ask("/healthz")
        assert (await wire.reply()).status == 200
        wire.write(begun)
        assert (await wire.end())[1] == "closed"


async def test_the_deadline_of_headers_is_none_for_a_stream():
    """Nor does half a request behind it end it; but it is to be completed soon after."""
    async with running_server(limits__header_deadline="100ms", limits__heartbeat="100ms") as rig, rig.wire() as wire:
        run = await rig.start("a")
        wire.ask(f"/v1/runs/{run}/events")
        wire.write(HEALTH[:20])
        events = await wire.stream()
        await events.comes(b": hb\n\n", times=5)
        rig.provider.say(FINISH)
        assert await events.rest() == "whole"
        assert (await wire.end())[0].startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_does_not_come_ends_the_connection(ours_or_uvicorn):
    """Faults, row 7: what comes after the 408 would be taken for a request."""
    async with running_server(server=ours_or_uvicorn, limits__body_deadline="200ms") as rig, rig.wire() as wire:
        wire.write(b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        answer = await wire.reply()
        assert (answer.status, answer.json["code"]) == (408, "request_timeout")
        wire.write(HEALTH)
        came, _ = await wire.end()
        assert came == b""


async def test_a_body_that_trickles_is_408_too():
    """Faults, row 7: the deadline is for all of it."""
    async with running_server(limits__body_deadline="400ms") as rig, rig.wire() as wire:
        wire.write(b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{")
        answered = asyncio.create_task(wire.reply())
        while not answered.done():
            wire.write(b" ")
            await asyncio.wait([answered], timeout=0.05)
        assert (await answered).status == 408


async def test_a_body_that_was_refused_is_not_waited_for():
    """Its sender has the answer, and keeps the connection open no longer than one that is silent."""
    async with running_server(limits__header_deadline="300ms", limits__max_body=1000) as rig, rig.wire() as wire:
        wire.write(b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{")
        assert (await wire.reply()).status == 413
        ended = asyncio.create_task(wire.end())
        while not ended.done():
            wire.write(b" ")
            await asyncio.wait([ended], timeout=0.05)
        assert (await ended)[0] == b""


# What is no request, or two


def _post(headers: str, body: str) -> bytes:
    return f"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n{body}".encode()


AMBIGUOUS = {
    "length and chunks": _post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    "chunks and length": _post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
    "two lengths": _post("Content-Length: 2\r\nContent-Length: 3", "{}"),
    "a list of lengths": _post("Content-Length: 2, 2", "{}"),
    "a signed length": _post("Content-Length: +2", "{}"),
    "a negative length": _post("Content-Length: -2", "{}"),
    "a length beyond all": _post("Content-Length: 99999999999999999999", "{}"),
    "chunks twice": _post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    "chunks not last": _post("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
    "another coding": _post("Transfer-Encoding: xchunked", "0\r\n\r\n"),
    "a space before the colon": _post("Transfer-Encoding : chunked", "0\r\n\r\n"),
    "a chunk without its end": _post("Transfer-Encoding: chunked", "2\r\n{}XX0\r\n\r\n"),
    "chunks with LF": _post("Transfer-Encoding: chunked", "2\n{}\n0\n\n"),
    "a chunk's size with more": _post("Transfer-Encoding: chunked", "0x2\r\n{}\r\n0\r\n\r\n"),
    "a chunk beyond all": _post("Transfer-Encoding: chunked", "fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
    "a folded header": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c\r\n\r\n",
    "a folded first header": b"GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "lines with LF": b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
    "a header with LF": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b\nX-B: c\r\n\r\n",
    "a header with CR": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b\rX-B: c\r\n\r\n",
    "a header with NUL": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b\0c\r\n\r\n",
    "a header's name with a space": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX A: b\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
async def test_what_could_be_read_two_ways_is_400_and_nothing_after_it_is_read(request_bytes):
    """Faults, row 35."""
    async with running_server() as rig, rig.wire() as wire:
        wire.write(request_bytes + HEALTH)
        came, _ = await wire.end()
        assert came.startswith(b"HTTP/1.1 400 ")
        assert came.count(b"HTTP/1.1 ") == 1
        assert rig.services.runs.live() == 0
        assert (await rig.ask("GET", "/healthz")).status == 200


# Too many


async def test_who_was_one_too_many_need_not_stay_so():
    """A connection is judged as it comes, so the answer to one too many ends it."""
    async with running_server(limits__connections=2) as rig, rig.wire() as one, rig.wire() as two, rig.wire() as third:
        for wire in (one, two):
            wire.ask("/v1/runs")
            assert (await wire.reply()).status == 200
        third.ask("/v1/runs")
        refused = await third.reply()
        assert (refused.status, refused.headers["connection"]) == (429, "close")
        assert await third.end() == (b"", "closed")
        one.ask("/v1/runs", Connection="close")
        await one.end()
        async with rig.wire() as fourth:
            fourth.ask("/v1/runs")
            answer = await fourth.reply()
            assert (answer.status, "connection" in answer.headers) == (200, False)


async def _fill(rig: Rig) -> None:
    for number in range(40):
        await rig.publish("room", {"n": number, "x": "y" * 50_000})


async def test_each_address_has_its_own_count():
    async with running_server(limits__connections_per_address=2) as rig:
        mine = [await Wire.open(rig.port) for _ in range(3)]
        other = await Wire.open(rig.port, address="127.0.0.2")
        for wire in [*mine, other]:
            wire.ask("/v1/runs")
        replies = [await wire.reply() for wire in [*mine, other]]
        assert sorted(reply.status for reply in replies[:3]) == [200, 200, 429]
        assert replies[3].status == 200
        refused = next(reply for reply in replies if reply.status == 429)
        assert json.loads(refused.body)["code"] == "too_many"
        assert int(refused.headers["retry-after"]) >= 1
        for wire in [*mine, other]:
            wire.close()
