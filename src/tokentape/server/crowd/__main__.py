"""`python -m tokentape.server.crowd`: an order comes in, reports go out, and the end of its input is its end."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

import msgspec

from tokentape.server.crowd.crowd import Crowd
from tokentape.server.crowd.orders import Order, Report


def _tell(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


async def main() -> None:
    """One crowd."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    crowd = Crowd(order, _tell)
    loop = asyncio.get_running_loop()

    def hear() -> None:
        # Nothing more is ever sent: what can be read is the end, also that of a server that was killed.
        loop.remove_reader(sys.stdin.fileno())
        crowd.stop()

    loop.add_reader(sys.stdin.fileno(), hear)
    await crowd.run()


def run() -> None:
    """On uvloop, where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - not on every system
    except ImportError:
        asyncio.run(main())
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


if __name__ == "__main__":
    # Whoever reads may be gone, and whoever started it may be interrupted.
    with suppress(BrokenPipeError, KeyboardInterrupt):
        run()
