"""Watchers of the load client that are cut and go on from where they stood, and those that do not read."""

import asyncio
import json
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from native_rig import Program, chunk, marker, scripted, watching

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Tape:
    """A stream that keeps its events, and gives each request those after the position that it brings.

    `skew` is what a wrong server would do: 1 leaves an event out on resume, -1 sends one again.
    """

    def __init__(self, *, durable: bool = False, skew: int = 0, line_end: str = "\n") -> None:
        self.durable = durable
        self.skew = skew
        self.line_end = line_end
        self.events: list[str] = []
        self.requests: list[str] = []
        self.grown = asyncio.Condition()

    async def publish(self, count: int) -> None:
        async with self.grown:
            self.events += [marker(len(self.events) + n) for n in range(1, count + 1)]
            self.grown.notify_all()

    def encode(self, first: int) -> bytes:
        """The events from `first` (0-based) on."""
        if self.durable:
            control = {"streamNextOffset": f"o_{len(self.events)}", "streamCursor": "7"}
            lines = ["event: data", f"data:{json.dumps(self.events[first:])}", "", "event: control"]
            lines += [f"data:{json.dumps(control, separators=(',', ':'))}", ""]
        else:
            events = enumerate(self.events[first:], first + 1)
            lines = [line for seq, text in events for line in (f"id: e-{seq}", f"data: {text}", "")]
        return "".join(line + self.line_end for line in lines).encode()

    async def serve(self, head: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(head)
        position = re.search(r"[?&]offset=o_(\d+)" if self.durable else r"Last-Event-ID: e-(\d+)", head)
        sent = int(position[1]) + self.skew if position else 0
        writer.write(HEAD)
        while True:
            if sent < len(self.events):
                data, sent = self.encode(sent), len(self.events)
                half = len(data) // 2  # cut anywhere: in a line, in a marker, in an id
                writer.write(chunk(data[:half]))
                await asyncio.sleep(0)
                writer.write(chunk(data[half:]))
            async with self.grown:
                while sent == len(self.events):
                    await self.grown.wait()


@asynccontextmanager
async def cut_after_five(programs: Path, tape: Tape, *options: object) -> AsyncIterator[Program]:
    """Four watchers of five events, cut and resumed, with twenty more since then."""
    await tape.publish(3)
    async with scripted(tape.serve) as port, watching(programs, port, 4, *options) as load:
        await load.ask("connect")
        await tape.publish(2)
        assert (await load.ask("wait 5 10"))["reached"] == 4
        assert await load.ask("cut") == {"cut": 4}
        await tape.publish(20)
        resumed = await load.ask("resume")
        assert (resumed["connected"], resumed["failed"]) == (4, 0)
        assert (await load.ask("wait 25 10"))["reached"] == 4
        yield load


@pytest.mark.parametrize(
    ("options", "tape"),
    [
        (("--resume", "last-event-id"), {}),
        (("--resume", "last-event-id"), {"line_end": "\r\n"}),
        (("--resume", "durable", "--path", "/v1/stream/a?offset=-1&live=sse"), {"durable": True}),
        (("--resume", "durable", "--path", "/v1/stream/a?live=sse"), {"durable": True}),
    ],
    ids=["last-event-id", "CRLF", "offset replaced", "offset added"],
)
async def test_watchers_that_are_cut_go_on_exactly_where_they_stood(
    programs: Path, options: tuple[object, ...], tape: dict[str, Any]
) -> None:
    stream = Tape(**tape)
    async with cut_after_five(programs, stream, *options) as load:
        report = await load.ask("report")
        assert (report["deliveries"], report["gaps"], report["duplicates"]) == (4 * 25, 0, 0)
        assert (report["disconnected"], report["ended"], report["min_seq"]) == (0, 0, 1)
        assert len(stream.requests) == 8
        assert not any("e-5" in request or "o_5" in request for request in stream.requests[:4])
        position = "offset=o_5" if stream.durable else "Last-Event-ID: e-5\r\n"
        assert all(request.count(position) == 1 for request in stream.requests[4:])
        assert all("live=sse" in request for request in stream.requests) == stream.durable
        assert not any("offset=-1" in request for request in stream.requests[4:])


@pytest.mark.parametrize(("skew", "gaps", "duplicates"), [(1, 4, 0), (-1, 0, 4), (-3, 0, 12)])
async def test_what_a_server_leaves_out_or_repeats_on_resume_is_counted(
    programs: Path, skew: int, gaps: int, duplicates: int
) -> None:
    async with cut_after_five(programs, Tape(skew=skew), "--resume", "last-event-id") as load:
        report = await load.ask("report")
        assert (report["gaps"], report["duplicates"]) == (gaps, duplicates)


async def test_without_a_position_what_was_missed_is_a_gap(programs: Path) -> None:
    async def live(_: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        starts.append(10 * len(starts) + 1)
        writer.write(HEAD + chunk(f"id: 1\ndata: {marker(starts[-1])}\n\n".encode()))
        await reader.read()

    starts: list[int] = []
    async with scripted(live) as port, watching(programs, port, 1) as load:
        await load.ask("connect")
        await load.ask("wait 1 10")
        await load.ask("cut")
        await load.ask("resume")
        await load.ask("wait 11 10")
        assert (await load.ask("report"))["gaps"] == 9
        await load.ask("measure")
        await load.ask("connect")  # afresh: what comes first is the base
        await load.ask("wait 21 10")
        assert (await load.ask("report"))["gaps"] == 0


@pytest.mark.parametrize("more", ["", "id: 7", "id: 7\n"])
async def test_an_event_that_had_not_ended_at_the_cut_comes_again_and_is_no_duplicate(
    programs: Path, more: str
) -> None:
    """As in a browser: without its empty line an event was never there, and its id does not count."""
    positions: list[str] = []
    first_part, second_part = [1, 2, 3, 4, 5], [6, 7]

    def events(numbers: list[int]) -> str:
        return "".join(f"id: {seq}\ndata: {marker(seq)}\n\n" for seq in numbers)

    async def answer(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        positions.append("".join(re.findall("Last-Event-ID: (.*)\r\n", head)))
        body = [
            events(first_part) + events([6])[:-1] + more,
            # An empty line that ends nothing: what was left of the last connection must not count here.
            ": welcome back\n\n" + events([6])[:-1],
            events(second_part),
        ][len(positions) - 1]
        writer.write(HEAD + chunk(body.encode()))
        await reader.read()

    async with scripted(answer) as port, watching(programs, port, 1, "--resume", "last-event-id") as load:
        await load.ask("connect")
        for _ in range(2):
            assert (await load.ask("wait 6 10"))["reached"] == 1
            await load.ask("cut")
            await load.ask("resume")
        assert (await load.ask("wait 7 10"))["reached"] == 1
        report = await load.ask("report")
        assert positions == ["", "5", "5"]
        assert (report["deliveries"], report["gaps"], report["duplicates"]) == (6 + 1 + 2, 0, 0)


async def test_a_cut_is_a_reset_of_all_connections(programs: Path) -> None:
    ends: list[BaseException | None] = []

    async def answer(_: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        try:
            await reader.read()
            ends.append(None)
        except ConnectionError as error:
            ends.append(error)

    async with scripted(answer) as port, watching(programs, port, 3) as load:
        await load.ask("connect")
        assert await load.ask("cut") == {"cut": 3}
        async with asyncio.timeout(10):
            while len(ends) < 3:  # noqa: ASYNC110 - appended to by other tasks
                await asyncio.sleep(0.01)
    assert all(isinstance(end, ConnectionResetError) for end in ends)


@pytest.mark.parametrize("kind", ["stalled", "slow"])
async def test_a_watcher_that_does_not_keep_up_takes_little_and_is_seen_to_be_thrown_out(
    programs: Path, kind: str
) -> None:
    taken: list[int] = []

    async def pour(_: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Sends until nothing moves for a while, and then resets, as a server with a deadline for writes."""
        writer.write(HEAD)
        writer.transport.set_write_buffer_limits(0)
        sent = 0
        try:
            while sent < 64 << 20:
                async with asyncio.timeout(1):
                    writer.write(chunk(b"x" * 10_000))
                    await writer.drain()
                sent += 10_000
        except TimeoutError:
            # Without this the end would queue up behind what is not being read.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        taken.append(sent)

    async with scripted(pour) as port, watching(programs, port, 3, f"--{kind}", 1, "--slow-rate", 4000) as load:
        assert (await load.ask("connect"))["connected"] == 3
        ended = await load.ask("ended 60")  # of the two good ones: cut off after 64 MB
        assert ended["missing"] == 2
        async with asyncio.timeout(20):
            while not (report := await load.ask("report"))[f"{kind}_disconnected"]:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        assert report["disconnected"] == 2
        assert report["bytes"] >= 2 * (64 << 20)
    assert min(taken) < 8 << 20
