"""The laws of `tokentape.providers.answer`, and of pushing: with sinks that are full, and that refuse."""

import asyncio
import gc
import logging
import weakref
from contextlib import asynccontextmanager

import pytest
from upstreams import NO_LIMIT, STREAM_HEAD, asking, raw_upstream, said, says

from tokentape.core.errors import ProviderError, StoreFull
from tokentape.providers.answer import MAX_HELD, Answer
from tokentape.providers.base import Part, Pushing, Timeouts
from tokentape.providers.failures import Failures
from tokentape.providers.openai import OpenAIProvider
from tokentape.providers.openai_stream import ChatDecoder
from tokentape.providers.secret import Redactor

TOKEN = b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n'
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


class Sink:
    """Takes `room` batches, and then as many again each time that the test lets it."""

    def __init__(self, room: float = float("inf")) -> None:
        self.parts: list[Part] = []
        self.left = self._room = room
        self.changed = asyncio.Event()
        self.waiting = asyncio.Event()
        self._opened = asyncio.Event()

    def put(self, parts) -> bool:
        self.parts += [Part(*pair) for pair in parts]
        self.left -= 1
        self.changed.set()
        return self.left > 0

    async def room(self) -> None:
        self.waiting.set()
        await self._opened.wait()

    def open(self) -> None:
        self.left = float("inf")
        self._opened.set()

    async def until(self, text: str) -> None:
        while said(self.parts) != text:
            self.changed.clear()
            await self.changed.wait()


@asynccontextmanager
async def pushing(answer, sink, timeouts=NO_LIMIT):
    """A push that is under way, as a task."""
    async with raw_upstream(answer) as upstream, asyncio.timeout(10):
        provider = OpenAIProvider(base_url=upstream.url)
        assert isinstance(provider, Pushing)
        task = asyncio.create_task(provider.push(asking(), timeouts, sink))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])
            await provider.aclose()


async def test_parts_are_pushed_in_order_and_the_push_returns_at_the_end():
    sink = Sink()
    async with pushing(says(STREAM_HEAD, TOKEN % b"a", TOKEN % b"b", FINISH, DONE), sink) as task:
        await task
    assert sink.parts == [Part("token", "a"), Part("token", "b"), Part("finish", {"reason": "stop"})]


async def test_a_full_sink_gets_nothing_more_and_then_everything():
    async def answer(connection):
        await connection.send(STREAM_HEAD, TOKEN % b"a")
        await sink.waiting.wait()
        await connection.send(TOKEN % b"b", TOKEN % b"c")
        sent.set()
        await connection.send(FINISH, DONE)

    sink, sent = Sink(1), asyncio.Event()
    async with pushing(answer, sink) as task:
        await sent.wait()
        await asyncio.sleep(0.05)
        assert said(sink.parts) == "a"
        assert not task.done()
        sink.open()
        await task
    assert said(sink.parts) == "abc"


async def test_a_full_sink_holds_the_provider_up_within_bounds():
    async def flood(connection):
        nonlocal sent
        await connection.send(STREAM_HEAD)
        for number in range(20_000):
            await connection.send(TOKEN % (b"%06d " % number * 100))
            sent += 1
        await connection.send(FINISH)

    sent, sink = 0, Sink(1)
    async with pushing(flood, sink) as task:
        await sink.waiting.wait()
        before = -1
        while sent > before:  # until nothing moves any more
            before = sent
            await asyncio.sleep(0.1)
        assert sent < 20_000
        sink.open()
        await task
    assert said(sink.parts) == "".join(f"{number:06} " * 100 for number in range(20_000))


async def test_a_sink_that_is_full_again_in_mid_backlog_waits_again():
    async def answer(connection):
        await connection.send(STREAM_HEAD, TOKEN % b"a")
        for letter in (b"b", b"c", b"d"):
            await asyncio.sleep(0.02)  # as reads of their own
            await connection.send(TOKEN % letter)
        await asyncio.sleep(0.02)
        await connection.send(FINISH)
        sent.set()

    sent = asyncio.Event()

    class Narrow(Sink):
        async def room(self) -> None:
            await sent.wait()
            batches.append(said(self.parts))
            self.left = 1

    sink, batches = Narrow(1), []
    async with pushing(answer, sink) as task:
        await task
    assert batches == ["a", "ab", "abc", "abcd"]
    assert sink.parts[-1].type == "finish"


async def test_no_time_counts_while_the_sink_is_full_but_the_total():
    async def answer(connection):
        await connection.send(STREAM_HEAD, TOKEN % b"a")
        await more.wait()
        await connection.send(TOKEN % b"b")
        await connection.closed()

    sink, more = Sink(1), asyncio.Event()
    async with pushing(answer, sink, Timeouts(first_token=0.1, between_tokens=0.1)) as task:
        await sink.waiting.wait()
        await asyncio.sleep(0.2)
        assert not task.done()
        sink.open()
        more.set()
        await sink.until("ab")
        with pytest.raises(ProviderError, match="no further token within"):
            await task
    sink = Sink(1)
    async with pushing(answer, sink, Timeouts(total=0.1)) as task:
        await sink.waiting.wait()
        await asyncio.sleep(0.2)
        sink.open()
        with pytest.raises(ProviderError, match="did not finish"):
            await task


