"""Real Redis servers on free ports of the loopback interface, each in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final, Self

from ports import free_port

PROGRAMS: Final = ("redis-server", "valkey-server")
START_SECONDS: Final = 20.0


def program() -> str:
    """The server to test with: what REDIS_SERVER names, or the first of `PROGRAMS` that is installed."""
    for name in (os.environ.get("REDIS_SERVER") or PROGRAMS[0], *PROGRAMS):
        if found := shutil.which(name):
            return found
    raise FileNotFoundError(f"None of {', '.join(PROGRAMS)} is installed: scripts/program redis-server redis-server")


class RedisServer:
    """One server process. `options` are redis.conf's, as on its command line; without any it keeps nothing on disk."""

    def __init__(self, folder: Path, *options: str, port: int = 0, ready: bytes = b"+PONG") -> None:
        self._folder = folder
        self._options = options or ("--save", "", "--appendonly", "no")
        self.port = port or free_port()
        self.log = folder / f"redis-{self.port}.log"
        self._ready = ready
        """How the answer to PING begins once it is up."""
        self.login: tuple[str, ...] = ()
        """User and password for `command`."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Starts it and waits until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder),
                    "--enable-debug-command", "local", "--dbfilename", f"{self.port}.rdb", *self._options,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                if self.command("PING").startswith(self._ready):
                    return self
            except OSError:
                pass
            if self._process.poll() is not None:
                break
            time.sleep(0.01)
        self.stop()
        raise RuntimeError(f"{program()} does not start:\n{self.log.read_text()}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends the process, and waits until it has."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(how)
        try:
            self._process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def signal(self, how: signal.Signals) -> None:
        """SIGSTOP and SIGCONT, for a server that stalls."""
        assert self._process is not None
        self._process.send_signal(how)

    def command(self, *words: str) -> bytes:
        """Sends one command over a connection of its own; its answer as it is on the wire, without the last CRLF."""

        def packed(words: tuple[str, ...]) -> str:
            return f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)

        with socket.create_connection(("127.0.0.1", self.port), timeout=START_SECONDS) as connection:
            if self.login:
                connection.sendall(packed(("AUTH", *self.login)).encode())
                assert connection.recv(100) == b"+OK\r\n", "this user is not let in"
            connection.sendall(packed(words).encode())
            answer = b""
            while not answer.endswith(b"\r\n"):
                part = connection.recv(65_536)
                if not part:
                    break
                answer += part
        return answer.removesuffix(b"\r\n")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
