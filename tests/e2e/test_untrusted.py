"""Row 38 of the faults, as far as this page goes: what a model says is text, whatever it looks like."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from browser import Playground, visiting
from playwright.async_api import Browser, expect
from served import composed

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = (
    '<img src="https://evil.invalid/?d=1" onerror="document.title = \'owned\'">',
    "<script>document.title = 'owned'</script>",
    "<svg onload=\"document.title = 'owned'\"></svg>",
    "</p><iframe srcdoc=\"<script>top.document.title = 'owned'</script>\"></iframe>",
    "![x](https://evil.invalid/?d=2) [y](javascript:alert(1))",
    "\u2028\u202e\u0000 data: [DONE]\n\nid: k3f9-1\n\n",
)


async def hostile() -> AsyncIterator[str | dict[str, object]]:
    for text in HOSTILE:
        yield text
        yield {"type": "reasoning", "data": text}
    yield {"type": "tool_call", "data": {"id": "c1", "name": HOSTILE[0], "arguments": HOSTILE[1]}}
    yield {"type": "status", "data": {"state": HOSTILE[0]}}


async def test_what_a_model_says_is_shown_as_text(browser: Browser) -> None:
    async with composed() as (tape, url):
        run = await tape.record(hostile(), metadata={"prompt": HOSTILE[0]})
        async with visiting(browser, f"{url}#{run.id}") as visit:
            playground = Playground(visit)
            await expect(playground.verdict).to_have_attribute("data-verdict", "equal")
            assert await playground.text("sse") == await playground.text("ws") == await run.text() == "".join(HOSTILE)
            assert await playground.page.locator("[data-run=prompt]").text_content() == HOSTILE[0]
            assert await playground.part("ws", "calls").text_content() == f"{HOSTILE[0]}({HOSTILE[1]})"
            for element in ("img[src*=evil]", "iframe", "a[href*=evil]", ".pane script", ".pane svg"):
                await expect(playground.page.locator(element)).to_have_count(0)
            assert await playground.page.title() == "tokentape"
            assert (visit.problems, visit.foreign) == ([], [])


async def test_the_page_forbids_scripts_of_others(browser: Browser) -> None:
    """The second line of defence: also if markup came in, the page's policy would not run it."""
    async with composed() as (_, url), visiting(browser, url) as visit:
        image = "<img src='https://evil.invalid/' onerror='document.title = 1'>"
        await visit.page.evaluate("(html) => document.body.insertAdjacentHTML('beforeend', html)", image)
        await expect(visit.page.locator("img[src*=evil]")).to_have_count(1)
        assert await visit.page.title() == "tokentape"
        assert any("Content Security Policy" in problem for problem in visit.problems)
