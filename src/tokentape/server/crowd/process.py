"""The crowd as the server has it: one process at a time, and what it last told."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Final

import msgspec

from tokentape.core.errors import CrowdBusy, TokentapeError
from tokentape.server.crowd.orders import Order, Report

_log = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-m", "tokentape.server.crowd")
MAX_LINE: Final = 65_536
"""Of a report; its stream holds twice that, and the crowd waits."""
END_SECONDS: Final = 8.0
"""For the crowd to end by itself, once it is told to."""
MARGIN_SECONDS: Final = 60.0
"""Beyond its time, after which a crowd that has not ended is killed."""


class CrowdProcess:
    """Starts a crowd, and keeps what it told last."""

    def __init__(self) -> None:
        self.order: Order | None = None
        self.report = Report()
        self.started_at = 0.0
        self._process: Process | None = None
        self._following: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._following is not None and not self._following.done()

    async def start(self, order: Order) -> None:
        """Raises `CrowdBusy` while there is one, and `TokentapeError` when there can be none."""
        if self.running:
            raise CrowdBusy("A crowd is watching already. Wait for its end, or end it: DELETE /v1/admin/crowd.")
        self.order, self.started_at = order, time.time()
        self.report = Report(state="connecting")
        self._following = asyncio.get_running_loop().create_task(self._follow(order), name="tokentape-crowd")

    async def stop(self) -> None:
        """Ends it, and waits for what it tells last; without effect when there is none."""
        following = self._following
        if following is None:
            return
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
        _, late = await asyncio.wait([following], timeout=END_SECONDS)
        for task in late:
            task.cancel()
            await asyncio.wait([task])

    async def _follow(self, order: Order) -> None:
        try:
            async with asyncio.timeout(order.seconds + MARGIN_SECONDS):
                await self._run(order)
        except TimeoutError:
            self._fail("It did not end by itself, and was killed.")
        except TokentapeError as error:
            self._fail(error.message)
        except OSError as error:
            self._fail(f"The process could not be started: {error.strerror}.")
        finally:
            if self.report.state != "ended":
                self._fail("It was ended before it could tell what came of it.")

    async def _run(self, order: Order) -> None:
        # The order, which may hold a key, goes through the pipe: arguments are for all to see.
        process = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=MAX_LINE
        )
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            while line := await process.stdout.readline():
                self.report = msgspec.json.decode(line, type=Report)
            await process.wait()
        except (ValueError, msgspec.MsgspecError):
            _log.warning("the crowd told what cannot be read")
            raise TokentapeError("The process told what cannot be read.") from None
        finally:
            self._process = None
            if process.returncode is None:
                process.kill()
                await process.wait()
        if self.report.state != "ended":
            raise TokentapeError(f"The process ended with code {process.returncode}.")

    def _fail(self, why: str) -> None:
        _log.warning("the crowd: %s", why)
        self.report = msgspec.structs.replace(self.report, state="ended", connected=0, error=self.report.error or why)
