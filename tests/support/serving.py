"""A server as a process of its own, for what only a process can do: signals, and its end.

python serving.py <database> <grace>
"""

import asyncio
import logging
import sys

import uvloop

from tokentape.server.config import load_config
from tokentape.server.serve import serve
from tokentape.tape import Tape


async def main(database: str, grace: str) -> None:
    config = load_config(None, {}, {"port": 0, "shutdown_grace": grace})
    async with Tape(f"sqlite:///{database}", config=config) as tape:
        await serve(
            tape.app,
            config,
            drain=lambda: tape.drain(config.shutdown_grace),
            on_ready=lambda url: print(url, flush=True),
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
