"""Pydantic AI and LangChain, recorded: over real HTTP to a simulated model, cut on both sides, and stopped."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from commands import running
from example_builds import EXAMPLES
from programs import program
from yarl import URL

from tokentape.cli.relay import Relay
from tokentape.core.sse import SseDecoder

LIBRARIES = ("pydantic-ai", "langchain")


class Reader:
    """Watches a run as an `EventSource` would: after a cut it goes on behind the last event that it has."""

    def __init__(self, session: aiohttp.ClientSession, run: str) -> None:
        self._session = session
        self._path = f"/runs/{run}"
        self._last = ""
        self.text = ""
        self.thoughts = ""
        self.error = ""
        self.reason: str | None = None
        self._more = asyncio.Event()

    async def read(self) -> None:
        """Reads until the run has ended, or the connection has."""
        decoder = SseDecoder()
        async with self._session.get(self._path, headers={"Last-Event-ID": self._last} if self._last else {}) as view:
            async for data in view.content.iter_any():
                for block in decoder.receive_data(data):
                    if block.data != "[DONE]":
                        self._last = block.id or self._last
                        self._take(json.loads(block.data))

    def _take(self, event: dict) -> None:
        data = event["data"]
        match event["type"]:
            case "token":
                self.text += data
            case "reasoning":
                self.thoughts += data
            case "error":
                self.error = data["code"]
            case "done":
                self.reason = data["reason"]
        self._more.set()

    async def has(self, length: int) -> None:
        async with asyncio.timeout(20):
            while len(self.text) < length:
                self._more.clear()
                await self._more.wait()


@pytest.mark.timeout(180)
async def test_an_iterator_is_recorded_resumed_stopped_and_never_whole_when_it_is_not(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(
            running("simulate", "--rate", "100", "--tokens", "150", log=tmp_path / "model.log")
        )
        upstream = await stack.enter_async_context(Relay("127.0.0.1", URL(model).port or 0))
        app = await stack.enter_async_context(
            program(
                *(sys.executable, "-m", "uvicorn", "app:app", "--port", "0", "--timeout-graceful-shutdown", "1"),
                cwd=EXAMPLES / "iterators",
                TAPE_STORE=f"sqlite:///{tmp_path}/answers.db",
                OPENAI_BASE_URL=f"http://127.0.0.1:{upstream.port}/v1",
                OPENAI_API_KEY="any",
                MODEL="simulated?reasoning=10",
            )
        )
        port = int((await app.says(r"running on http://[\d.]+:(\d+)"))[1])
        downstream = await stack.enter_async_context(Relay("127.0.0.1", port))
        session = await stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{downstream.port}"))

        async def ask(library: str) -> Reader:
            async with session.post(f"/ask/{library}", params={"question": "Why are there tides?"}) as answer:
                return Reader(session, (await answer.json())["run"])

        # Who watches is cut off, and goes on.
        readers = [await ask(library) for library in LIBRARIES]
        reading = [asyncio.create_task(reader.read()) for reader in readers]
        await asyncio.gather(*(reader.has(20) for reader in readers))
        assert downstream.cut() >= 2
        for cut in await asyncio.gather(*reading, return_exceptions=True):
            assert isinstance(cut, aiohttp.ClientError)
        await asyncio.gather(*(reader.read() for reader in readers))
        for reader in readers:
            again = Reader(session, reader._path.rpartition("/")[2])
            await again.read()
            assert (reader.text, reader.reason) == (again.text, "stop")
            assert reader.text.startswith("You asked: “Why are there tides?”.")
        assert readers[0].thoughts
        assert readers[0].text == readers[1].text, "two libraries, the same model"

        # Stopped: the iterator is closed, and with it the connection to the model.
        readers = [await ask(library) for library in LIBRARIES]
        reading = [asyncio.create_task(reader.read()) for reader in readers]
        await asyncio.gather(*(reader.has(20) for reader in readers))
        for reader in readers:
            async with session.post(f"{reader._path}/stop") as answer:
                assert await answer.json() == {"reason": "stopped"}
        await asyncio.gather(*reading)
        assert [reader.reason for reader in readers] == ["stopped", "stopped"]

        # The model is cut off: what it said is kept, and nobody takes it for the whole.
        readers = [await ask(library) for library in LIBRARIES]
        reading = [asyncio.create_task(reader.read()) for reader in readers]
        await asyncio.gather(*(reader.has(20) for reader in readers))
        assert upstream.cut() >= 2
        await asyncio.gather(*reading)
        assert [(reader.reason, reader.error) for reader in readers] == [("error", "provider_error")] * 2
