"""The record of all runs: the `$runs` stream, and the index that is folded from it, on every process that has them."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final

import msgspec

from tokentape.core.backoff import Backoff
from tokentape.core.cursor import Cursor
from tokentape.core.errors import CursorGone, InvalidEvent, RunConflict, ShuttingDown, StreamNotFound, TokentapeError
from tokentape.core.events import Event, decode_event
from tokentape.core.resume import From
from tokentape.hub import Hub
from tokentape.runs.index import RUN, RUNS_STREAM, STOP, RunIndex, info_event, info_of, stop_event
from tokentape.runs.request import RunInfo
from tokentape.stores.base import Append, Appended, Notifying, Retention, StreamConfig, StreamInfo

_log = logging.getLogger(__name__)

_AGAIN: Final = Backoff(base=0.1, cap=5.0)


class Registry:
    """What is known of runs. Keys of its records make starts idempotent, and replacements and stops unique.

    Where several processes share the store, each follows the stream, and so knows of all runs within milliseconds.
    Who has to know at once what is true now asks for it (`catch_up`).
    """

    def __init__(self, hub: Hub, *, max_bytes: int, now: Callable[[], float] = time.time) -> None:
        self.index = RunIndex()
        self.on_stop: Callable[[str, str], None] = lambda _run_id, _detail: None
        """Called with a run and a reason when anybody, anywhere, has asked for its end."""
        self._hub = hub
        self._config = StreamConfig(retention=Retention(max_bytes=max_bytes))
        self._now = now
        self._shared = isinstance(hub.store, Notifying)
        self._position = Cursor("", 0)
        self._endings: dict[str, asyncio.Event] = {}
        self._following: asyncio.Task[None] | None = None
        self._look: asyncio.Task[None] | None = None
        self._next_look: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Learns what was recorded before, and from then on what is."""
        await self._make()
        await self._read_on()
        if self._shared:
            self._following = asyncio.get_running_loop().create_task(self._follow(), name="tokentape-runs")

    async def aclose(self) -> None:
        tasks = [task for task in (self._following, self._look, self._next_look) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Writing

    async def claim(self, info: RunInfo) -> RunInfo | None:
        """Records a new run under its key; returns the run that has the key already, if there is one.

        Raises `RunConflict` when that one was started by another request.
        """
        key = None
        if info.replaces is not None:
            key = f"replaces:{info.replaces}"
        elif info.key is not None:
            key = f"start:{info.key}"
        appended = await self._append(info_event(info, at=info.created_at), key)
        if appended.last >= appended.first:
            self._apply(info)
            return None
        page = await self._hub.store.read(RUNS_STREAM, appended.offsets[0] - 1, max_records=1)
        first = info_of(decode_event(page.records[0][1]))
        if info.key is None or first.key != info.key:
            raise RunConflict(f"Run {info.replaces} was replaced already, by {first.id}.", run=first.id)
        if first.digest != info.digest:
            raise RunConflict(f"This Idempotency-Key was used for another request, run {first.id}.", run=first.id)
        await self.catch_up()
        return self.index.get(first.id) or first

    async def changed(self, info: RunInfo) -> None:
        """Records a change of a run."""
        self._apply(info)
        await self._append(info_event(info, at=int(self._now() * 1000)), None)

    async def stop(self, run_id: str, detail: str) -> None:
        """Records that a run is to end, whoever executes it now or later; a second time without effect."""
        await self._append(stop_event(run_id, detail, at=int(self._now() * 1000)), f"stop:{run_id}")
        # Told here and now; the others follow.
        self.index.apply_stop(run_id, detail)

    async def _append(self, event: Event, key: str | None) -> Appended:
        keys = [key] if key is not None else None
        try:
            return await self._hub.append(Append(stream=RUNS_STREAM, keys=keys), [event])
        except StreamNotFound:
            # The store has lost everything, and goes on: so do we.
            await self._make()
            return await self._hub.append(Append(stream=RUNS_STREAM, keys=keys), [event])

    # Reading

    async def find(self, run_id: str) -> RunInfo | None:
        """A run that anybody started; for one that is unknown here the record is looked at first."""
        if self.index.get(run_id) is None:
            await self.catch_up()
        return self.index.get(run_id)

    async def catch_up(self) -> None:
        """Returns when everything is known that was recorded before the call.

        Those who ask meanwhile share the next look, not the one under way: that may have been answered already.
        """
        if not self._shared:
            return
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._read_on())
            await asyncio.shield(self._look)
            return
        if self._next_look is None or self._next_look.done():
            self._next_look = asyncio.create_task(self._look_after(self._look))
        await asyncio.shield(self._next_look)

    async def ended(self, run_id: str, seconds: float) -> bool:
        """Waits until a run is known to have ended, wherever that is; False when it takes longer."""
        if self._is_over(run_id):
            return True
        event = self._endings.setdefault(run_id, asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return self._is_over(run_id)
        return True

    def _is_over(self, run_id: str) -> bool:
        info = self.index.get(run_id)
        return info is not None and info.state == "done"

    async def _look_after(self, look: asyncio.Task[None]) -> None:
        await asyncio.wait([look])
        self._look, self._next_look = self._next_look, None
        await self._read_on()

    async def _read_on(self) -> None:
        """Reads up to the end of the stream as it is now."""
        at = self._position
        while True:
            try:
                page = await self._hub.store.read(RUNS_STREAM, at.offset)
            except (CursorGone, StreamNotFound):
                info = await self._make()
                at = Cursor(info.epoch, info.first - 1)
                if info.first > info.last:
                    break
                continue
            if page.epoch != at.epoch and at.offset:
                at = Cursor(page.epoch, 0)
                continue
            for offset, record in page.records:
                at = Cursor(page.epoch, offset)
                try:
                    self._learn(decode_event(record), at)
                except InvalidEvent as error:
                    _log.warning("record %s of %s is passed over: %s", at, RUNS_STREAM, error)
            if not page.records or at.offset >= page.last:
                break
        if at.epoch != self._position.epoch:
            self._position = at

    async def _make(self) -> StreamInfo:
        info, _ = await self._hub.store.create(RUNS_STREAM, self._config)
        return info

    async def _follow(self) -> None:
        failures = 0
        while True:
            try:
                begin: From = self._position if self._position.epoch else "start"
                async with self._hub.reading(RUNS_STREAM, begin) as reader:
                    failures = 0
                    async for item in reader:
                        if item.cursor is not None:
                            self._learn(item.event, item.cursor)
            except ShuttingDown:
                return
            except StreamNotFound:
                _log.warning("the store has lost the record of runs; it begins anew")
                await self._try_to_make()
            except TokentapeError as error:
                _log.warning("the record of runs cannot be followed: %s", error)
            except Exception:  # noqa: BLE001 - a process that no longer follows knows less and less
                _log.exception("the record of runs cannot be followed")
            await asyncio.sleep(_AGAIN.delay(failures, random.random()))  # noqa: S311 - jitter, not a secret
            failures += 1

    async def _try_to_make(self) -> None:
        try:
            await self._make()
        except TokentapeError as error:
            _log.warning("the record of runs cannot be made: %s", error)

    def _learn(self, event: Event, position: Cursor) -> None:
        if position.epoch != self._position.epoch or position.offset > self._position.offset:
            self._position = position
        if event.type == RUN:
            try:
                self._apply(info_of(event))
            except msgspec.ValidationError as error:
                # A newer version says what this one does not know; that must not keep it from the others.
                _log.warning("record %s of %s is passed over: %s", position, RUNS_STREAM, error)
        elif event.type == STOP and event.run is not None:
            self.index.apply_stop(event.run, event.data["detail"])
            self.on_stop(event.run, event.data["detail"])

    def _apply(self, info: RunInfo) -> None:
        self.index.apply(info)
        if self._is_over(info.id) and (event := self._endings.pop(info.id, None)) is not None:
            event.set()
