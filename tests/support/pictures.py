"""Pictures for the documents: the playground (a film of a cut, and stills) and the console. See `scripts/pictures`."""

from __future__ import annotations

import asyncio
import base64
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

from browser import PHONE, Playground, Visit, chromium
from console_pictures import busy, stills
from playwright.async_api import Browser, CDPSession, Page, expect
from served import Served

WIDE: Final = (1600, 950)
STILL_QUALITY: Final = 80
QUALITY: Final = 50
Scheme = Literal["light", "dark"]
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")
MAX_BYTES: Final = 600_000
CUT_AT: Final = 1.3
JOIN_AT: Final = 3.9
"""Seconds after the first words, of an answer that takes about seven."""
PAUSE: Final = 0.5
"""Seconds between two frames, at least."""
LAST: Final = 4_000
"""Milliseconds for which the end is shown."""


class Frame(NamedTuple):
    """A still WebP, and how long it is shown, in milliseconds."""

    image: bytes
    duration: int


@asynccontextmanager
async def asked(
    browser: Browser, server: Served, scheme: Scheme, *, size: tuple[int, int] = WIDE
) -> AsyncIterator[tuple[Page, CDPSession]]:
    """A page on which the answer to a question begins, and a camera."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
    )
    try:
        page = await context.new_page()
        await page.goto(server.url)
        playground = Playground(Visit(page, server.url))
        # What it says of this has no signs that a small system lacks the fonts for.
        await playground.simulate(rate=33, tokens=220)
        await playground.say("How does a sourdough starter work?")
        await expect(page.get_by_role("article", name="SSE", exact=True).get_by_test_id("cursor")).to_contain_text("-")
        yield page, await context.new_cdp_session(page)
    finally:
        await context.close()


async def film(browser: Browser, server: Served, scheme: Scheme) -> bytes:
    async with asked(browser, server, scheme) as (page, camera):
        return animated([frame async for frame in _takes(page, camera)])


async def still(browser: Browser, server: Served, scheme: Scheme, *, size: tuple[int, int]) -> bytes:
    """The page, with one pane that was made up for and one that is cut; on a phone, the panes."""
    async with asked(browser, server, scheme, size=size) as (page, camera):
        await asyncio.sleep(1.5)
        await page.get_by_role("button", name="Cut SSE for 1 s").click()
        await expect(page.get_by_role("article", name="SSE", exact=True)).to_contain_text("Back after")
        await page.get_by_role("button", name="Cut WebSocket for 5 s").click()
        await page.mouse.move(0, 0)
        await asyncio.sleep(1)
        if size == PHONE:
            await page.get_by_test_id("panes").evaluate("node => node.scrollIntoView()")
        shot = await camera.send("Page.captureScreenshot", {"format": "webp", "quality": STILL_QUALITY})
        return base64.b64decode(shot["data"])


async def _takes(page: Page, camera: CDPSession) -> AsyncIterator[Frame]:
    """The story, frame by frame: what is done to the panes happens between two frames."""
    pane = page.get_by_role("article", name="SSE", exact=True)
    acts = [
        (CUT_AT, page.get_by_role("button", name="Cut SSE until joined again")),
        (JOIN_AT, pane.get_by_role("button", name="Join again")),
    ]
    verdict = page.get_by_test_id("verdict")
    start = time.monotonic()
    while await verdict.get_attribute("data-kind") != "equal" or not await page.get_by_test_id("hash").count():
        began = time.monotonic()
        if acts and began - start >= acts[0][0]:
            await acts.pop(0)[1].click()
            await page.mouse.move(0, 0)
        image = await _shot(page, camera)
        await asyncio.sleep(max(0.0, PAUSE - (time.monotonic() - began)))
        yield Frame(image, round(1000 * (time.monotonic() - began)))
    yield Frame(await _shot(page, camera), LAST)


async def _shot(page: Page, camera: CDPSession) -> bytes:
    """The panes down to their story, without the chat beside them."""
    head = await page.get_by_test_id("panes").bounding_box()
    story = await page.get_by_test_id("stories").bounding_box()
    assert head is not None
    assert story is not None
    margin = 8
    clip = {
        "x": head["x"] - margin,
        "y": head["y"] - margin,
        "width": head["width"] + 2 * margin,
        "height": story["y"] + story["height"] - head["y"] + 2 * margin,
        "scale": 1,
    }
    shot = await camera.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY, "clip": clip})
    return base64.b64decode(shot["data"])


# The container of WebP: https://developers.google.com/speed/webp/docs/riff_container


def animated(frames: Sequence[Frame]) -> bytes:
    """One endless animation of stills of equal size."""
    streams = [_bitstream(frame.image) for frame in frames]
    width, height = _size(streams[0])
    canvas = _u24(width - 1) + _u24(height - 1)
    parts = [
        _chunk(b"VP8X", struct.pack("<I", 0x02) + canvas),
        _chunk(b"ANIM", struct.pack("<IH", 0, 0)),
    ]
    for frame, stream in zip(frames, streams, strict=True):
        if _size(stream) != (width, height):
            raise ValueError(f"a frame is {_size(stream)}, and the first was {(width, height)}")
        # Each frame is whole, and replaces the one before.
        header = _u24(0) + _u24(0) + canvas + _u24(frame.duration) + b"\x02"
        parts.append(_chunk(b"ANMF", header + _chunk(b"VP8 ", stream)))
    return _chunk(b"RIFF", b"WEBP" + b"".join(parts))


def _bitstream(image: bytes) -> bytes:
    """The lossy bitstream of a still."""
    at = 12
    while at < len(image):
        name, size = image[at : at + 4], int.from_bytes(image[at + 4 : at + 8], "little")
        if name == b"VP8 ":
            return image[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise ValueError("this is no lossy WebP")


def _size(stream: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", stream, 6)
    return width & 0x3FFF, height & 0x3FFF


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _u24(number: int) -> bytes:
    return number.to_bytes(3, "little")


async def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        async with Served(Path(scratch) / "tape.db") as server, chromium() as browser:
            for scheme in SCHEMES:
                pictures = {
                    "cut-and-resume": await film(browser, server, scheme),
                    "playground": await still(browser, server, scheme, size=WIDE),
                    "playground-phone": await still(browser, server, scheme, size=PHONE),
                }
                async with busy(server) as run:
                    pictures.update({name: image async for name, image in stills(browser, server, run, scheme)})
                for name, image in pictures.items():
                    path = folder / f"{name}-{scheme}.webp"
                    path.write_bytes(image)
                    print(f"{path}: {len(image)} bytes")
                    if len(image) > MAX_BYTES:
                        sys.exit(f"{path} is larger than the {MAX_BYTES} bytes that a page should ask for.")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
