"""Native `EventSource`s on a plain page in Chromium: front ends as people write them, one for each convention."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from browser import SECONDS, chromium, find_chromium
from playwright.async_api import Page, Route

PAGE = """<!doctype html><title>plain</title><script>
  const seen = {};
  // What each front end does with a message: it adds text, and says whether it has heard the end.
  const conventions = {
    native: (watcher, { data }) => {
      if (data === "[DONE]") return watcher.ends++;
      const event = JSON.parse(data);
      if (event.type === "token") watcher.text += event.data;
      if (event.type === "tool_call") watcher.calls.push(event.data.name);
    },
    // It knows four types, and closes at the end.
    token: (watcher, { data }) => {
      const event = JSON.parse(data);
      switch (event.type) {
        case "token": watcher.text += event.data; break;
        case "error": watcher.failed = event.data.message; break;
        case "done": watcher.ends++; watcher.source.close(); break;
      }
    },
    text: (watcher, { data }) => { watcher.text += data; },
    content: (watcher, { data }) => {
      const event = JSON.parse(data);
      if (event.type === "content") watcher.text += event.delta;
      if (event.type === "finish") watcher.ends++;
      if (event.type === "error") watcher.failed = event.message;
    },
    chunk: (watcher, { data }) => {
      const event = JSON.parse(data);
      if (event.type === "chunk") watcher.text += event.content;
      if (event.type === "done") watcher.ends++;
      if (event.type === "error") watcher.failed = event.message;
    },
    channel: () => {},
  };
  function watch(name, convention, url) {
    const source = new EventSource(url);
    const watcher = seen[name] = { source, text: "", ends: 0, opens: 0, failed: null, errors: [], calls: [] };
    source.onopen = () => { watcher.opens++; };
    source.onmessage = (message) => {
      try { conventions[convention](watcher, message); } catch (error) { watcher.errors.push(String(error)); }
    };
    source.addEventListener("done", () => { watcher.ends++; });
    source.addEventListener("error", ({ data }) => { if (data !== undefined) watcher.failed = data; });
    source.addEventListener("ai:token", ({ data }) => { watcher.text += JSON.parse(data).token; });
    source.addEventListener("ai:error", ({ data }) => { watcher.failed = JSON.parse(data).message; });
    source.addEventListener("ai:done", () => { watcher.ends++; });
  }
  function told(name) {
    const { source, text, ends, opens, failed, errors, calls } = seen[name];
    return { text, ends, opens, failed, errors, calls, closed: source.readyState === EventSource.CLOSED };
  }
</script>"""


class EventSources:
    """Those of one page."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self._origin = origin
        self.statuses: dict[str, list[int]] = {}
        page.on("response", lambda response: self.statuses.setdefault(response.url, []).append(response.status))

    async def open(self, name: str, convention: str, url: str) -> None:
        await self.page.evaluate("([name, convention, url]) => watch(name, convention, url)", [name, convention, url])

    async def told(self, name: str) -> dict[str, Any]:
        told: dict[str, Any] = await self.page.evaluate("(name) => told(name)", name)
        return told

    async def visit(self, name: str, body: str) -> Page:
        """Another page of the same origin."""

        async def fulfill(route: Route) -> None:
            await route.fulfill(body=body, content_type="text/html")

        page = await self.page.context.new_page()
        await page.route(f"{self._origin}{name}", fulfill)
        await page.goto(f"{self._origin}{name}")
        return page

    async def close(self) -> None:
        """Closes all of them: a browser has six connections to one place."""
        await self.page.evaluate("Object.values(seen).forEach(({ source }) => source.close())")

    async def until(self, name: str, condition: str) -> dict[str, Any]:
        """Waits for what an expression over `it` says, and returns what there is then."""
        expression = f"(name) => (({{ text, ends, opens, closed, failed }}) => {condition})(told(name))"
        await self.page.wait_for_function(expression, arg=name, timeout=2 * SECONDS * 1000)
        return await self.told(name)


@asynccontextmanager
async def event_sources(origin: str) -> AsyncIterator[EventSources]:
    """A page of this origin, in a browser of its own."""
    assert find_chromium() is not None, "there is no Chromium: set $CHROMIUM, or put `chromium` on the path"

    async def fulfill(route: Route) -> None:
        await route.fulfill(body=PAGE, content_type="text/html")

    async with chromium() as browser:
        page = await (await browser.new_context()).new_page()
        await page.route(re.compile(r"/plain$"), fulfill)
        await page.goto(f"{origin}plain")
        async with asyncio.timeout(120):
            yield EventSources(page, origin)
