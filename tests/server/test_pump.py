"""What only a connection in a test's own hands can show of the pump; the rest is in test_sse.py, on sockets."""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator

from http_rig import serving_config

from tokentape.core.errors import CursorGone
from tokentape.server.pump import MAX_PENDING, SLICE, PumpedStream
from tokentape.server.stall import CHECKS


class ManualConnection:
    """Takes what a test lets it take. `looks` is what it says of its buffer, look by look."""

    def __init__(self, looks: Iterable[int] = itertools.repeat(0)) -> None:
        self.lost = False
        self.paused = False
        self.looks = iter(looks)
        self.room = asyncio.Event()
        self.messages: list[dict] = []
        self.calls: list[str] = []

    def buffered(self) -> int:
        return next(self.looks)

    async def drained(self) -> None:
        self.calls.append("drained")

    def abort(self) -> None:
        self.calls.append("abort")
        self.room.set()

    def close(self) -> None:
        self.calls.append("close")

    async def closed(self) -> None:
        self.calls.append("closed")

    def when_lost(self, callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    async def send(self, message: dict) -> None:
        if self.paused:
            await self.room.wait()
        self.messages.append(message)


def stream_on(connection: ManualConnection, **limits) -> PumpedStream:
    config = serving_config(**{f"limits__{name}": value for name, value in limits.items()})
    return PumpedStream(connection, [], connection.send, config.limits)


async def test_whoever_takes_a_little_within_each_deadline_is_not_cut():
    connection = ManualConnection([100, 90, 50, 10, *[10] * CHECKS])
    stream = stream_on(connection, write_deadline="20ms")
    connection.paused = True
    stream.put(b"x")
    await stream.play()
    # Three looks find progress; those of a whole deadline after them find none.
    assert next(connection.looks, None) is None
    assert connection.calls == ["abort", "closed"]
    assert connection.messages == []


async def test_a_write_that_comes_through_in_the_end_is_whole():
    connection = ManualConnection()

    def looks() -> Iterator[int]:
        yield from (100, 90, 50)
        connection.room.set()
        yield from itertools.repeat(10)

    connection.looks = looks()
    connection.paused = True
    stream = stream_on(connection, write_deadline="20ms")
    stream.put(b"data: x\n\n")
    stream.finish()
    await stream.play()
    assert [message.get("body") for message in connection.messages] == [b"data: x\n\n", b""]
    assert connection.messages[-1]["more_body"] is False
    assert connection.calls == []


async def test_large_payloads_leave_in_slices():
    connection = ManualConnection()
    stream = stream_on(connection)
    stream.put(b"x" * (2 * SLICE + 1))
    assert not stream.writable
    stream.finish()
    await stream.play()
    assert [len(message.get("body", b"")) for message in connection.messages] == [SLICE, SLICE, 1, 0]


async def test_it_is_full_at_its_bound_and_not_before():
    stream = stream_on(ManualConnection())
    stream.put(b"x" * (MAX_PENDING - 1))
    assert stream.writable
    stream.put(b"x")
    assert not stream.writable


async def test_nothing_is_taken_after_the_end():
    connection = ManualConnection()
    stream = stream_on(connection)
    stream.put(b"before")
    stream.cut(CursorGone("The stream was deleted.", reason="deleted"))
    stream.put(b"after")
    stream.finish()
    await stream.play()
    assert [message.get("body") for message in connection.messages] == [b"before"]
    assert connection.calls == ["close", "closed"]


async def test_a_client_that_takes_nothing_is_not_waited_for_when_it_is_cut():
    connection = ManualConnection()
    stream = stream_on(connection)
    connection.paused = True
    stream.put(b"x")
    playing = asyncio.create_task(stream.play())
    await asyncio.sleep(0)
    stream.cut(CursorGone("The stream was deleted.", reason="deleted"))
    assert connection.calls == ["abort"]
    await playing


async def test_what_a_server_says_of_a_lost_client_is_no_failure():
    connection = ManualConnection()

    async def send(message: dict) -> None:
        raise BrokenPipeError

    stream = PumpedStream(connection, [], send, serving_config().limits)
    stream.put(b"x")
    await stream.play()
    assert connection.calls == []
