"""What a stream costs the playground: scripting per frame in a real Chromium, and what is rendered anew for a token.

    python benchmarks/web.py [--rate TOKENS] [--messages N] [--seconds N] [--tokens N] [--watchers] [--json]

A conversation of so many messages is made, the page is opened on it, and one answer streams at so many tokens a second:
into the chat alone, or with --watchers into the two panes beside it as well.
Chromium's own trace says how long scripts ran between one frame and the next: event handlers, timers, frame callbacks,
observers, microtasks and garbage collection, on the page's main thread, in time of its processor; layout and painting
are told apart. Changes of elements are counted by an observer in a script of ours, outside the message that is live.
Needs `make web`, and a Chromium on the path or in $CHROMIUM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from os import environ
from pathlib import Path
from typing import Any, Final, NamedTuple

from playwright.async_api import Page, async_playwright

from tokentape.cli.child import ServerProcess
from tokentape.client import Client
from tokentape.hub.channels import Publish

CATEGORIES: Final = ["devtools.timeline", "v8", "disabled-by-default-v8.gc", "blink.user_timing", "__metadata"]
SCRIPTING: Final = frozenset(
    {
        "EvaluateScript",
        "EventDispatch",
        "FireAnimationFrame",
        "FireIdleCallback",
        "FunctionCall",
        "RunMicrotasks",
        "TimerFire",
        "V8.GC_MC_INCREMENTAL",
        "MajorGC",
        "MinorGC",
        "v8.callFunction",
    }
)
DRAWING: Final = frozenset({"Layout", "UpdateLayoutTree", "Paint", "PrePaint", "Layerize", "Commit"})
FRAME: Final = "FireAnimationFrame"

WATCH: Final = """
  window.touched = { other: 0, live: 0 };
  new MutationObserver((changes) => {
    const last = [...document.querySelectorAll("[data-answer]")].at(-1);
    for (const { target } of changes) {
      const row = (target.nodeType === 1 ? target : target.parentElement)?.closest(".message");
      if (row) touched[row === last ? "live" : "other"] += 1;
    }
  }).observe(document.querySelector(".rows"), {
    subtree: true, childList: true, characterData: true, attributes: true,
  });
"""


class Figures(NamedTuple):
    """Milliseconds of one frame."""

    mean: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Figures:
        ordered = sorted(values)
        at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]  # noqa: E731
        return cls(sum(ordered) / len(ordered), at(0.95), at(0.99), ordered[-1])

    def told(self) -> str:
        return f"mean {self.mean:.2f}, p95 {self.p95:.2f}, p99 {self.p99:.2f}, most {self.most:.2f} ms"


def main_thread(events: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Process and thread of the page: where frame callbacks are."""
    for event in events:
        if event["name"] == FRAME:
            return event["pid"], event["tid"]
    raise SystemExit("The trace has no frame: was the page hidden?")


def spent(events: Sequence[dict[str, Any]], starts: Sequence[float]) -> tuple[list[float], list[float]]:
    """Milliseconds of scripting and of drawing from each frame's beginning to the next.

    As DevTools counts them: what is nested is its own. So a layout that a script forced is drawing, not scripting.
    It is time of the thread's processor, which does not grow when others use the machine.
    """
    scripting, drawing = [0.0] * (len(starts) + 1), [0.0] * (len(starts) + 1)
    open_: list[tuple[float, list[float]]] = []  # until when, and whose time it is
    for event in sorted(
        (e for e in events if e["name"] in SCRIPTING | DRAWING), key=lambda e: (e["ts"], -e.get("dur", 0))
    ):
        begin, length = event["ts"], event.get("tdur", event.get("dur", 0))
        while open_ and open_[-1][0] <= begin:
            open_.pop()
        own = scripting if event["name"] in SCRIPTING else drawing
        frame = bisect_right(starts, begin)
        own[frame] += length / 1000
        if open_:
            open_[-1][1][frame] -= length / 1000
        open_.append((begin + event.get("dur", 0), own))
    return scripting[1:-1], drawing[1:-1]


