"""Watchers that go on elsewhere: they know several instances, obey what a server asks for, and keep every record."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Sequence

import msgspec
from wire import Stream
from ws_rig import CLOSE, PING, PONG, TEXT, RawPeer
from ws_rig import frame as frame_of

from tokentape.core.frames import pause_of

TRY_AGAIN = 0.2
"""Seconds, with jitter, before the next instance is tried."""


class _Down(msgspec.Struct):
    op: str
    cursor: str | None = None
    event: msgspec.Raw = msgspec.Raw(b"")
    error: dict = {}


_downs = msgspec.json.Decoder(_Down)


class Roaming:
    """Watches one stream, unmerged, from its start to the first record that `is_last`."""

    def __init__(self, ports: Sequence[int], stream: str, *, is_last, first: int = 0) -> None:
        """`ports` are the instances; it begins with number `first`, and takes the next when it is sent away."""
        self.stream = stream
        self.records: list[tuple[str, bytes]] = []
        self.pauses: list[float] = []
        """What servers that went away asked for, in seconds."""
        self.connections = 0
        self._ports = ports
        self._at = first
        self._is_last = is_last

    async def play(self) -> None:
        while not self._over:
            try:
                pause = await self._watch(self._ports[self._at % len(self._ports)])
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                pause = None
            if not self._over:
                if pause is not None:
                    self.pauses.append(pause)
                self._at += 1
                await asyncio.sleep((pause or 0) + random.random() * TRY_AGAIN)

    @property
    def _over(self) -> bool:
        return bool(self.records) and self._is_last(self.records[-1][1])

    @property
    def _position(self) -> str:
        return self.records[-1][0] if self.records else "start"

    async def _watch(self, port: int) -> float | None:
        """One connection; the pause that its server asked for, if it did."""
        raise NotImplementedError


class RoamingSse(Roaming):
    async def _watch(self, port: int) -> float | None:
        kind, _, name = self.stream.partition("/")
        path = f"/v1/runs/{name}/events" if kind == "runs" else f"/v1/channels/{self.stream}/events"
        stream = await Stream.open(port, f"{path}?merge=false&from={self._position}", headers={})
        try:
            if stream.status != 200:
                return None
            self.connections += 1
            while not self._over and await stream._read():
                for event in stream.events:
                    if event.id and event.data != "[DONE]":
                        self.records.append((event.id, event.data.encode()))
                stream.events.clear()
            assert self._over or stream.ending == "cut", "a response ended cleanly before its end (P4)"
            return stream.decoder.retry / 1000 if stream.decoder.retry is not None else None
        finally:
            stream.close()


class RoamingWebSocket(Roaming):
    async def _watch(self, port: int) -> float | None:
        raw = await RawPeer.connect(port)
        try:
            raw.request("subscribe", stream=self.stream, merge=False, **{"from": self._position})
            while not self._over:
                opcode, payload = await raw._frame()
                if opcode == PING:
                    raw.send(frame_of(PONG, payload))
                elif opcode == CLOSE:
                    (code,) = struct.unpack("!H", payload[:2])
                    assert code != 1000, "a connection ended cleanly before its end (P4)"
                    pause = pause_of(payload[2:].decode())
                    return pause / 1000 if pause is not None else None
                elif opcode == TEXT:
                    down = _downs.decode(payload)
                    if down.op == "ack":
                        self.connections += 1
                    elif down.op == "event" and down.cursor is not None:
                        self.records.append((down.cursor, bytes(down.event)))
                    elif down.op == "error":
                        return None
            return None
        finally:
            raw.drop()
