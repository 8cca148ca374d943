"""A program that obeys lines on its stdin and answers with lines of JSON: started on one core, ended for certain."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from harness import proc

FROM_STDOUT: Final = "stdout: "
"""Before lines in the log that are no JSON."""
LONGEST_LINE: Final = 1 << 20
QUIT_SECONDS: Final = 1.0
"""How long a program may take to end when it is asked to; after that it is made to."""
KILL_SECONDS: Final = 5.0

Answer = dict[str, Any]

_PATH = re.compile(r"(?<![\w.:/])/(?:[^\s'\":,;()]+/)+([^\s'\":,;()/]*)")


class ChildError(Exception):
    """A program did not start, ended, or did not answer; the message is fit for the results: it names no paths."""

    def __init__(self, message: str) -> None:
        super().__init__(without_paths(message))


def without_paths(text: str) -> str:
    """The text with each absolute path cut down to its last part; addresses (`http://…`) stay."""
    return _PATH.sub(r"\1", text)


def environment() -> dict[str, str]:
    """The harness's environment without what would lead a program elsewhere: proxies, other Python folders."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and name not in {"PYTHONPATH", "PYTHONHOME"}
    }
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1", "NODE_ENV": "production"}


class Child:
    """One running program, in a session of its own: a Ctrl-C reaches the harness alone."""

    def __init__(self, name: str, command: Sequence[str], *, core: int, log: Path, cwd: Path | None = None) -> None:
        self.name = name
        self._log = log
        self._rest = b""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stderr:
            stderr.write(f"\n$ {shlex.join(command)}\n".encode())
            stderr.flush()
            self._from = stderr.tell()
            own = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {core})  # a child, its threads and its children inherit it
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    cwd=cwd,
                    env=environment(),
                    start_new_session=True,
                    bufsize=0,
                )
            except OSError as error:
                raise ChildError(f"{name} cannot be started: {error.strerror or error}") from error
            finally:
                os.sched_setaffinity(0, own)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin = self._process.stdin
        self._stdout = self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, command: str, *, seconds: float) -> Answer:
        """Sends one command; gives the next line of JSON."""
        self.tell(command)
        return self.answer(seconds=seconds, what=f"an answer to {command!r}")

    def tell(self, command: str) -> None:
        try:
            self._stdin.write(command.encode() + b"\n")
        except OSError as error:
            raise ChildError(f"{self.name} has ended{self._last_words()}") from error

    def answer(self, *, seconds: float, what: str = "a line", key: str | None = None) -> Answer:
        """The next line of JSON (with `key`: the next one that has it); lines of anything else go to the log."""
        deadline = time.monotonic() + seconds
        while True:
            line = self._line(deadline, what)
            try:
                found = json.loads(line)
            except ValueError:
                found = None
            if isinstance(found, dict) and (key is None or key in found):
                return found
            with self._log.open("ab") as log:
                log.write(FROM_STDOUT.encode() + line + b"\n")

    def has_answered(self) -> bool:
        """Whether a line, or the program's end, can be read without waiting."""
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        return b"\n" in self._rest or bool(poll.poll(0))

    def end(self) -> None:
        """Asks the program to quit, then makes it: it, its group, and whatever descends from it."""
        members = proc.tree(self.pid)  # before it ends: after that its children are somebody else's
        with contextlib.suppress(OSError):
            self._stdin.write(b"quit\n")
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(QUIT_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(KILL_SECONDS)
        finally:
            self._stdout.close()
            self._end_members(members)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _end_members(self, members: Sequence[proc.Stat]) -> None:
        """Ends descendants that outlived the program, each only if it still is the process that was seen."""
        for member in members:
            with contextlib.suppress(OSError, ValueError):
                handle = os.pidfd_open(member.pid)
                try:
                    now = proc.parse_stat((proc.PROC / str(member.pid) / "stat").read_text("utf-8", "replace"))
                    if now.started == member.started and now.pid != self.pid:
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                        select.select([handle], [], [], KILL_SECONDS)  # readable once it has ended
                finally:
                    os.close(handle)

    def _line(self, deadline: float, what: str) -> bytes:
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise ChildError(f"{self.name}: no sign of {what} in time{self._last_words()}")
            part = os.read(self._stdout.fileno(), 1 << 16)
            if not part:
                raise ChildError(f"{self.name} has ended{self._last_words()}")
            self._rest += part
            if len(self._rest) > LONGEST_LINE:
                raise ChildError(f"{self.name} wrote a line of more than {LONGEST_LINE} bytes")
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _last_words(self) -> str:
        """The last line that this start of the program wrote to stderr; else to stdout, beside its answers."""
        with self._log.open("rb") as log:
            log.seek(max(self._from, log.seek(0, os.SEEK_END) - 8192))
            lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        errors = [line for line in lines if not line.startswith(FROM_STDOUT)] or lines
        return f": {errors[-1].removeprefix(FROM_STDOUT)[:200]}" if errors else ""
