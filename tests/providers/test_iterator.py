import asyncio
import logging
import threading
from contextvars import ContextVar

import pytest
from upstreams import asking, played, said

from tokentape.core.errors import BadRequest, InvalidEvent
from tokentape.core.events import Event
from tokentape.providers.base import Part, ProviderError
from tokentape.providers.iterator import AHEAD, IteratorProvider

STOP = Part("finish", {"reason": "stop"})


async def stream(*items):
    for item in items:
        await asyncio.sleep(0)
        if isinstance(item, BaseException):
            raise item
        yield item


async def parts_of(source) -> list[Part]:
    parts, error = await played(IteratorProvider(source), asking())
    assert error is None
    return parts


async def error_of(source) -> ProviderError:
    _, error = await played(IteratorProvider(source), asking())
    assert error is not None
    return error


async def test_text_becomes_tokens_and_its_end_the_end():
    assert await parts_of(stream("Hel", "", "lo")) == [Part("token", "Hel"), Part("token", "lo"), STOP]


async def test_text_of_a_class_of_its_own_is_text():
    class Text(str):
        """As LangChain's chunks are; JSON encoders know `str` alone."""

        __slots__ = ()

    parts = await parts_of(stream(Text("a"), Part("reasoning", Text("b"))))
    assert [type(part.data) for part in parts[:2]] == [str, str]


async def test_events_in_every_form():
    assert await parts_of(
        stream(
            Part("reasoning", "hm"),
            Event(type="status", data={"state": "searching"}),
            {"type": "token", "data": "a"},
            {"type": "app:step"},
            {"type": "start", "data": {"message_id": "m"}},
            {"type": "usage", "data": {"input_tokens": 1, "output_tokens": 2}},
        )
    ) == [
        Part("reasoning", "hm"),
        Part("status", {"state": "searching"}),
        Part("token", "a"),
        Part("app:step", {}),
        Part("usage", {"input_tokens": 1, "output_tokens": 2}),
        STOP,
    ]


@pytest.mark.parametrize("source", [["a", "b"], ("a", "b"), iter(["a", "b"]), (c for c in "ab"), {"a": 1, "b": 2}])
async def test_plain_iterables_are_played_too(source):
    assert said(await parts_of(source)) == "ab"


async def test_one_text_is_one_token():
    assert await parts_of("Hello") == [Part("token", "Hello"), STOP]


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (Part("finish", {"reason": "length"}), "length"),
        ({"type": "done", "data": {"reason": "tool_calls", "usage": {}}}, "tool_calls"),
        ({"type": "done", "data": {"reason": "interrupted"}}, "stop"),
        ({"type": "done"}, "stop"),
    ],
)
async def test_an_end_of_its_own_is_the_end(ending, reason):
    assert await parts_of(stream("a", ending, "never")) == [Part("token", "a"), Part("finish", {"reason": reason})]


async def test_an_error_event_is_a_failure():
    event = {"type": "error", "data": {"code": "too_hot", "message": "Too hot.", "retryable": True}}
    error = await error_of(stream("a", event))
    assert error.as_dict() == {"code": "too_hot", "message": "Too hot.", "retryable": True}
    assert (await error_of([{"type": "error", "data": "Oh."}])).message == "Oh."
    assert (await error_of([{"type": "error"}])).subcode == "provider_error"


async def test_an_exception_becomes_an_error_that_does_not_tell_its_text(caplog):
    parts, error = await played(IteratorProvider(stream("a", ValueError("password is hunter2"))), asking())
    assert said(parts) == "a"
    assert error.subcode == "provider_error"
    assert "ValueError" in error.message
    assert "hunter2" not in str(error.as_dict())
    assert "hunter2" in caplog.text  # its owner finds it in the log


async def test_our_own_errors_pass_as_they_are():
    assert (await error_of(stream(ProviderError("Busy.", subcode="x", retryable=True)))).subcode == "x"
    with pytest.raises(BadRequest, match="No"):
        await parts_of(stream(BadRequest("No.")))


async def test_a_cancellation_inside_the_iterator_is_its_own_failure():
    error = await error_of(stream("a", asyncio.CancelledError()))
    assert "cancelled" in error.message


@pytest.mark.parametrize("item", [7, None, b"bytes", ("token", "a"), {"data": "x"}, {"type": 7}])
async def test_what_is_no_event_is_refused(item):
    assert "may yield" in (await error_of([item])).message


