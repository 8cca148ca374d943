"""The protocol's own JavaScript client, unmodified, against a real server: `@durable-streams/client`."""

import asyncio
import itertools
import random
import re
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from node import CLIENTS, script
from served import composed

from tokentape.client import Client
from tokentape.core.transcript import Transcript

DOCS = Path(__file__).parents[3] / "docs" / "durable-streams.md"
PATIENCE = 100
"""Seconds for one check: with each connection that is cut, this client waits longer before the next."""
SCRIPT = CLIENTS / "durable" / "client.mjs"
READ = CLIENTS / "durable" / "read.mjs"


@asynccontextmanager
async def cutting_proxy(port: int):
    """A way to the server on which each connection is reset after some bytes of answers; yields its address.

    Every third one may carry much: an answer that is longer than any connection lasts would never arrive.
    """
    chance = random.Random(7)
    most = itertools.cycle([4000, 4000, 80_000])

    carrying: set[asyncio.Task] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carrying.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", port)
        budget = chance.randint(400, next(most))

        async def send() -> None:
            while data := await reader.read(4096):
                back.write(data)

        sending = asyncio.create_task(send())
        with suppress(OSError):
            try:
                while budget > 0 and (data := await there.read(min(budget, 4096))):
                    writer.write(data)
                    budget -= len(data)
                await writer.drain()
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                for end in (writer, back):
                    end.transport.abort()
                    with suppress(OSError):
                        await end.wait_closed()

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)


async def told_text(url: str, run: str) -> str:
    transcript = Transcript()
    async with Client(url) as client:
        async for item in client.watch(f"runs/{run}", merge=False):
            transcript.apply(item.event)
    return transcript.text(run)


async def test_the_javascript_client_does_all_that_it_can_do():
    async with composed() as (tape, url):
        port = int(url.rstrip("/").rpartition(":")[2])
        simulated = {"rate": 150, "tokens": 450, "seed": 5}
        messages = [{"role": "user", "content": "Hello"}]
        async with cutting_proxy(port) as proxy, script(SCRIPT, url.rstrip("/"), proxy) as client:

            async def check(name: str) -> dict:
                try:
                    found = await client.line(seconds=PATIENCE)
                except TimeoutError:
                    raise AssertionError(f"nothing was heard of {name!r} for {PATIENCE} s") from None
                assert found.pop("check") == name
                return found

            assert await check("write and read") == {
                "json": [{"n": 1}, {"n": 2}, {"n": 3}],
                "text": " one\ntwo ünï\n\n",
            }
            for live in ("long-poll", "sse"):
                assert await check(f"live by {live}") == {"items": ["before", "during", "last"], "closed": True}
            assert bytes((await check("pieces of text/plain"))["bytes"]) == b" a\n\n b"
            assert bytes((await check("pieces of application/octet-stream"))["bytes"]) == b"\x00\xff\n\r"

            producer = await check("idempotent producer")
            assert producer == {"written": [*range(300), "successor"], "errors": [], "zombie": "StaleEpochError"}
            assert await check("closed") == {  # what this client makes of a 409
                "closed": True,
                "refused": {"name": "FetchError", "status": 409},
            }
            # Not earlier: it is to be written while it is read.
            run = await tape.start(model="simulated", messages=messages, simulated=simulated)
            await client.tell({"run": run.id})
            followed = await check("a run")
            assert followed["text"] == await told_text(url, run.id)
            assert followed["ends"]["error"] > 3
            assert followed["denied"]["status"] == 403
            assert "belongs to a run" in followed["denied"]["text"]


async def test_two_readers_at_once_see_tools_reasoning_an_error_and_a_stop():
    asked = {"messages": [{"role": "user", "content": "Go."}]}
    kinds = {
        "told": {"rate": 100, "tokens": 60, "reasoning": 10, "tool": True},
        "failed": {"rate": 100, "tokens": 60, "fault": "error@30"},
        "stopped": {"rate": 50, "tokens": 5000},
    }
    async with composed() as (tape, url), AsyncExitStack() as stack:
        runs = {kind: await tape.start(**asked, simulated=simulated) for kind, simulated in kinds.items()}
        readers = {
            (kind, place): await stack.enter_async_context(script(READ, url.rstrip("/"), run.id))
            for kind, run in runs.items()
            for place in range(2)
        }
        for reader in readers.values():
            assert (await reader.line(seconds=PATIENCE)) == {"begun": True}
        await runs["stopped"].stop()
        told = {key: await reader.line(seconds=PATIENCE) for key, reader in readers.items()}
        for kind, run in runs.items():
            assert told[kind, 0] == told[kind, 1]
            assert told[kind, 0]["text"] == await told_text(url, run.id)
    seen = {kind: told[kind, 0]["events"] for kind in kinds}
    assert {"reasoning", "tool_call"} <= {name for name, _ in seen["told"]}
    assert [data["message"] for name, data in seen["failed"] if name == "error"]
    assert [seen[kind][-1][1]["reason"] for kind in kinds] == ["tool_calls", "error", "stopped"]


async def test_the_example_of_the_documentation_runs(tmp_path):
    before, after = re.findall(r"```js\n(.*?)```", DOCS.read_text(), re.DOTALL)[:2]
    changed = set(after.splitlines()) - set(before.splitlines())
    assert 1 <= len(changed) <= 10
    async with composed() as (tape, url):
        simulated = {"rate": 0, "tokens": 40, "seed": 5}
        messages = [{"role": "user", "content": "Hello"}]
        run = await tape.start(model="simulated", messages=messages, simulated=simulated)
        program = after.replace("http://localhost:8000", url.rstrip("/"))
        path = CLIENTS / "durable" / f"{tmp_path.name}.example.mjs"
        path.write_text(f"const id = {run.id!r}\nconst show = (text) => console.log(JSON.stringify(text))\n{program}")
        try:
            async with script(path) as example:
                shown = await example.line()
        finally:
            path.unlink()
        assert shown == await told_text(url, run.id)
