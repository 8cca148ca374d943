"""Runs a server that knows nothing of benchmarks: writes its configuration, tells when it accepts, ends it.

    python launch.py --port P --template FILE [--set WORD=VALUE]… [--env NAME=VALUE]… -- PROGRAM ARGUMENT…

The configuration is the template with each @WORD@ replaced, in the working folder. @PORT@ is the port, @FREE_PORT@
another free one, @CONFIG@ (in arguments) the file that was written. What the server prints goes to stderr. `ready`
names its process, so this launcher counts neither for its CPU nor for its memory.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from control import ready, say

READY_SECONDS: Final = 60
POLL_SECONDS: Final = 0.02
TERM_SECONDS: Final = 0.5
_WORD: Final = re.compile(r"@([A-Z_]+)@")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def fill(text: str, words: dict[str, str]) -> str:
    """Raises `KeyError` for a word that was not set."""
    return _WORD.sub(lambda match: words[match[1]], text)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not accepts(port):
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode} before it was ready")
        if time.monotonic() > deadline:
            process.kill()
            raise SystemExit(f"{process.args!r} does not listen on port {port} after {READY_SECONDS} s")
        time.sleep(POLL_SECONDS)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(TERM_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--template", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="WORD=VALUE")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    port = options.port or free_port()
    config = Path.cwd() / options.template.name
    words = {"PORT": str(port), "FREE_PORT": str(free_port()), "CONFIG": str(config)}
    words |= dict(item.split("=", 1) for item in options.set)
    config.write_text(fill(options.template.read_text("utf-8"), words), "utf-8")
    process = subprocess.Popen(
        [fill(argument, words) for argument in options.command],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        env={**os.environ, **dict(item.split("=", 1) for item in options.env)},
    )
    try:
        wait_until_ready(process, port)
        ready(port, process.pid)
        for line in sys.stdin:
            if line.strip() == "quit":
                break
            say(error="this server is fed by a publisher; commands are: quit")
    finally:
        end(process)


if __name__ == "__main__":
    main()
