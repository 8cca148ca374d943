"""Any iterator as a provider: what an application makes itself, or gets from a library, becomes a run."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextvars import copy_context
from typing import Any, Final

from tokentape.core.errors import ProviderError, TokentapeError
from tokentape.core.events import Event, check_type
from tokentape.providers.base import Generation, Part, Timeouts

_log = logging.getLogger(__name__)

AHEAD: Final = 64
"""Items that are taken from a plain iterator before the run has asked for them; then its thread waits."""

_TEXT: Final = frozenset({"token", "reasoning"})
_REASONS: Final = frozenset({"stop", "length", "tool_calls"})
_END: Final = object()


class IteratorProvider:
    """Plays one iterator, once (see `base.Provider`).

    It yields text, `Part`, `Event`, or dicts `{"type", "data"}`; the end of the iterator is the end of the answer,
    unless a `finish` or `done` says otherwise. A plain iterator, which may block, runs in a thread of its own.
    Time-outs are the iterator's own affair.
    """

    name = "iterator"

    def __init__(self, source: AsyncIterable[Any] | Iterable[Any]) -> None:
        self._source: AsyncIterable[Any] | Iterable[Any] | None = [source] if isinstance(source, str) else source

    async def generate(
        self,
        generation: Generation,  # noqa: ARG002 - the contract's
        timeouts: Timeouts,  # noqa: ARG002 - the contract's
    ) -> AsyncGenerator[Sequence[Part], None]:
        """Drains the iterator; closes it whatever happens. Its exceptions become `provider_error`, without their text.

        A `TokentapeError` passes as it is: its text is meant to be shown.
        """
        source, self._source = self._source, None
        if source is None:
            raise ProviderError("This iterator was played already; an iterator is good for one run.")
        items = _iterate(source)
        reason = "stop"
        try:
            while (item := await _next(items)) is not _END:
                part = _part(item)
                if part.type == "finish":
                    reason = part.data["reason"]
                    break
                if part.data != "" or part.type not in _TEXT:
                    yield [part]
            yield [Part("finish", {"reason": reason})]
        finally:
            await _close(items)

    async def aclose(self) -> None:
        """Nothing is open."""


def _iterate(source: AsyncIterable[Any] | Iterable[Any]) -> AsyncIterator[Any]:
    if isinstance(source, AsyncIterable):
        return aiter(source)
    if isinstance(source, Iterable):
        # What is in memory already cannot block.
        return _at_once(source) if isinstance(source, list | tuple) else _Threaded(iter(source))
    raise ProviderError(f"A {type(source).__name__} cannot be played: it is not an iterator.")


async def _next(items: AsyncIterator[Any]) -> Any:
    try:
        return await anext(items, _END)
    except TokentapeError:
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # Something inside the iterator was cancelled; nobody has stopped this run.
        raise ProviderError("The iterator that makes this answer was cancelled.") from None
    except Exception as error:  # noqa: BLE001 - whatever it was, the run must get to its end
        _log.exception("an iterator failed while it was recorded")
        raise ProviderError(f"The iterator that makes this answer failed ({type(error).__name__}).") from None


async def _close(items: AsyncIterator[Any]) -> None:
    close = getattr(items, "aclose", None)
    if close is None:
        return
    try:
        await close()
    except Exception:  # noqa: BLE001 - the answer is what it is; only its cleaning up has failed
        _log.exception("an iterator failed while it was closed")


def _part(item: Any) -> Part:
    match item:
        case str():
            return _checked("token", item)
        case Part() | Event():
            kind, data = item.type, item.data
        case {"type": str(kind), **rest}:
            data = rest.get("data", {})
        case _:
            what = f"The iterator yielded a {type(item).__name__}; it may yield text, `Part` or {{'type', 'data'}}."
            raise ProviderError(what)
    return _checked(kind, data)


def _checked(kind: str, data: Any) -> Part:
    match kind:
        case "finish" | "done":
            reason = data.get("reason") if isinstance(data, Mapping) else None
            return Part("finish", {"reason": reason if reason in _REASONS else "stop"})
        case "error":
            told = data if isinstance(data, Mapping) else {"message": str(data)}
            raise ProviderError(
                str(told.get("message", "The iterator reported an error.")),
                subcode=str(told.get("code", "provider_error")),
                retryable=told.get("retryable") is True,
            )
        case "start":
            return Part("token", "")  # the run has its own
        case _ if kind in _TEXT and not isinstance(data, str):
            raise ProviderError(f"The iterator yielded a {kind!r} whose data is a {type(data).__name__}, not text.")
        case _ if kind in _TEXT:
            return Part(kind, str(data))  # LangChain's text is of a class of its own, which nothing encodes
        case _:
            return Part(check_type(kind), data)


async def _at_once(items: Iterable[Any]) -> AsyncGenerator[Any, None]:
    for item in items:
        yield item


class _Threaded:
    """Takes from a plain iterator in a thread, which waits when it is `AHEAD` items ahead.

    The thread is a daemon: an iterator that blocks for ever must not keep the process from ending.
    """

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[tuple[Any, BaseException | None]] = asyncio.Queue()
        self._room = threading.Semaphore(AHEAD)
        self._stopped = threading.Event()
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._pump,), name="tokentape-iterator", daemon=True)
        self._thread.start()

    def __aiter__(self) -> _Threaded:
        return self

    async def __anext__(self) -> Any:
        item, error = await self._items.get()
        self._room.release()
        if isinstance(error, Exception):
            raise error
        if error is not None:
            # SystemExit and its like are meant for the thread that they were raised in.
            raise RuntimeError(f"{type(error).__name__} in the thread of an iterator")
        return item

    async def aclose(self) -> None:
        """Lets the thread close the iterator, as soon as it is between two items; does not wait for that."""
        self._stopped.set()
        self._room.release()

    def _pump(self) -> None:
        try:
            for item in self._source:
                self._room.acquire()
                if self._stopped.is_set():
                    break
                self._put(item, None)
            else:
                self._put(None, StopAsyncIteration())
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are taken
            self._put(None, error)
        finally:
            self._finish()

    def _finish(self) -> None:
        close = getattr(self._source, "close", None)
        if close is not None:
            try:
                close()
            except Exception:  # noqa: BLE001 - as in `_close`
                _log.exception("an iterator failed while it was closed")

    def _put(self, item: Any, error: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._items.put_nowait, (item, error))
        except RuntimeError:
            self._stopped.set()  # the loop is gone, and whoever would have listened with it
