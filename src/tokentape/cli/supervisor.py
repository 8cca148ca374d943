"""Several server processes on one address: started, watched, started again when one dies, and ended together.

Laws:
- nothing is announced before every process is ready, and a process that cannot start at all ends the whole;
- the listening sockets are held here, so a client that connects while its process is started anew waits, and is served;
- no process outlives this one: each holds the other end of a pipe, and ends in order when it breaks;
- the first signal drains, the second one ends everything at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Final

import msgspec

from tokentape.core.backoff import Backoff
from tokentape.core.errors import SetupError
from tokentape.server.config import ServerConfig
from tokentape.server.serve import SIGNALS, bind_group, url_of
from tokentape.stores.open import is_shared

_log = logging.getLogger("tokentape.supervisor")

START_SECONDS: Final = 60.0
"""For a process to import everything, open its store and listen, on a machine that is busy."""
STEADY_SECONDS: Final = 10.0
"""A process that was ready for so long was well, whatever ended it."""
RESTART: Final = Backoff(base=0.2, cap=5.0)
"""Clients whose process is away wait for it (see `bind_group`), so the pauses stay short."""
GIVE_UP: Final = 5
"""Starts of one process that failed one after the other, when no other process is ready either."""
END_SECONDS: Final = 30.0
"""For a process to end, after the pause and the grace that it gives to others."""


class _Ready(msgspec.Struct, frozen=True):
    """The line that a process prints once it listens."""

    url: str


class _Slot:
    """One of the processes, whichever it is now."""

    def __init__(self, number: int, listener: socket.socket) -> None:
        self.number = number
        self.listener = listener
        self.process: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()
        self.failures = 0


class Supervisor:
    """Keeps `config.workers` processes of `command` running until a signal."""

    def __init__(self, config: ServerConfig, command: Sequence[str], on_ready: Callable[[str], None]) -> None:
        """A process is started as `command --worker <number> <descriptor of its listening socket>`.

        `on_ready` gets the address when all of them are ready.
        """
        self._config = config
        self._command = command
        self._on_ready = on_ready
        self._slots: list[_Slot] = []
        self._announced = False
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Runs until they have ended; raises `SetupError` when they cannot be started, or do not stay."""
        check_store(self._config)
        group = bind_group(self._config)
        url = url_of(group[0])
        self._slots = [_Slot(number, listener) for number, listener in enumerate(group, 1)]
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        keeping = [asyncio.create_task(self._keep(slot), name=f"worker-{slot.number}") for slot in self._slots]
        announcing = asyncio.create_task(self._announce(url))
        try:
            await asyncio.gather(*keeping)
        finally:
            for task in (announcing, *keeping):
                task.cancel()
            await asyncio.gather(announcing, *keeping, return_exceptions=True)
            for number in SIGNALS:
                loop.remove_signal_handler(number)
            self._let_go()

    async def _announce(self, url: str) -> None:
        for slot in self._slots:
            await slot.ready.wait()
        self._announced = True
        self._on_ready(url)

    # One process

    async def _keep(self, slot: _Slot) -> None:
        while not self._stopping.is_set():
            async with self._process(slot) as process:
                began = monotonic()
                await self._until_ready(slot, process)
                code = await self._until_end(process)
                was_ready = slot.ready.is_set()
                slot.ready.clear()
            if not self._stopping.is_set():
                slot.failures = 0 if was_ready and monotonic() - began >= STEADY_SECONDS else slot.failures + 1
                await self._pause(slot, code, was_ready=was_ready)

    @asynccontextmanager
    async def _process(self, slot: _Slot) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            *("--worker", str(slot.number), str(slot.listener.fileno())),
            stdin=asyncio.subprocess.PIPE,  # which breaks when this process ends, however it does
            stdout=asyncio.subprocess.PIPE,
            pass_fds=[slot.listener.fileno()],
            # A Ctrl-C is for this process, which hands it on: twice would end them at once.
            start_new_session=True,
        )
        slot.process = process
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            if process.returncode is None:
                await _end(process)
            slot.process = None

    async def _until_ready(self, slot: _Slot, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await process.stdout.readline()
            msgspec.json.decode(line, type=_Ready)
        except TimeoutError:
            _log.warning("worker %d is not ready after %g s", slot.number, START_SECONDS)
            _send(process, signal.SIGKILL)
        except (msgspec.DecodeError, ValueError):
            pass  # it ends, or says what nobody asked for: either way it is not ready
        else:
            slot.ready.set()

    async def _until_end(self, process: asyncio.subprocess.Process) -> int:
        ending = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([ending, stopping], return_when=asyncio.FIRST_COMPLETED)
            _, late = await asyncio.wait([ending], timeout=self._patience)
            if late:
                _log.error("process %d has not ended in time, and is killed", process.pid)
                _send(process, signal.SIGKILL)
            return await ending
        finally:
            stopping.cancel()
            ending.cancel()

    @property
    def _patience(self) -> float:
        return self._config.shutdown_delay + self._config.shutdown_grace + END_SECONDS

    async def _pause(self, slot: _Slot, code: int, *, was_ready: bool) -> None:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if not was_ready:
            if not self._announced:
                raise SetupError(f"Worker {slot.number} ended with {how} before it was ready; its own log says why.")
            if slot.failures >= GIVE_UP and not any(other.ready.is_set() for other in self._slots):
                raise SetupError(f"No worker is left, and worker {slot.number} failed to start {slot.failures} times.")
        delay = RESTART.delay(slot.failures, random.random())  # noqa: S311 - jitter, not a secret
        _log.warning("worker %d ended with %s; it is started again in %.1f s", slot.number, how, delay)
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._stopping.wait()

    # The end

    def _signalled(self, number: signal.Signals) -> None:
        again = self._stopping.is_set()
        for slot in self._slots:
            if slot.process is not None:
                _send(slot.process, signal.SIGKILL if again else number)
        if again:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._stopping.set()
        self._let_go()

    def _let_go(self) -> None:
        # From here on an address is there as long as a process listens to it.
        for slot in self._slots:
            slot.listener.close()


def check_store(config: ServerConfig) -> None:
    """Raises `SetupError` for several processes on a store that belongs to one."""
    if config.workers > 1 and not is_shared(config.store):
        kind = config.store.partition(":")[0]
        raise SetupError(
            f"{config.workers} workers need a store that processes can share, and {kind}:// belongs to one. "
            "Use --store redis://host:6379/0, or --workers 1."
        )
    if config.workers > 1 and sys.platform == "win32":
        raise SetupError("Several workers need a system that hands on sockets, which Windows does not: --workers 1.")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends one that nobody has told to: because another one cannot start."""
    _send(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        _send(process, signal.SIGKILL)
        await process.wait()


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)
