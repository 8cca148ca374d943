"""A server as a process of its own that is soon taken for dead: what it says of who is here has to be said often.

python brief_presence.py <store> <seconds>
"""

import asyncio
import sys

from tokentape.server.config import load_config
from tokentape.server.serve import serve
from tokentape.tape import Tape


async def main(store: str, seconds: str) -> None:
    config = load_config(None, {}, {"port": 0, "store": store, "shutdown_grace": 0})
    tape = Tape(config=config)
    shorten(tape, float(seconds))
    async with tape:
        await serve(tape.app, config, drain=lambda: tape.drain(0), on_ready=lambda url: print(url, flush=True))


def shorten(tape: Tape, seconds: float) -> None:
    roster = tape.channels.roster
    roster._look_seconds = seconds / 6
    roster._life = seconds - roster._look_seconds


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
