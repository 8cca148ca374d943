"""nginx, HAProxy and Caddy in front of two instances: tokens come at once and one by one, and any instance will do."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from proxies import DEPLOY, NAMES, Proxy

from tokentape.cli.child import ServerProcess
from tokentape.cli.exits import Exit
from tokentape.core.sse import SseDecoder

Instances = tuple[ServerProcess, ServerProcess]

FIRST_TOKEN_SECONDS: Final = 0.2
ATTEMPTS: Final = 5
"""A busy machine may be late once; a proxy that buffers is late always."""
RATE: Final = 50
TOKENS: Final = 60
FEW: Final = 5
"""For a run of which only the first token is looked at."""
ENOUGH: Final = 200
"""Bytes of an answer in which a gap would be seen."""
PATIENCE: Final = 60.0


def request(*, tokens: int = TOKENS, rate: int = RATE, channel: str | None = None) -> dict[str, Any]:
    return {
        "model": "simulated",
        "messages": [{"role": "user", "content": "hello"}],
        "channel": channel,
        "simulated": {"rate": rate, "tokens": tokens, "seed": 7},
    }


@asynccontextmanager
async def browser(proxy: Proxy) -> AsyncIterator[aiohttp.ClientSession]:
    trust = ssl.create_default_context(cafile=str(proxy.certificate))
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), timeout=timeout) as session:
        yield session


class Arrivals:
    """When each token came, from the moment it was asked for."""

    def __init__(self) -> None:
        self.text = ""
        self.moments: list[float] = []
        self._began = time.monotonic()

    def take(self, event: dict[str, Any]) -> None:
        if event["type"] == "token":
            self.moments.append(time.monotonic() - self._began)
            self.text += event["data"]

    def bunched(self) -> str:
        """What speaks against it that the whole took as long as it should, and no part of it came in one go."""
        seconds = self.moments[-1] - self.moments[0]
        moments = {round(moment, 2) for moment in self.moments}
        if seconds > TOKENS / RATE * 0.6 and len(moments) > TOKENS / 4:
            return ""
        return f"{TOKENS} tokens came at {len(moments)} moments in {seconds:.2f} s"


async def one_by_one(ask: Callable[[], Awaitable[Arrivals]]) -> Arrivals:
    """Asks again where tokens came in a bunch: a machine that stood still for a moment is no proxy that buffers."""
    for _ in range(ATTEMPTS):
        found = await ask()
        if not (bunched := found.bunched()):
            return found
    raise AssertionError(bunched)


def events_of(decoder: SseDecoder, data: bytes) -> list[dict[str, Any]]:
    """Without the `[DONE]` that ends a stream."""
    return [json.loads(event.data) for event in decoder.receive_data(data) if event.data.startswith("{")]


async def streamed(session: aiohttp.ClientSession, url: str, *, tokens: int = TOKENS) -> Arrivals:
    """A run that is started and streamed by one POST, as a page does it."""
    found = Arrivals()
    decoder = SseDecoder()
    body = request(tokens=tokens)
    async with session.post(f"{url}/v1/runs", json=body, headers={"Accept": "text/event-stream"}) as answer:
        assert answer.status == 200, await answer.text()
        async for part in answer.content.iter_any():
            for event in events_of(decoder, part):
                found.take(event)
    return found


async def over_websocket(session: aiohttp.ClientSession, url: str, channel: str) -> Arrivals:
    """A channel that is watched while a run is started in it."""
    async with session.ws_connect(f"{url}/v1/ws", protocols=["tokentape.v1"]) as socket:
        await socket.send_json({"op": "subscribe", "id": 1, "stream": channel, "from": "now"})
        assert (await socket.receive_json())["op"] == "ack"
        found = Arrivals()
        async with session.post(f"{url}/v1/runs", json=request(channel=channel)) as answer:
            assert answer.status == 201
        while True:
            event = (await socket.receive_json()).get("event", {"type": ""})
            found.take(event)
            if event["type"] == "done":
                return found


async def watch(proxy: Proxy, run: str, transport: str) -> asyncio.subprocess.Process:
    """`tokentape watch`, through the proxy."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tokentape", "watch", run, "--url", proxy.url, "--transport", transport),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "SSL_CERT_FILE": str(proxy.certificate)},
    )


def stdout(process: asyncio.subprocess.Process) -> asyncio.StreamReader:
    assert process.stdout is not None
    return process.stdout


async def watchers(session: aiohttp.ClientSession, at: str, run: str) -> int:
    """How many watch a run through this instance."""
    async with session.get(f"{at}/v1/streams?prefix=runs/{run}") as answer:
        [stream] = (await answer.json())["streams"]
    count: int = stream["watchers"]
    return count