async def prepare(client: Client, channel: str, messages: int) -> None:
    lines = (
        "Turn {n}",
        "Some **words** and `code`:",
        "- one\n- two",
        "```python\nprint({n})\n```",
        "| a | b |\n|---|---|\n| {n} | 2 |",
    )
    text = "\n\n".join(lines)
    roles = ("user", "assistant")
    events = [
        Publish(type="message", data={"role": roles[n % 2], "content": text.format(n=n)}) for n in range(messages)
    ]
    await client.publish(channel, events)


async def measure(page: Page, url: str, options: argparse.Namespace) -> dict[str, Any]:
    channel = "chats/bench"
    async with Client(url) as client:
        await prepare(client, channel, options.messages)
        await page.add_init_script(f"localStorage.setItem('tokentape.watchers', '{json.dumps(options.watchers)}')")
        await page.goto(f"{url}/#chat={channel}")
        await page.locator(".row").last.get_by_text(f"Turn {options.messages - 1}").first.wait_for()
        simulated = {"rate": options.rate, "tokens": options.tokens}
        started = await client.start(
            {"channel": channel, "messages": [{"role": "user", "content": "Go"}], "simulated": simulated}
        )
        await page.locator("[data-answer] .markdown").wait_for()
        # What is compiled once, and the colours of the first code, are not of a frame.
        await page.wait_for_timeout(2000)
        await page.evaluate(WATCH)
        session = await page.context.browser.new_browser_cdp_session()  # type: ignore[union-attr]
        events: list[dict[str, Any]] = []
        complete = asyncio.Event()
        session.on("Tracing.dataCollected", lambda data: events.extend(data["value"]))
        session.on("Tracing.tracingComplete", lambda _: complete.set())
        await session.send(
            "Tracing.start", {"transferMode": "ReportEvents", "traceConfig": {"includedCategories": CATEGORIES}}
        )
        await page.wait_for_timeout(options.seconds * 1000)
        await session.send("Tracing.end")
        await asyncio.wait_for(complete.wait(), 60)
        touched = await page.evaluate("touched")
        length = await page.evaluate(
            "document.querySelector('[data-answer]:last-of-type .markdown')?.textContent.length ?? 0"
        )
        is_live = await page.locator("[data-answer]").last.get_attribute("data-state") == "running"
        await client.stop(started.id)
    pid, tid = main_thread(events)
    own = [event for event in events if (event["pid"], event["tid"]) == (pid, tid) and event.get("ph") == "X"]
    starts = sorted({event["ts"] for event in own if event["name"] == FRAME})
    # Callbacks of the same frame come right after one another.
    starts = [ts for before, ts in zip([0.0, *starts], starts, strict=False) if ts - before > 4000]
    scripting, drawing = spent(own, starts)
    return {
        "frames": len(starts),
        "frames_per_second": len(starts) / options.seconds,
        "scripting": scripting,
        "drawing": drawing,
        "touched": touched,
        "characters": length,
        "still_live": is_live,
    }


async def run(options: argparse.Namespace) -> dict[str, Any]:
    browser_path = environ.get("CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "tape.db"
        async with (
            ServerProcess(f"sqlite:///{database}", database.with_suffix(".log")) as server,
            async_playwright() as playwright,
        ):
            browser = await playwright.chromium.launch(
                executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
            )
            page = await browser.new_page(viewport={"width": 1280, "height": 900})
            try:
                return await measure(page, f"http://127.0.0.1:{server.port}", options)
            finally:
                await browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--messages", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--watchers", action="store_true", help="show the panes beside the chat")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(run(options))
    scripting, drawing = Figures.of(found.pop("scripting")), Figures.of(found.pop("drawing"))
    if options.json:
        print(json.dumps({**vars(options), **found, "scripting": scripting._asdict(), "drawing": drawing._asdict()}))
        return
    where = ", with watchers beside it" if options.watchers else ""
    print(f"{options.rate:g} tokens/s for {options.seconds:g} s into a conversation of {options.messages}{where}")
    print(f"frames       {found['frames']} ({found['frames_per_second']:.0f} a second)")
    print(f"scripting    {scripting.told()}")
    print(f"drawing      {drawing.told()}")
    print(f"changes      {found['touched']['live']} in the live message, {found['touched']['other']} in all others")
    print(f"at the end   {found['characters']:,} characters, {'still live' if found['still_live'] else 'ended'}")


if __name__ == "__main__":
    main()
