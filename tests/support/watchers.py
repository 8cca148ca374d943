"""Watchers of a channel in a test's own hands, alike over both transports: they read, stop to read, and vanish."""

import ctypes
import json
import os
import socket
import struct
from abc import ABC, abstractmethod
from typing import Self

from wire import Stream
from ws_rig import PING, PONG, TEXT, RawPeer
from ws_rig import frame as frame_of

SMALL = 4096
"""Bytes of a receive buffer that is soon full."""


class ChannelWatcher(ABC):
    """Watches from the start, each event as it was published."""

    def __init__(self) -> None:
        self.cursor = ""

    @classmethod
    @abstractmethod
    async def open(cls, port: int, channel: str) -> Self: ...

    @abstractmethod
    async def event(self) -> dict:
        """The next event."""

    @abstractmethod
    def pause(self) -> None:
        """Reads nothing any more."""

    @property
    @abstractmethod
    def fileno(self) -> int: ...

    @abstractmethod
    def close(self) -> None: ...


class SseWatcher(ChannelWatcher):
    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    @classmethod
    async def open(cls, port: int, channel: str, *, after: str = "start") -> Self:
        path = f"/v1/channels/{channel}/events?from={after}&merge=false"
        watcher = cls(await Stream.open(port, path, headers={}, rcvbuf=SMALL))
        await watcher._stream.next()  # `ready`
        return watcher

    async def event(self) -> dict:
        event = await self._stream.next()
        self.cursor = event.id
        return json.loads(event.data)

    def pause(self) -> None:
        self._stream.pause()

    @property
    def fileno(self) -> int:
        return self._stream.writer.get_extra_info("socket").fileno()

    def close(self) -> None:
        self._stream.close()


class WebSocketWatcher(ChannelWatcher):
    """It answers pings while it waits for events."""

    def __init__(self, raw: RawPeer) -> None:
        super().__init__()
        self._raw = raw

    @classmethod
    async def open(cls, port: int, channel: str, *, after: str = "start") -> Self:
        watcher = cls(await RawPeer.connect(port))
        watcher._raw.request("subscribe", stream=channel, merge=False, **{"from": after})
        assert (await watcher._raw.receive())["op"] == "ack"
        return watcher

    async def event(self) -> dict:
        while (frame := await self._raw._frame())[0] == PING:
            self._raw.send(frame_of(PONG, frame[1]))
        assert frame[0] == TEXT, frame
        message = json.loads(frame[1])
        assert message["op"] == "event", message
        self.cursor = message["cursor"]
        return message["event"]

    async def ending(self) -> int | None:
        """Reads to the end; the close code, None without one."""
        return await self._raw.closed()

    def pause(self) -> None:
        self._raw.writer.transport.pause_reading()

    @property
    def fileno(self) -> int:
        return self._raw.writer.get_extra_info("socket").fileno()

    def close(self) -> None:
        self._raw.drop()


WATCHERS = {"sse": SseWatcher, "websocket": WebSocketWatcher}


def drop_everything(fileno: int) -> None:
    """Makes a black hole of a connection (Linux): what arrives is thrown away before the kernel acknowledges it.

    Nothing is sent either, no FIN and no RST, as long as its owner writes nothing and leaves it open.
    """
    so_attach_filter = 26
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0 bytes
    with socket.socket(fileno=os.dup(fileno)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, so_attach_filter, struct.pack("HL", 1, ctypes.addressof(program)))
