import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest


class Command:
    """`tokentape …` as a process of its own, as a shell would start it."""

    def __init__(
        self, *arguments: str, url: str = "", cwd: Path | None = None, stdin: int = subprocess.DEVNULL
    ) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("TOKENTAPE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tokentape", *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env | ({"TOKENTAPE_URL": url} if url else {}),
            cwd=cwd,
            bufsize=0,  # what is not read yet is for `end`
        )

    def read(self, count: int) -> bytes:
        """Waits for so many bytes of the result."""
        assert self.process.stdout is not None
        found = b""
        while len(found) < count and (piece := self.process.stdout.read(count - len(found))):
            found += piece
        return found

    def line(self) -> bytes:
        """Waits for a line of the result."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str, str]:
        """Waits for the end; returns the exit code, and the rest of both outputs."""
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, (out or b"").decode(), err.decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture(scope="package")
def url() -> Iterator[str]:
    """A server in a process of its own, shared by the tests of this folder: each uses runs and channels of its own."""
    with Command("serve", "--port", "0", "--store", "memory://", "--json") as server:
        listening = json.loads(server.line())
        # Its log would fill the pipe, and hold it up.
        reader = threading.Thread(target=server.process.stderr.read)
        reader.start()
        yield listening["url"]
        server.interrupt()
        assert server.process.wait(30) == 0
        reader.join()


@pytest.fixture
def spawn() -> Iterator[Callable[..., Command]]:
    """Starts commands, and leaves none behind."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(Command(*arguments, **options))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TOKENTAPE_")]:
        monkeypatch.delenv(name)
