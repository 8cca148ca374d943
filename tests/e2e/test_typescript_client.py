"""The TypeScript client as it was built, in a real browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from browser import Visit, visiting
from playwright.async_api import Browser, Route
from served import Served

from tokentape.cli.relay import Relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

DIST: Final = Path(__file__).parents[2] / "clients" / "typescript" / "dist"

SCRIPT: Final = """
  import { createClient } from "/built/index.js";
  window.createClient = createClient;
  window.play = async (options, tokens, rate) => {
    const client = window.client = createClient(options);
    window.states = [];
    client.status.subscribe(() => states.push(client.status.get().state));
    window.run = await client.run({ messages: [{ role: "user", content: "Hello" }], simulated: { tokens, rate } });
  };
  window.finish = async () => {
    const { content, usage } = await run.done;
    let tape = "";
    for await (const event of client.watch(run.stream)) if (event.type === "token") tape += event.data;
    return { same: tape === content, tokens: usage.output_tokens, states, transport: client.status.get().transport };
  };
  document.title = "loaded";
"""


async def _serve(route: Route) -> None:
    await route.fulfill(path=DIST / route.request.url.rpartition("/built/")[2], content_type="text/javascript")


async def load(visit: Visit) -> None:
    # Any document of the server will do; one that is made up here would be none of this machine's to the browser,
    # which then lets it open no WebSocket.
    await visit.page.goto(f"{visit.origin}healthz")
    await visit.page.add_script_tag(content=SCRIPT, type="module")
    await visit.page.wait_for_function("document.title === 'loaded'")


@asynccontextmanager
async def opened(browser: Browser, origin: str) -> AsyncIterator[Visit]:
    assert (DIST / "index.js").exists(), "The TypeScript client is not built: run make typescript (make test does)."
    async with visiting(browser, origin) as visit:
        await visit.page.context.route(re.compile(r"/built/"), _serve)
        await load(visit)
        yield visit
        assert visit.foreign == []


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, server: Served) -> AsyncIterator[Visit]:
    async with opened(browser, server.url) as visit:
        yield visit


async def play(visit: Visit, options: dict[str, Any], *, tokens: int, rate: float) -> None:
    await visit.page.evaluate("([options, tokens, rate]) => play(options, tokens, rate)", [options, tokens, rate])


async def finish(visit: Visit) -> dict[str, Any]:
    return await visit.page.evaluate("finish()")


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_a_run_is_played(visit: Visit, transport: str) -> None:
    await play(visit, {"transport": transport}, tokens=50, rate=500)
    ended = await finish(visit)
    assert ended["same"]
    assert ended["tokens"] == 50
    assert ended["states"][:2] == ["connecting", "open"]
    assert visit.problems == []


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_offline_for_a_while(browser: Browser, server: Served, transport: str) -> None:
    async with Relay("127.0.0.1", server.port) as relay, opened(browser, f"http://127.0.0.1:{relay.port}/") as visit:
        # A pause so long that only the news of the network can end it. The browser may keep it to itself that a
        # WebSocket was cut while it is offline: then the silence tells.
        options = {"transport": transport, "backoff": {"base": 1e6, "cap": 1e6}, "timeouts": {"silence": 3000}}
        await play(visit, options, tokens=150, rate=100)
        await visit.page.wait_for_function("run.text.length > 20")
        await visit.page.context.set_offline(offline=True)
        relay.cut()
        await visit.page.wait_for_function("states.includes('offline')")
        await visit.page.context.set_offline(offline=False)
        ended = await finish(visit)
    assert ended["same"]
    assert ended["tokens"] == 150


async def test_a_blocked_websocket_is_given_up_and_remembered(visit: Visit) -> None:
    await visit.page.context.route_web_socket(re.compile(r"/v1/ws"), lambda socket: socket.close())
    await load(visit)
    await play(visit, {"timeouts": {"firstWord": 500}}, tokens=20, rate=0)
    assert (await finish(visit))["transport"] == "sse"
    await load(visit)
    assert await visit.page.evaluate("createClient().status.get().transport") == "sse"
