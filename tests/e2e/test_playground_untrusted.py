"""Row 38 of the faults, in the playground: what anybody says is text, whatever it looks like."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest
from browser import Playground, visiting
from playwright.async_api import Browser, expect
from served import composed

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVIL: Final = "https://evil.invalid"
HOSTILE: Final = (
    f'<img src="{EVIL}/?d=1" onerror="document.title = \'owned\'">\n\n',
    "<script>document.title = 'owned'</script>\n\n",
    "<svg onload=\"document.title = 'owned'\"><use href='https://evil.invalid/#x'/></svg>\n\n",
    "</p><iframe srcdoc=\"<script>top.document.title = 'owned'</script>\"></iframe>\n\n",
    f"![the picture]({EVIL}/?d=2) [a script](javascript:document.title='owned') [away]({EVIL}/?d=3)\n\n",
    "![inline](data:image/svg+xml;base64,PHN2Zy8+) [data](data:text/html,<script>1</script>) <javascript:alert(1)>\n\n",
    "[by name][evil] ![by name][evil] [vb](vbscript:x) [none](//evil.invalid/x) [tab](java\tscript:alert(1))\n\n",
    f"[evil]: {EVIL}/?d=4 'title'\n\n",
    f"| <b onclick=1>a</b> | ![t]({EVIL}/?d=5) |\n|---|---|\n| [x](&#106;avascript:alert(1)) | {EVIL}/bare |\n\n",
    f'```html"><img src={EVIL}/?d=6>\n<img src="{EVIL}/?d=7">\n```\n\n',
    f'```html\n<script>document.title = "owned"</script>\n<img src="{EVIL}/?d=8">\n```\n\n',
    "\u2028\u202e\u0000 data: [DONE]\n\nid: k3f9-1\n\n",
)
TEXT: Final = "".join(HOSTILE)
FORBIDDEN: Final = (
    "img[src*=evil]",
    "iframe",
    "main a[href*=evil]",
    "main script",
    ".chat svg",
    "main svg[onload]",
    "main use",
    "main img",
    "main [style*=url]",
    "main [onclick]",
)


async def hostile() -> AsyncIterator[str | dict[str, object]]:
    for text in HOSTILE:
        yield text
        yield {"type": "reasoning", "data": text}
    yield {"type": "tool_call", "data": {"id": "c1", "name": HOSTILE[0], "arguments": HOSTILE[1]}}
    yield {"type": "tool_result", "data": {"id": "c1", "output": {"html": TEXT}}}
    yield {"type": "status", "data": {"state": HOSTILE[0]}}
    raise ValueError(HOSTILE[1])


async def test_what_anybody_says_is_shown_as_text(browser: Browser) -> None:
    async with composed() as (tape, url):
        chat = "chats/hostile"
        said = [
            {"role": "user", "content": TEXT},
            {"role": HOSTILE[0], "content": TEXT},
            {"role": "tool", "content": [{"type": HOSTILE[0]}, {"type": "text", "text": TEXT}, None, 7]},
            {"role": "assistant", "content": {"__proto__": TEXT, "url": EVIL}},
        ]
        for data in said:
            await tape.emit("message", data, chat)
        run = await tape.record(hostile(), channel=chat, metadata={"prompt": TEXT})
        async with visiting(browser, f"{url}#chat={chat}") as visit:
            page, playground = visit.page, Playground(visit)
            assert await playground.ended("error") == run.id
            for fold in await playground.last.locator("summary").all():
                await fold.click()
            await playground.last.get_by_role("button", name="Code", exact=True).click()
            await expect(page.get_by_role("dialog")).to_contain_text("curl")
            await page.keyboard.press("Escape")
            scroller = page.get_by_role("log")
            for key, row in (("Home", page.locator(".row").first), ("End", page.locator(".row").last)):
                await scroller.press(key)
                await expect(row).to_be_in_viewport()
                for selector in FORBIDDEN:
                    await expect(page.locator(selector)).to_have_count(0)
            assert await playground.copied() == await run.text() == TEXT
            # What leads elsewhere is a button that says where.
            answer = playground.last.locator(".markdown")
            await expect(answer.get_by_role("button", name="evil.invalid")).not_to_have_count(0)
            assert await answer.locator("button.host").evaluate_all(
                "(all) => all.every((b) => /evil|open/.test(b.title))"
            )
            assert not await answer.locator("button.host").evaluate_all(
                "(all) => all.some((b) => /script:|data:/.test(b.title))"
            )
            await expect(answer).to_contain_text("<script>document.title = 'owned'</script>")
            # Coloured code is elements of ours.
            await expect(answer.locator("code .hljs-name", has_text="img")).to_have_count(1)
            assert await page.title() == "Playground · tokentape"
            assert (visit.problems, visit.foreign) == ([], [])


LONG_TASKS: Final = """
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
  }).observe({ type: "longtask", buffered: true });
"""
MAX_TASK: Final = 1000
"""Milliseconds; a text that is read as a whole takes minutes. The unit tests in web/ are strict about the reading."""


async def test_a_megabyte_of_marks_does_not_hold_the_page(browser: Browser) -> None:
    """Row 39."""
    async with composed() as (tape, url), visiting(browser, url) as visit:
        chat = "chats/marks"
        run = await tape.record(["*" * 250_000, "[" * 250_000, "> " * 125_000, "``` a" * 50_000], channel=chat)
        assert len(await run.text()) == 1_000_000
        await visit.page.add_init_script(LONG_TASKS)
        await visit.page.goto(f"{url}#chat={chat}")
        await visit.page.reload()
        playground = Playground(visit)
        await playground.ended()
        await expect(playground.last).to_contain_text("``` a``` a")
        await playground.field.fill("It answers")
        await expect(playground.send_button).to_be_enabled()
        assert await visit.page.evaluate("longest") < MAX_TASK
        assert visit.problems == []


async def test_the_page_forbids_scripts_of_others(browser: Browser) -> None:
    """The second line of defence: also if markup came in, the page's policy would not have it."""
    async with composed() as (_, url), visiting(browser, url) as visit:
        await expect(visit.page.get_by_label("Message", exact=True)).to_be_visible()
        image = "<img src='https://evil.invalid/' onerror='document.title = 1'>"
        refused = await visit.page.evaluate(
            "(html) => { try { document.body.insertAdjacentHTML('beforeend', html) } catch (e) { return `${e}` } }",
            image,
        )
        assert "TrustedHTML" in refused
        refused = await visit.page.evaluate(
            "() => { try { trustedTypes.createPolicy('mine', {}) } catch (e) { return `${e}` } }"
        )
        assert "disallowed" in refused
        await visit.page.evaluate(
            "(src) => new Promise((onerror) => document.body.append(Object.assign(new Image(), { onerror, src })))",
            "//evil.invalid/",
        )
        assert await visit.page.title() == "Playground · tokentape"
        assert any("Content Security Policy" in problem for problem in visit.problems)
