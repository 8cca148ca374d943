"""The browser's own EventSource on a plain page, with nothing of ours in between (PROTOCOL.md §3)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from browser import Visit, visiting
from playwright.async_api import Browser, Response, Route, expect
from served import Served

from tokentape.cli.relay import Relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAIN = """<!doctype html><title>plain</title>
<body data-events="0" data-opens="0" data-state="open"><script>
  const body = document.body.dataset, query = new URLSearchParams(location.search);
  const text = [], ids = [];
  const source = new EventSource(query.get("events"));
  source.onopen = () => { body.opens = Number(body.opens) + 1; };
  source.onmessage = ({ data, lastEventId }) => {
    if (data === "[DONE]") {
      body.done = "";
      if (query.has("close")) source.close();
      return;
    }
    const event = JSON.parse(data);
    if (event.type === "ready") return;
    ids.push(lastEventId);
    body.events = ids.length;
    if (event.type === "token") text.push(event.data);
  };
  source.onerror = () => { body.state = ["connecting", "open", "closed"][source.readyState]; };
</script>"""


class PlainPage:
    """Shows a run; `positions` has the `Last-Event-ID` of each of its requests, and `statuses` what was answered."""

    def __init__(self, visit: Visit) -> None:
        self.page = visit.page
        self.body = self.page.locator("body")
        self.positions: list[str | None] = []
        self.statuses: list[int] = []

    async def open(self, origin: str, run: str, *, close: bool) -> None:
        # What is really sent is known to the browser's network side only.
        devtools = await self.page.context.new_cdp_session(self.page)
        devtools.on("Network.requestWillBeSentExtraInfo", self._on_sent)
        await devtools.send("Network.enable")
        self.page.on("response", self._on_response)
        await self.page.route(re.compile(r"/plain\?"), _plain)
        await self.page.goto(f"{origin}plain?events=/v1/runs/{run}/events{'&close' if close else ''}")

    def _on_sent(self, sent: dict[str, Any]) -> None:
        if sent["headers"].get("Accept") == "text/event-stream":
            self.positions.append(sent["headers"].get("Last-Event-ID"))

    def _on_response(self, response: Response) -> None:
        if response.request.resource_type == "eventsource":
            self.statuses.append(response.status)

    async def received(self) -> dict[str, Any]:
        result = await self.page.evaluate("({ text: text.join(''), ids })")
        assert isinstance(result, dict)
        return result


async def _plain(route: Route) -> None:
    await route.fulfill(body=PLAIN, content_type="text/html")


@pytest_asyncio.fixture(loop_scope="session")
async def relay(server: Served) -> AsyncIterator[Relay]:
    async with Relay("127.0.0.1", server.port) as relay:
        yield relay


async def start(server: Served, *, rate: float, tokens: int) -> str:
    async with server.client() as client:
        run = await client.start(
            {"messages": [{"role": "user", "content": "Go."}], "simulated": {"rate": rate, "tokens": tokens}}
        )
    return run.id


def offsets(ids: list[str]) -> list[int]:
    return [int(cursor.rpartition("-")[2]) for cursor in ids]


async def test_it_reconnects_by_itself_and_lacks_nothing(browser: Browser, server: Served, relay: Relay) -> None:
    origin = f"http://127.0.0.1:{relay.port}/"
    run = await start(server, rate=80, tokens=300)
    async with visiting(browser, f"{origin}healthz") as visit:
        plain = PlainPage(visit)
        await plain.open(origin, run, close=True)
        await expect(plain.body).to_have_attribute("data-events", re.compile(r"^\d{2,}$"))
        before = (await plain.received())["ids"]
        assert relay.cut() >= 1
        await expect(plain.body).to_have_attribute("data-opens", "2")
        assert plain.positions[0] is None
        # What came between our look and the cut counts as well.
        assert plain.positions[1] in (await plain.received())["ids"][len(before) - 1 :]
        await expect(plain.body).to_have_attribute("data-done", "")
        received = await plain.received()
        assert received["text"] == await server.text(run)
        assert offsets(received["ids"]) == sorted(set(offsets(received["ids"])))
        assert plain.statuses == [200, 200]


async def test_it_ends_at_done_or_at_204(browser: Browser, server: Served) -> None:
    run = await start(server, rate=0, tokens=50)
    async with visiting(browser, f"{server.url}healthz") as one, visiting(browser, f"{server.url}healthz") as other:
        closing, staying = PlainPage(one), PlainPage(other)
        await closing.open(server.url, run, close=True)
        await expect(closing.body).to_have_attribute("data-done", "")
        await staying.open(server.url, run, close=False)
        # The one that does not close takes the end for a failure, comes again with the last cursor, and is told 204.
        await expect(staying.body).to_have_attribute("data-state", "closed")
        ids = (await staying.received())["ids"]
        assert (staying.positions, staying.statuses) == ([None, ids[-1]], [200, 204])
        # The one that did close ended earlier, and so has had at least as long to come again.
        assert closing.statuses == [200]
        assert (await closing.received())["text"] == (await staying.received())["text"] == await server.text(run)
