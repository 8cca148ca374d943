"""Several real processes on one Redis: servers and workers, which can be killed, frozen and told to end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import aiohttp
from redis_server import RedisServer

START_SECONDS = 60
HELLO = [{"role": "user", "content": "Hello"}]


class Program:
    """One `tokentape` command that runs until it is told to end."""

    def __init__(self, log: Path, *arguments: str, env: dict[str, str]) -> None:
        self._log = log
        self._arguments = arguments
        self._env = env
        self._process: asyncio.subprocess.Process | None = None
        self.told: dict[str, Any] = {}
        """What it said with --json once it was ready."""

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tokentape", *self._arguments, "--json",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log,
                env={**os.environ, **self._env},
            )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = await self._process.stdout.readline()
        assert line, self.log()
        self.told = json.loads(line)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None and self._process.returncode is None:
            self.signal(signal.SIGKILL)
            await self._process.wait()

    async def end(self) -> int:
        """Tells it to end, and returns its exit code."""
        assert self._process is not None
        self.signal(signal.SIGTERM)
        async with asyncio.timeout(START_SECONDS):
            return await self._process.wait()

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    # Of a server

    @property
    def port(self) -> int:
        return int(self.told["url"].rpartition(":")[2])

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """One request; its status, and its answer as JSON."""
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.told["url"] + path, json=body, headers=headers) as reply,
        ):
            return reply.status, await reply.json(content_type=None)

    async def start_run(self, *, key: str | None = None, rate: int = 100, tokens: int = 300, **request: Any) -> Any:
        """A run of the simulated model."""
        body = {"messages": HELLO, "simulated": {"rate": rate, "tokens": tokens, "seed": 1}, **request}
        status, run = await self.ask("POST", "/v1/runs", body, **({"Idempotency-Key": key} if key else {}))
        assert status in (200, 201), run
        return run

    async def run(self, run_id: str) -> Any:
        """What it knows of a run."""
        status, run = await self.ask("GET", f"/v1/runs/{run_id}")
        assert status == 200, run
        return run

    async def until(self, run_id: str, **expected: Any) -> Any:
        """Waits until a run is so."""
        async with asyncio.timeout(START_SECONDS):
            while True:
                run = await self.run(run_id)
                if all(run.get(name) == value for name, value in expected.items()):
                    return run
                await asyncio.sleep(0.05)

    async def events(self, run_id: str) -> list[dict[str, Any]]:
        """All events of a run, as they are recorded, up to its end."""
        found: list[dict[str, Any]] = []
        after = "start"
        async with asyncio.timeout(START_SECONDS):
            while True:
                path = f"/v1/runs/{run_id}/events?wait=5&merge=false&from={after}"
                status, page = await self.ask("GET", path, Accept="application/json")
                assert status == 200, page
                found += [event for event in page["events"] if "cursor" in event]
                after = page["cursor"]
                if page["ended"]:
                    return found


class Fleet:
    """Starts them, and ends whatever is left."""

    def __init__(self, folder: Path, redis: RedisServer, **env: str) -> None:
        self.redis = redis
        self._folder = folder
        self._env = {"TOKENTAPE_RUNS_LEASE": "2s", **env}
        self._stack = AsyncExitStack()
        self._count = 0

    async def serve(self, *, port: int = 0, **env: str) -> Program:
        return await self._start("serve", "--port", str(port), env=env)

    async def worker(self, concurrency: int = 10, **env: str) -> Program:
        return await self._start("worker", "--concurrency", str(concurrency), env=env)

    async def _start(self, command: str, *arguments: str, env: dict[str, str]) -> Program:
        self._count += 1
        log = self._folder / f"{command}-{self._count}.log"
        program = Program(log, command, "--store", self.redis.url, *arguments, env={**self._env, **env})
        self._stack.push_async_callback(program.kill)
        await program.start()
        return program

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def fleet(folder: Path, *options: str, **env: str) -> AsyncIterator[Fleet]:
    with RedisServer(folder, *options) as redis:
        async with Fleet(folder, redis, **env) as made:
            yield made


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The types of events, each stretch of tokens as one."""
    types: list[str] = []
    for event in events:
        if not (event["type"] == "token" and types[-1:] == ["token"]):
            types.append(event["type"])
    return types