async def test_an_event_of_no_known_type_or_shape_is_refused():
    with pytest.raises(InvalidEvent):
        await parts_of([{"type": "nonsense"}])
    assert "not text" in (await error_of([{"type": "token", "data": 7}])).message
    assert "not an iterator" in (await error_of(7)).message


async def test_it_is_good_for_one_run():
    provider = IteratorProvider(["a"])
    await played(provider, asking())
    _, error = await played(provider, asking())
    assert "one run" in error.message


# Closing


class Source:
    """An asynchronous iterator that tells when it is closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.waiting = asyncio.Event()

    async def generate(self):
        try:
            yield "a"
            self.waiting.set()
            await asyncio.Event().wait()
        finally:
            self.closed.set()


async def test_whoever_stops_the_run_has_closed_the_iterator():
    source = Source()
    task = asyncio.create_task(played(IteratorProvider(source.generate()), asking()))
    await source.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed.is_set()


async def test_closing_the_stream_closes_the_iterator():
    source = Source()
    batches = IteratorProvider(source.generate()).generate(asking(), None)
    assert await anext(batches) == [Part("token", "a")]
    await batches.aclose()
    assert source.closed.is_set()


async def test_a_failure_to_close_is_only_logged(caplog):
    async def clumsy():
        try:
            yield "a"
        finally:
            raise OSError("jammed")

    batches = IteratorProvider(clumsy()).generate(asking(), None)
    await anext(batches)
    await batches.aclose()
    assert "jammed" in caplog.text


# Plain iterators that block


async def test_a_blocking_iterator_does_not_block_the_loop():
    gate = threading.Event()

    def source():
        yield "a"
        gate.wait(5)
        yield "b"

    batches = IteratorProvider(source()).generate(asking(), None)
    assert await anext(batches) == [Part("token", "a")]
    waiting = asyncio.ensure_future(anext(batches))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()
    assert await waiting == [Part("token", "b")]
    assert await anext(batches) == [STOP]


async def test_it_runs_in_the_callers_context():
    name = ContextVar("name", default="?")
    name.set("mine")

    def source():
        yield name.get()

    assert said(await parts_of(source())) == "mine"


async def test_it_is_not_taken_far_ahead():
    taken = 0
    reached = threading.Event()

    def source():
        nonlocal taken
        while True:
            taken += 1
            if taken == AHEAD + 1:
                reached.set()
            yield "x"

    batches = IteratorProvider(source()).generate(asking(), None)
    await anext(batches)
    assert await asyncio.to_thread(reached.wait, 5)
    await batches.aclose()
    assert taken <= AHEAD + 3


async def test_stopping_closes_it_between_two_items():
    closed = threading.Event()

    def source():
        try:
            while True:
                yield "x"
        finally:
            closed.set()

    batches = IteratorProvider(source()).generate(asking(), None)
    await anext(batches)
    await batches.aclose()
    assert await asyncio.to_thread(closed.wait, 5)


async def test_its_failure_to_close_is_only_logged(caplog):
    class Jammed:
        def __init__(self) -> None:
            self.items = iter("a")

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.items)

        def close(self):
            raise OSError("jammed")

    before = {thread for thread in threading.enumerate() if thread.name == "tokentape-iterator"}
    assert said(await parts_of(Jammed())) == "a"
    for thread in set(threading.enumerate()) - before:
        if thread.name == "tokentape-iterator":
            await asyncio.to_thread(thread.join, 5)
    assert "jammed" in caplog.text


def test_one_that_blocks_outlives_the_loop_without_a_word():
    gate = threading.Event()
    threads = []

    def source():
        threads.append(threading.current_thread())
        yield "a"
        gate.wait(5)
        yield "b"

    async def begin():
        batches = IteratorProvider(source()).generate(asking(), None)
        assert await anext(batches) == [Part("token", "a")]
        await batches.aclose()

    asyncio.run(begin())
    gate.set()
    threads[0].join(5)
    assert not threads[0].is_alive()  # and an exception in it would have been a warning, and so a failure


async def test_an_asynchronous_iterator_need_not_be_closable():
    class Counting:
        def __init__(self) -> None:
            self.left = ["b", "a"]

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

    assert said(await parts_of(Counting())) == "ab"


@pytest.mark.parametrize("failure", [ValueError("hunter2"), SystemExit(3)])
async def test_its_exceptions_are_failures_of_the_run(failure, caplog):
    caplog.set_level(logging.CRITICAL)

    def source():
        yield "a"
        raise failure

    parts, error = await played(IteratorProvider(source()), asking())
    assert said(parts) == "a"
    assert error.subcode == "provider_error"
    assert "hunter2" not in error.message
