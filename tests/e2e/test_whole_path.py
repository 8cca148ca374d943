"""A real input, the whole way: another process's model → provider → SQLite → SSE, WebSocket and long-poll."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from commands import running

from tokentape.client import Client
from tokentape.core.transcript import Transcript

KEY = "sk-planted-5f2a9c"
QUESTION = [{"role": "user", "content": "How do tides work?"}]
CONFIG = """
[models.far]
provider = "{provider}"
model = "gpt-{model}"
base_url = "{base}"
api_key = "{key}"
"""


class Way:
    """Both processes, and a client of the second."""

    def __init__(self, upstream: str, url: str, client: Client, logs: list[Path]) -> None:
        self.upstream = upstream
        self.url = url
        self.client = client
        self.logs = logs

    async def stats(self) -> dict:
        async with aiohttp.ClientSession() as session, session.get(f"{self.upstream}/stats") as answer:
            return await answer.json()

    async def until(self, **wanted: int) -> None:
        async with asyncio.timeout(10):
            while not wanted.items() <= (await self.stats()).items():
                pass  # it happens in another process


@pytest_asyncio.fixture(params=["openai", "anthropic"], loop_scope="session")
async def path(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Way]:
    logs = [tmp_path / "simulate.log", tmp_path / "serve.log"]
    async with running("simulate", "--rate", "300", "--tokens", "200", log=logs[0]) as upstream:
        base = f"{upstream}/v1" if request.param == "openai" else upstream
        config = tmp_path / "tokentape.toml"
        config.write_text(CONFIG.format(provider=request.param, model="4o", base=base, key=KEY))
        store = f"sqlite:///{tmp_path}/tape.db"
        async with (
            running("serve", "--config", str(config), "--store", store, log=logs[1]) as url,
            Client(url) as client,
        ):
            yield Way(upstream, url, client, logs)


async def _watch(client: Client, stream: str, transport: str) -> Transcript:
    transcript = Transcript()
    async for item in client.watch(stream, transport=transport):
        transcript.apply(item.event)
    return transcript


@pytest.mark.asyncio(loop_scope="session")
async def test_every_watcher_has_what_the_model_said(path: Way) -> None:
    run = await path.client.start({"model": "far", "messages": QUESTION})
    watched = await asyncio.gather(*(_watch(path.client, run.stream, kind) for kind in ("sse", "ws", "poll")))
    late = await _watch(path.client, run.stream, "sse")
    texts = {seen.text(run.id) for seen in (*watched, late)}
    assert len(texts) == 1
    assert "tides" in texts.pop()
    info = await path.client.run(run.id)
    assert (info.reason, info.usage["output_tokens"]) == ("stop", 200)
    assert "estimated" not in info.usage
    assert (await path.stats())["completed"] == 1
    for log in path.logs:
        assert KEY not in log.read_text()


@pytest.mark.asyncio(loop_scope="session")
async def test_stop_from_a_second_client_reaches_the_provider_within_a_second(path: Way) -> None:
    run = await path.client.start({"model": "far", "messages": QUESTION})
    async with path.client.watch(run.stream) as watch:
        async for item in watch:
            if item.event.type == "token":
                break
        assert (await path.stats())["active"] == 1
        async with Client(path.url) as other:
            stopped = await other.stop(run.id, reason="enough")
        await path.until(active=0, aborted=1)
        ends = [item.event async for item in watch if item.event.type == "done"]
    assert stopped.reason == "stopped"
    assert [end.data["reason"] for end in ends] == ["stopped"]


@pytest.mark.asyncio(loop_scope="session")
async def test_last_watcher_leaves_and_the_provider_is_let_go(path: Way) -> None:
    run = await path.client.start({"model": "far", "messages": QUESTION, "on_no_watchers": {"stop_after": 0.1}})
    async with path.client.watch(run.stream) as watch:
        await anext(watch)
    await path.until(active=0, aborted=1)
    ends = [item.event async for item in path.client.watch(run.stream) if item.event.type == "done"]
    assert (ends[0].data["reason"], ends[0].data["detail"]) == ("stopped", "no_watchers")


@pytest.mark.asyncio(loop_scope="session")
async def test_a_disconnect_is_not_a_stop(path: Way) -> None:
    run = await path.client.start({"model": "far", "messages": QUESTION})
    async with path.client.watch(run.stream) as watch:
        await anext(watch)
    seen = await _watch(path.client, run.stream, "sse")
    assert seen.messages()[0].state == "stop"


@pytest.mark.asyncio(loop_scope="session")
async def test_a_planted_key_is_nowhere(path: Way) -> None:
    async with aiohttp.ClientSession() as session:
        for where in ("/v1/models", "/v1/runs", "/v1/openapi.json", "/healthz", "/readyz"):
            async with session.get(path.url + where) as answer:
                assert KEY not in await answer.text()
        # A fault of the provider is told without what it may have echoed.
        faulty = {"model": "far", "messages": [{"role": "user", "content": f"say {KEY} and fail"}]}
        async with session.post(path.url + "/v1/runs", json=faulty) as answer:
            assert re.fullmatch(r"r_\w+", json.loads(await answer.text())["id"])
    for log in path.logs:
        assert KEY not in log.read_text()
