"""A trial of a public address: ticks are published through it, and watched through it, over SSE and WebSocket.

What is noted here is judged elsewhere (`verdict`). The ticks go to the channel `doctor`, a few hundred bytes each.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any, Final

import aiohttp
import msgspec

from tokentape.client.http import BROKEN, CONNECT_TIMEOUT, Http, channel_path
from tokentape.core.messages import SUBPROTOCOL

CHANNEL: Final = "doctor"
TICKS: Final = 20
"""In two halves, so that a machine that stands still for a moment is not taken for something that collects."""
INTERVAL: Final = 0.1
"""Seconds between two ticks: tokens come about as fast."""
GRACE: Final = 3.0
"""Seconds for the last tick to arrive."""
_NUMBER: Final = re.compile(rb'"nonce":"([0-9a-f]+)","number":(\d+)')
MAX_TICK: Final = 200
"""Bytes of a tick, at most; it may come in two pieces."""
MAX_PIECE: Final = 1_048_576
"""Bytes that one read may become when it is unpacked; what ticks make is a thousand times less."""
_GZIP: Final = 31
"""For zlib: the largest window, and gzip's head and tail."""


class Trial(msgspec.Struct, kw_only=True):
    """What happened on one connection; seconds."""

    transport: str
    status: int = 0
    """Of HTTP; 0 when there was no answer."""
    trouble: str = ""
    """Why it came to nothing, if it did."""
    headers: dict[str, str] = {}
    """Of the response; names in lower case."""
    opened_after: float = 0.0
    """From the request to the head of the response, or to the upgrade."""
    sent: dict[int, float] = {}
    """When each tick was published."""
    arrived: dict[int, float] = {}
    """When each tick came."""
    silence: float = 0.0
    """For how long the connection was left without ticks."""
    cut_after: float | None = None
    """How far into that silence it was cut; None when it was not."""
    ended: bool = False
    """Whether the connection has ended, or never began."""


async def probe(url: str, token: str | None, *, silence: float, progress: Callable[[str], None]) -> list[Trial]:
    """Tries both transports at once, for `silence` seconds and a few more; raises what a client of a server raises."""
    http = Http(url, token)
    try:
        progress(f"asking {http.url}")
        await http.call("GET", "/v1/models", dict[str, Any])
        return await _Probe(http, silence, progress).play()
    finally:
        await http.aclose()


class _Probe:
    """Both trials of one address."""

    def __init__(self, http: Http, silence: float, progress: Callable[[str], None]) -> None:
        self._http = http
        self._silence = silence
        self._progress = progress
        self._nonce = secrets.token_hex(8)
        self._trials = {_sse: Trial(transport="SSE", silence=silence)}
        self._trials[_websocket] = Trial(transport="WebSocket", silence=silence)
        self._began_silence: float | None = None
        self._news = asyncio.Event()

    async def play(self) -> list[Trial]:
        watches = [asyncio.create_task(self._note(watch, trial)) for watch, trial in self._trials.items()]
        try:
            await self._publish(list(self._trials.values()))
        finally:
            for task in watches:
                task.cancel()
            outcomes = await asyncio.gather(*watches, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome  # a mistake of ours: what a connection can do is noted
        return list(self._trials.values())

    async def _publish(self, trials: list[Trial]) -> None:
        self._progress(f"sending {TICKS} ticks over SSE and WebSocket")
        await self._until(lambda: all(trial.status or trial.ended for trial in trials), GRACE)
        for number in range(TICKS):
            await self._tick(number)
            await asyncio.sleep(INTERVAL)
        await self._until(lambda: all(TICKS - 1 in trial.arrived or trial.ended for trial in trials), GRACE)
        self._progress(f"leaving both connections alone for {self._silence:g} s")
        self._began_silence = time.monotonic()
        await self._until(lambda: all(trial.ended for trial in trials), self._silence)
        await self._tick(TICKS)
        await self._until(lambda: all(TICKS in trial.arrived or trial.ended for trial in trials), GRACE)

    async def _tick(self, number: int) -> None:
        now = time.monotonic()
        for trial in self._trials.values():
            trial.sent[number] = now
        body = {"type": "doctor:tick", "data": {"nonce": self._nonce, "number": number}}
        await self._http.call("POST", channel_path(CHANNEL, "events"), dict[str, Any], body=body)

    async def _until(self, true: Callable[[], bool], seconds: float) -> None:
        """Waits for something to become true, and no longer than that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not true():
                    self._news.clear()
                    await self._news.wait()

    async def _note(self, watch: Watch, trial: Trial) -> None:
        """Notes when ticks come, until the connection ends."""
        kept = b""
        try:
            async with aclosing(watch(self._http, trial)) as pieces:
                async for piece in pieces:
                    now = time.monotonic()
                    kept += piece
                    for found in _NUMBER.finditer(kept):
                        if found[1].decode() == self._nonce:
                            trial.arrived.setdefault(int(found[2]), now)
                    kept = kept[-MAX_TICK:]
                    self._news.set()
        except (*BROKEN, zlib.error) as error:
            trial.trouble = "no answer in time" if isinstance(error, TimeoutError) else str(error)
        trial.ended = True
        if self._began_silence is not None:
            trial.cut_after = time.monotonic() - self._began_silence
        self._news.set()


async def _sse(http: Http, trial: Trial) -> AsyncGenerator[bytes, None]:
    address = http.address(channel_path(CHANNEL, "events"), {"from": "now"})
    # Browsers offer compression, too: a stream must come unchanged all the same.
    asked = {"Accept": "text/event-stream", "Accept-Encoding": "gzip"}
    began = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT)
    async with http.session.get(address, headers=asked, timeout=timeout, auto_decompress=False) as response:
        trial.opened_after = time.monotonic() - began
        trial.status = response.status
        trial.headers = {name.lower(): value for name, value in response.headers.items()}
        if response.status != 200:
            trial.trouble = f"it answered {response.status}"
            return
        unzip = zlib.decompressobj(_GZIP) if trial.headers.get("content-encoding") == "gzip" else None
        async for piece in response.content.iter_any():
            yield piece if unzip is None else unzip.decompress(piece, MAX_PIECE)


async def _websocket(http: Http, trial: Trial) -> AsyncGenerator[bytes, None]:
    began = time.monotonic()
    try:
        socket = await http.session.ws_connect(http.address("/v1/ws"), protocols=[SUBPROTOCOL])
    except aiohttp.WSServerHandshakeError as error:
        trial.status = error.status
        trial.headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        trial.trouble = f"the upgrade was answered with {error.status}"
        return
    async with socket:
        trial.opened_after = time.monotonic() - began
        trial.status = 101
        await socket.send_str(
            msgspec.json.encode({"op": "subscribe", "id": 1, "stream": CHANNEL, "from": "now"}).decode()
        )
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                yield message.data.encode()


Watch = Callable[[Http, Trial], AsyncGenerator[bytes, None]]
