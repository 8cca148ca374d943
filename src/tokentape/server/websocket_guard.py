"""uvicorn's WebSocket protocol with the bounds that it lacks, against peers that are hostile or dead.

What uvicorn 0.54 does by itself, and is kept: messages over `ws_max_size` are refused with 1009 before they
are read, and nothing is read while a message waits for the application. What is added here:

- bytes are parsed in small pieces, and for a short time at once, so that a buffer full of tiny frames neither
  holds the loop nor becomes a queue of a hundred thousand messages (uvicorn parses whatever one read brought);
- pings and pongs are counted, and fragments of one message: a flood of them is refused with 1008;
- text that is not UTF-8 is refused with 1007 in one line of the log (uvicorn logs a traceback);
- a peer that answers no ping is told 3001 and cut, also when it reads nothing (uvicorn would wait for its
  buffer to drain, for ever);
- what a refused peer still sends is thrown away for a moment, so that it gets to read why (closing a socket
  with unread bytes resets it, and the close frame is lost);
- the close frame of a shutdown has a reason.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.protocol import State

from tokentape.core.frames import CloseCode, closing_reason
from tokentape.server.stream import pause_ms

_log = logging.getLogger(__name__)

PIECE: Final = 4096
"""Bytes that are parsed at once: some 700 of the smallest frames, a few milliseconds."""
SLICE: Final = 0.002
"""Seconds of parsing, at least one piece, before others get a turn of the loop."""
MAX_CONTROLS: Final = 100
"""Pings and pongs that a peer may send in one `CONTROL_WINDOW`, seconds; clients send one in ten."""
CONTROL_WINDOW: Final = 10.0
MAX_FRAGMENTS: Final = 2048
"""Frames of one message: one of the largest size may come in pieces of 512 bytes."""
LINGER: Final = 1.0
"""Seconds that a refused peer gets to read the close frame."""


class GuardedWebSocketProtocol(WebSocketsSansIOProtocol):
    """For `uvicorn.Config(ws=…)`. Deflate is off unless the configuration asks for it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.ping_timeout is not None:
            self.ping_timeout /= 2  # see `keepalive_timeout`
        self._unparsed = bytearray()
        self._refused = False
        self._controls = 0
        self._window_ends = 0.0

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if not self._unparsed and not self.read_paused and len(data) <= PIECE:
            super().data_received(data)
        else:
            self._unparsed += data
            self._parse()

    def _parse(self) -> None:
        ends = self.loop.time() + SLICE
        while self._unparsed and not self.read_paused:
            piece = bytes(self._unparsed[:PIECE])
            del self._unparsed[:PIECE]
            super().data_received(piece)
            if self.loop.time() >= ends:
                self._take_turns()
                return

    def _take_turns(self) -> None:
        if self._unparsed and not self.read_paused:
            self.hold()
            self.loop.call_soon(self.release)

    def hold(self) -> None:
        """Reads and parses no further, until `release`."""
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def release(self) -> None:
        """Goes on, first with what has been read already."""
        if self.read_paused:
            self.read_paused = False
            self._parse()
            if not self.read_paused:
                self.transport.resume_reading()

    async def receive(self) -> ASGIReceiveEvent:
        message = await super().receive()
        self._parse()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.close":
            # The peer's close frame, which ends this connection, may be among them.
            self._parse()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MAX_FRAGMENTS:
            self._refuse(CloseCode.POLICY, f"a message in more than {MAX_FRAGMENTS} fragments")
        else:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return  # the application is past its end
        if self.curr_msg_data_type == "bytes":
            self.deliver(bytes(data))
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self._refuse(CloseCode.INVALID_DATA, "text that is not UTF-8")
        else:
            self.deliver(text)

    def deliver(self, message: str | bytes) -> None:
        """Hands a whole message to the application, and reads no further until it was taken."""
        if isinstance(message, str):
            self.queue.put_nowait({"type": "websocket.receive", "text": message})
        else:
            self.queue.put_nowait({"type": "websocket.receive", "bytes": message})
        self.hold()

    def handle_ping(self) -> None:
        if self._count_control():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._count_control():
            super().handle_pong(event)

    def _count_control(self) -> bool:
        now = self.loop.time()
        if now >= self._window_ends:
            self._controls = 0
            self._window_ends = now + CONTROL_WINDOW
        self._controls += 1
        if self._controls > MAX_CONTROLS:
            self._refuse(CloseCode.POLICY, f"more than {MAX_CONTROLS} pings and pongs in {CONTROL_WINDOW:g} s")
            return False
        return True

    # Ending

    def connection_lost(self, exc: Exception | None) -> None:
        # Answering it would be writing to a transport that is gone.
        self._unparsed.clear()
        super().connection_lost(exc)

    def end(self, code: CloseCode, reason: str) -> None:
        """Closes from our side, and gives the client a while to agree."""
        self.stop_keepalive()
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(self.close_timeout, self._give_up)
        # The client's close frame, which ends this connection, may be among what was not parsed yet.
        self.release()

    def _give_up(self) -> None:
        if self.transport.get_write_buffer_size():
            # Closing would wait for a peer that may never read.
            self.transport.abort()
        else:
            self.transport.close()

    def keepalive_timeout(self) -> None:
        # Half of the time is over. If this process stood still, the pong is here, and is read within the other half.
        self.pong_timer = self.loop.call_later(self.ping_timeout or 0, self._no_pong)

    def _no_pong(self) -> None:
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.read_paused and self.conn.state is State.OPEN:
            # The pong may lie in what we have not read: it is we who are slow.
            self.schedule_ping()
        else:
            self._refuse(CloseCode.HEARTBEAT_LOST, "no pong came in time")

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is not None and not self.close_sent:
            code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
            peer = f"{self.client[0]}:{self.client[1]}" if self.client else "unknown"
            _log.warning("websocket of %s closed with %d: %s", peer, code, reason)
        self._fail()
        if self.transport.get_write_buffer_size():
            # Closing would wait for a peer that may never read.
            self.transport.abort()

    def shutdown(self) -> None:
        if self.handshake_complete and self.conn.state is State.OPEN:
            self.stop_keepalive()
            text = "The server goes away; reconnect with your cursors."
            self.conn.fail(CloseCode.DRAINING, closing_reason(pause_ms(), text))
            self._fail()
        elif self.handshake_complete and not self.close_sent:
            self.transport.close()  # the client has begun to close, which uvicorn would fail on
        else:
            super().shutdown()

    def _refuse(self, code: CloseCode, reason: str) -> None:
        if self.conn.state is State.OPEN:
            self.conn.fail(code, reason)
            self.handle_parser_exception()

    def _fail(self) -> None:
        """Tells the application, and writes the close frame that `conn.fail` has prepared."""
        closing = self.conn.close_sent
        assert closing is not None, "the connection was failed"
        self._refused = True
        self._unparsed.clear()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": closing.code, "reason": closing.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.read_paused = False
        self.transport.resume_reading()
        if self.transport.can_write_eof():
            # The peer has no reason to wait for us: its close ends the connection.
            self.transport.write_eof()
        self.close_timer = self.loop.call_later(LINGER, self.transport.close)