@pytest.mark.parametrize("name", NAMES)
async def test_tokens_come_at_once_and_one_by_one(name: str, instances: Instances, tmp_path: Path) -> None:
    with Proxy(name, tmp_path, (instances[0].port, instances[1].port)) as proxy:
        assert proxy.protocol == "h2"
        async with browser(proxy) as session:
            first = [(await streamed(session, proxy.url, tokens=FEW)).moments[0] for _ in range(2)]
            whole = await one_by_one(lambda: streamed(session, proxy.url))
            assert min(*first, whole.moments[0]) <= FIRST_TOKEN_SECONDS
            socket = await one_by_one(lambda: over_websocket(session, proxy.url, "room"))
            assert socket.moments[0] <= FIRST_TOKEN_SECONDS * ATTEMPTS
            assert socket.text == whole.text


@pytest.mark.parametrize("name", NAMES)
async def test_row_8_watchers_of_a_killed_instance_go_on_at_the_other(
    name: str, instances: Instances, tmp_path: Path
) -> None:
    """Six of them, over both transports, without sticky sessions; the run is at the instance that stays.

    More come until somebody is at the other, since a proxy leaves an instance alone that was slow to say that it is
    well. The run goes on until all of them have come back, and is stopped then.
    """
    stays, dies = instances
    with Proxy(name, tmp_path, (stays.port, dies.port)) as proxy:
        async with aiohttp.ClientSession() as session:
            at, there = (f"http://127.0.0.1:{each.port}" for each in instances)
            async with session.post(f"{at}/v1/runs", json=request(tokens=100_000)) as answer:
                run = (await answer.json())["id"]
            watching = [await watch(proxy, run, transport) for transport in ("sse", "ws") * 3]
            async with asyncio.timeout(PATIENCE):
                begun = [await output.read(1) for output in map(stdout, watching)]
                for _ in range(ATTEMPTS):
                    if await watchers(session, there, run):
                        break
                    watching += [await watch(proxy, run, transport) for transport in ("sse", "ws")]
                    begun += [await output.read(1) for output in map(stdout, watching[-2:])]
                assert await watchers(session, there, run), "all watchers are at one instance"
                await dies.kill()
                while await watchers(session, at, run) != len(watching):  # noqa: ASYNC110 - HTTP does not tell
                    await asyncio.sleep(0.05)
                begun[0] += await stdout(watching[0]).readexactly(ENOUGH)
                async with session.post(f"{at}/v1/runs/{run}/stop") as answer:
                    assert answer.status == 200
                texts = [first + await stdout(process).read() for first, process in zip(begun, watching, strict=True)]
                codes = [await process.wait() for process in watching]
            async with session.get(f"{at}/v1/runs/{run}/events?merge=false") as answer:
                events = events_of(SseDecoder(), await answer.read())
        expected = "".join(event["data"] for event in events if event["type"] == "token")
        assert [text.decode().strip() for text in texts] == [expected.strip()] * len(watching)
        assert set(codes) == {Exit.RUN_STOPPED}


@pytest.mark.parametrize("name", ["nginx", "caddy"])
async def test_row_27_tokens_come_at_once_with_default_settings_too(
    name: str, instances: Instances, tmp_path: Path
) -> None:
    found = await by_default(name, instances, tmp_path)
    assert min(arrivals.moments[0] for arrivals in found) <= FIRST_TOKEN_SECONDS


async def test_row_27_nginx_refuses_websockets_by_default(instances: Instances, tmp_path: Path) -> None:
    """Known, and named in deploy/README.md: it speaks HTTP/1.0 to instances, and drops `Upgrade`."""
    with Proxy("nginx", tmp_path, (instances[0].port, instances[1].port), plain=True) as proxy:
        async with browser(proxy) as session:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(f"{proxy.url}/v1/ws", protocols=["tokentape.v1"])


async def test_row_27_haproxy_holds_tokens_back_by_default(instances: Instances, tmp_path: Path) -> None:
    """Known, and named in deploy/README.md: without `option http-no-delay` it collects for a fifth of a second."""
    with pytest.raises(AssertionError, match="tokens came at"):
        await by_default("haproxy", instances, tmp_path)


async def by_default(name: str, instances: Instances, tmp_path: Path) -> list[Arrivals]:
    with Proxy(name, tmp_path, (instances[0].port, instances[1].port), plain=True) as proxy:
        async with browser(proxy) as session:
            first = [await streamed(session, proxy.url, tokens=FEW) for _ in range(2)]
            return [*first, await one_by_one(lambda: streamed(session, proxy.url))]


def test_the_nginx_of_compose_has_the_settings_of_the_one_that_is_tested() -> None:
    """It cannot be run here, since it names the services of compose.yaml."""

    def directives(path: str) -> set[str]:
        lines = (line.partition("#")[0].split() for line in (DEPLOY / path).read_text().splitlines())
        found = {" ".join(words) for words in lines if words}
        return {line for line in found if not line.startswith(("server ", "listen ", "ssl_", "server_name", "return "))}

    assert directives("compose/nginx.conf") == directives("nginx/tokentape.conf")
