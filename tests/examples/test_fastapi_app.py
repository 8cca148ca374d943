"""The FastAPI example, run as its first lines say, and as docs/embedding.md does."""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from wire import Stream

ROOT = Path(__file__).parents[2]


class Example:
    """The application under uvicorn, as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        self._process = process
        self._stderr = process.stderr
        self.port = 0

    async def address(self) -> str:
        async with asyncio.timeout(30):
            while line := (await self._stderr.readline()).decode():
                if "running on " in line:
                    url = line.split("running on ")[1].split()[0]
                    self.port = int(url.rpartition(":")[2])
                    return url
        raise AssertionError("it did not start")

    async def end(self) -> str:
        """Ctrl-C; returns what it says from then on, and whatever nobody has read before."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
        said = await self._stderr.read()
        await self._process.wait()
        return said.decode()


@asynccontextmanager
async def running(command: str, store: Path) -> AsyncIterator[tuple[Example, aiohttp.ClientSession]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *shlex.split(command), "--port", "0"),
        cwd=ROOT / "examples",
        env={**os.environ, "TAPE_STORE": f"sqlite:///{store}/chat.db"},
        stderr=asyncio.subprocess.PIPE,
    )
    example = Example(process)
    try:
        async with aiohttp.ClientSession(await example.address()) as session:
            yield example, session
    finally:
        await example.end()


def documented() -> str:
    """The command of docs/embedding.md, for this application, with a shorter grace."""
    lines = (ROOT / "docs" / "embedding.md").read_text().splitlines()
    (command,) = [line.strip() for line in lines if line.startswith("    uvicorn --http ")]
    assert "--timeout-graceful-shutdown 20 app:app" in command
    return command.replace("shutdown 20 app:app", "shutdown 1 fastapi_app:app")


async def test_it_streams_resumes_and_stops(tmp_path: Path) -> None:
    async with running("uvicorn fastapi_app:app", tmp_path) as (_, session):
        async with session.get("/ask", params={"q": "hello"}) as answer:
            assert answer.content_type == "text/event-stream"
            run = answer.headers["x-run"]
            first = await answer.text()
        assert "hello" in first
        assert first.rstrip().endswith("data: [DONE]")
        cursor = next(line[4:] for line in first.splitlines() if line.startswith("id: "))
        async with session.get(f"/ask/{run}", headers={"Last-Event-ID": cursor}) as answer:
            rest = await answer.text()
        assert f"id: {cursor}\n" not in rest
        assert rest.rstrip().endswith("data: [DONE]")

        asking = await session.get("/ask", params={"q": "again"})
        async with session.post(f"/ask/{asking.headers['x-run']}/stop") as answer:
            assert await answer.json() == {"reason": "stopped"}
        assert '"reason":"stopped"' in await asking.text()

        # The whole API is mounted beside it.
        async with session.get(f"/tape/v1/runs/{run}") as answer:
            assert (await answer.json())["state"] == "done"
        async with session.ws_connect("/tape/v1/ws", protocols=["tokentape.v1"]) as socket:
            await socket.send_json({"op": "subscribe", "id": 1, "stream": f"runs/{run}"})
            assert (await socket.receive_json())["data"]["outcome"] == "replayed"


@pytest.mark.parametrize("direct", [True, False], ids=["as-documented", "as-it-comes"])
async def test_its_streams_are_written_directly_when_uvicorn_is_told_so(tmp_path: Path, direct: bool) -> None:
    command = documented() if direct else "uvicorn fastapi_app:app --timeout-graceful-shutdown 1"
    async with running(command, tmp_path) as (example, session):
        async with session.get("/ask", params={"q": "hello"}) as answer:
            assert (await answer.text()).rstrip().endswith("data: [DONE]")
        async with session.ws_connect("/tape/v1/ws?secret=1", protocols=["tokentape.v1"]) as socket:
            await socket.send_json({"op": "ping", "id": 1})
            assert (await socket.receive_json())["op"] == "ack"
        watching = await Stream.open(example.port, "/tape/v1/channels/room/events", headers={})
        await watching.next()
        said = await example.end()
        # No regular end: that the channel ended would not be true.
        assert await watching.rest() == "cut"
        assert (watching.decoder.retry is not None) == direct, "whether it was told when to come back"
        watching.close()
    # A stream that is written directly has no task; one that goes through ASGI has, and is cancelled with it.
    assert f"Cancel {0 if direct else 1} running task(s)" in said
    assert ("CancelledError" in said) != direct
    assert ("?secret=1" in said) != direct
