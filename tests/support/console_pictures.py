"""Stills of each screen of the console for the documents, light and dark, at desktop and phone width."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from browser import PHONE
from playwright.async_api import Browser, Page, expect
from served import Served
from websockets.asyncio.client import connect
from ws_rig import Peer

from tokentape.client import Client, Publish

QUALITY: Final = 72
SIZES: Final = {"": (1280, 860), "-phone": PHONE}
ROOM: Final = "rooms/lounge"
SCREENS: Final = {"overview": "/", "runs": "/runs", "streams": "/streams", "channel": f"/streams/{ROOM}"}
"""By the fragment of their address; a run's own has its id in it."""
HISTORY: Final = 12
"""Seconds of charts before the pictures are taken."""


@asynccontextmanager
async def busy(server: Served) -> AsyncIterator[str]:
    """A server on which something goes on; the id of a run that stalls and is watched."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(server.url))
        for seed in range(9):
            await client.start(_request("Tell me about tides", tokens=60 + 40 * seed, rate=200, seed=seed))
        await client.start(_request("Break off", tokens=200, rate=100, fault="error@40"))
        run = await client.start(_request("How do bicycles stay up?", tokens=4000, rate=30, fault="stall@60:3s"))
        for number in range(3):
            await client.start(_request("Go on", tokens=6000, rate=20 + 10 * number))
        for line in ("Is anybody here?", "I am, since the deploy.", "Then ask it about the tides."):
            await client.publish(ROOM, Publish("chat:said", {"text": line}))
        await client.start(_request("And the tides?", tokens=5000, rate=15, channel=ROOM))
        ws = await stack.enter_async_context(
            connect(f"ws{server.url.removeprefix('http')}v1/ws", subprotocols=["tokentape.v1"])  # type: ignore[list-item]
        )
        for member in ("ada", "grace"):
            await Peer(ws).ask("presence", stream=ROOM, action="track", member=member, data={"team": "harbour"})
        for stream in (f"runs/{run.id}", f"runs/{run.id}", ROOM):
            watching = asyncio.create_task(_watch(client, stream))
            stack.callback(watching.cancel)
        await asyncio.sleep(HISTORY)
        yield run.id


async def stills(browser: Browser, server: Served, run: str, scheme: str) -> AsyncIterator[tuple[str, bytes]]:
    """Each screen by its name, as it looks in these colours."""
    for suffix, (width, height) in SIZES.items():
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",  # type: ignore[arg-type]
        )
        try:
            page = await context.new_page()
            camera = await context.new_cdp_session(page)
            for name, path in {**SCREENS, "run": f"/runs/{run}"}.items():
                await page.goto(f"{server.url}console#{path}")
                await _settled(page)
                shot = await camera.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
                yield f"console-{name}{suffix}", base64.b64decode(shot["data"])
        finally:
            await context.close()


async def _settled(page: Page) -> None:
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    # Charts are loaded when they are wanted, and lists are asked for once a second.
    await asyncio.sleep(2.5)


async def _watch(client: Client, stream: str) -> None:
    async for _ in client.watch(stream):
        pass


def _request(text: str, *, channel: str | None = None, **simulated: object) -> dict[str, object]:
    request: dict[str, object] = {"messages": [{"role": "user", "content": text}], "simulated": simulated}
    return {**request, "channel": channel} if channel else request