@pytest.mark.parametrize(("last", "fails"), [(TOKEN % b"c", True), (FINISH, False)])
async def test_what_was_read_before_a_break_is_handed_on_first(last, fails):
    async def answer(connection):
        await connection.send(STREAM_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 999999\r\n\r\n"), TOKEN % b"a")
        await sink.waiting.wait()
        await connection.send(TOKEN % b"b", last)

    sink = Sink(1)
    async with pushing(answer, sink) as task:
        await sink.waiting.wait()
        await asyncio.sleep(0.1)  # the connection is gone by now
        assert said(sink.parts) == "a"
        sink.open()
        if fails:
            with pytest.raises(ProviderError) as caught:
                await task
            assert caught.value.subcode == "provider_cut"
        else:
            await task
    assert said(sink.parts) == ("abc" if fails else "ab")


@pytest.mark.parametrize("where", ["put", "room"])
async def test_what_a_sink_raises_ends_the_push_and_cuts_the_connection(where):
    async def answer(connection):
        await connection.send(STREAM_HEAD, TOKEN % b"a")
        await connection.closed()
        closed.set()

    class Refusing(Sink):
        def put(self, parts) -> bool:
            if where == "put":
                raise StoreFull("no room")
            return super().put(parts)

        async def room(self) -> None:
            raise StoreFull("no room")

    closed = asyncio.Event()
    async with pushing(answer, Refusing(1)) as task:
        with pytest.raises(StoreFull):
            await task
        async with asyncio.timeout(10):
            await closed.wait()


@pytest.mark.parametrize("full", [True, False])
async def test_whoever_cancels_a_push_has_cut_the_connection(full):
    async def answer(connection):
        await connection.send(STREAM_HEAD, TOKEN % b"a")
        await connection.closed()
        closed.set()

    closed, sink = asyncio.Event(), Sink(1 if full else 2)
    async with pushing(answer, sink) as task:
        await sink.until("a")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(10):
            await closed.wait()


# Without a connection: what is done per token


class Wire:
    """What an exchange sees of a connection."""

    def __init__(self) -> None:
        self.transport = self.protocol = self
        self.paused = self.aborted = False

    def is_closing(self) -> bool:
        return False

    def set_protocol(self, protocol) -> None:
        self.owner = protocol

    def write(self, data: bytes) -> None:
        self.written = data

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        pass


def reading(sink) -> tuple[Answer, Wire]:
    failures = Failures("x", Redactor([]))
    answer, wire = Answer(ChatDecoder(failures), sink, Timeouts(), failures), Wire()
    answer.ask(wire, b"?")
    wire.owner.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
    return answer, wire


async def test_a_token_wakes_no_task_and_sets_no_timer(monkeypatch):
    sink = Sink()
    answer, wire = reading(sink)
    waiting = asyncio.create_task(answer.turn())
    wire.owner.data_received(TOKEN % b"x")
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    calls = []
    for name in ("call_soon", "call_at", "call_later", "create_task", "create_future"):
        monkeypatch.setattr(loop, name, lambda *_, name=name, **__: calls.append(name))
    for _ in range(100):
        wire.owner.data_received(TOKEN % b"x")
    monkeypatch.undo()
    assert calls == []
    assert said(sink.parts) == "x" * 101
    answer.abort()
    await waiting


async def test_the_transport_is_paused_only_when_more_is_held_than_may_be():
    sink = Sink(1)
    answer, wire = reading(sink)
    wire.owner.data_received(TOKEN % b"a")
    piece = TOKEN % (b"b" * 1000)
    for _ in range(MAX_HELD // len(piece)):
        wire.owner.data_received(piece)
    assert not wire.paused
    wire.owner.data_received(piece)
    assert wire.paused
    assert said(sink.parts) == "a"
    sink.open()
    answer.resume()
    assert not wire.paused
    assert len(said(sink.parts)) == 1 + 1000 * (MAX_HELD // len(piece) + 1)
    answer.abort()
    assert wire.aborted


@pytest.mark.parametrize("how", ["abort", "end", "break"])
async def test_an_answer_that_is_over_is_freed_without_the_collector(how, caplog):
    caplog.set_level(logging.ERROR)
    sink = Sink()
    held = weakref.ref(sink)
    answer, wire = reading(sink)
    wire.owner.data_received(TOKEN % b"a")
    gc.disable()
    try:
        match how:
            case "abort":
                answer.abort()
            case "end":
                wire.owner.data_received(FINISH + DONE)
                wire.owner.abort()  # it would wait a moment for the end of the response
            case "break":
                wire.owner.data_received(b"")
                answer.lost(None)
        wire.owner = answer = sink = None
        assert held() is None
    finally:
        gc.enable()
