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

    def __init__(self, session: aiohttp.ClientSession, path: str) -> None:
        self._session = session
        self.path = path
        self._last = ""
        self.text = ""
        self.thoughts = ""
        self.error = ""
        self.reason: str | None = None
        self._more = asyncio.Event()

    async def read(self) -> None:
        """Reads until the run has ended, or the connection has."""
        decoder = SseDecoder()
        async with self._session.get(self.path, headers={"Last-Event-ID": self._last} if self._last else {}) as view:
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


class Application:
    """The example, with a way to it and a way from it to the model that can be cut."""

    def __init__(self, port: int, upstream: Relay) -> None:
        self._port = port
        self._upstream = upstream

    async def try_out(self, library: str) -> Reader:
        """Cuts off who watches an answer, then stops another one; returns the first."""
        async with (
            Relay("127.0.0.1", self._port) as downstream,
            aiohttp.ClientSession(f"http://127.0.0.1:{downstream.port}") as session,
        ):
            whole = await self._ask(session, library)
            reading = asyncio.create_task(whole.read())
            await whole.has(20)
            assert downstream.cut() >= 1
            with pytest.raises(aiohttp.ClientError):
                await reading
            await whole.read()
            again = Reader(session, whole.path)
            await again.read()
            assert (whole.text, whole.reason) == (again.text, "stop")
            assert whole.text.startswith("You asked: “Why are there tides?”.")

            stopped = await self._ask(session, library)
            reading = asyncio.create_task(stopped.read())
            await stopped.has(20)
            async with session.post(f"{stopped.path}/stop") as answer:
                assert await answer.json() == {"reason": "stopped"}
            await reading
            assert stopped.reason == "stopped"
            assert len(stopped.text) < len(whole.text)
            return whole

    async def cut_the_model_off(self, library: str) -> Reader:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{self._port}") as session:
            reader = await self._ask(session, library)
            reading = asyncio.create_task(reader.read())
            await reader.has(20)
            assert self._upstream.cut() >= 1
            await reading
            return reader

    async def _ask(self, session: aiohttp.ClientSession, library: str) -> Reader:
        async with session.post(f"/ask/{library}", params={"question": "Why are there tides?"}) as answer:
            return Reader(session, f"/runs/{(await answer.json())['run']}")


async def test_an_iterator_is_recorded_resumed_stopped_and_never_whole_when_it_is_not(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        model = await enter(running("simulate", "--rate", "50", "--tokens", "250", log=tmp_path / "model.log"))
        upstream = await enter(Relay("127.0.0.1", URL(model).port or 0))
        app = await enter(
            program(
                *(sys.executable, "-m", "uvicorn", "app:app", "--port", "0", "--timeout-graceful-shutdown", "1"),
                cwd=EXAMPLES / "iterators",
                TAPE_STORE=f"sqlite:///{tmp_path}/answers.db",
                OPENAI_BASE_URL=f"http://127.0.0.1:{upstream.port}/v1",
                OPENAI_API_KEY="any",
                MODEL="simulated?reasoning=10",
            )
        )
        application = Application(int((await app.says(r"running on http://[\d.]+:(\d+)"))[1]), upstream)
        agent, chain = await asyncio.gather(*map(application.try_out, LIBRARIES))
        assert agent.thoughts
        assert agent.text == chain.text, "two libraries, the same model"
        # What the model said before it was cut off is kept, and nobody takes it for the whole.
        for library in LIBRARIES:
            half = await application.cut_the_model_off(library)
            assert (half.reason, half.error) == ("error", "provider_error")
            assert agent.text.startswith(half.text)
