"""The connections of a watch, over aiohttp: each opens at a position, and turns what it reads into signals."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, Protocol

import aiohttp

from tokentape.client.errors import Unreachable
from tokentape.client.http import BROKEN, Http, events_path, read_all
from tokentape.client.session import Ended, Lost, Opened, Refused, Signal
from tokentape.client.wire import PollReading, SseReading, WebSocketReading, http_answer
from tokentape.core.errors import ProtocolError
from tokentape.core.messages import SUBPROTOCOL
from tokentape.core.resume import From

Transport = Literal["sse", "ws", "poll"]

HEARTBEAT: Final = 10.0
"""Seconds after which a server says something, and a client may ask for it (PROTOCOL.md §3.6)."""
SILENCE: Final = 3 * HEARTBEAT
"""Seconds without a byte after which a connection is taken for dead."""
POLL_WAIT: Final = 20
"""Seconds that a long-poll may wait for something new; well within `SILENCE`."""
CLOSE_WAIT: Final = 1.0
"""Seconds for the other side of a WebSocket to agree to its end."""
MAX_MESSAGE: Final = 8_388_608
"""Bytes of one WebSocket message: more than any event of one page of a store."""

_STREAM_HEADERS: Final = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
"""Compression on the way would hold events back."""


class Connection(Protocol):
    """One connection. Every failure of the network is a signal; only misuse is an exception."""

    async def open(self) -> Sequence[Signal]:
        """Connects: `Opened` comes first, maybe not at once, or else the signal that says why not."""
        ...

    async def receive(self) -> Sequence[Signal]:
        """Waits for what comes next, at most until the server has been silent for too long."""
        ...

    async def close(self) -> None:
        """Lets go of the connection at once; may be called again."""
        ...


class SseConnection:
    """`GET …/events` as an event stream."""

    def __init__(self, http: Http, stream: str, position: From, *, merge: bool) -> None:
        self._http = http
        self._address = http.address(events_path(stream), _query(position, merge=merge))
        self._reading = SseReading()
        self._response: aiohttp.ClientResponse | None = None

    async def open(self) -> Sequence[Signal]:
        try:
            async with asyncio.timeout(SILENCE):
                response = await self._http.session.get(self._address, headers=_STREAM_HEADERS)
                self._response = response
                if response.status != 200:
                    return [http_answer(response.status, response.headers, await read_all(response))]
        except BROKEN as error:
            return [Lost(self._http.unreachable(error))]
        except ProtocolError as error:
            return [Lost(error)]
        if response.content_type != "text/event-stream":
            return [Lost(ProtocolError(f"{self._address} is not an event stream, but {response.content_type}."))]
        return [Opened()]

    async def receive(self) -> Sequence[Signal]:
        assert self._response is not None
        try:
            async with asyncio.timeout(SILENCE):
                data = await self._response.content.readany()
        except TimeoutError:
            return [_silent()]
        except BROKEN as error:
            return [Lost(self._http.unreachable(error))]
        return self._reading.receive(data) if data else [self._reading.eof()]

    async def close(self) -> None:
        if self._response is not None:
            self._response.close()


class WebSocketConnection:
    """`/v1/ws` with one subscription."""

    def __init__(self, http: Http, stream: str, position: From, *, merge: bool) -> None:
        self._http = http
        self._reading = WebSocketReading(stream)
        self._request = self._reading.subscribe(position, merge=merge)
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def open(self) -> Sequence[Signal]:
        try:
            async with asyncio.timeout(SILENCE):
                # Pings are answered here and not by aiohttp: they are signs of life, and it would swallow them.
                self._socket = await self._http.session.ws_connect(
                    self._http.address("/v1/ws"),
                    protocols=[SUBPROTOCOL],
                    autoping=False,
                    max_msg_size=MAX_MESSAGE,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_WAIT),
                )
                await self._socket.send_str(self._request)
        except aiohttp.WSServerHandshakeError as error:
            if error.status < 400:
                return [Lost(ProtocolError(f"{self._http.url} does not speak WebSocket: {error.message}"))]
            return [http_answer(error.status, error.headers or {}, b"")]
        except BROKEN as error:
            return [Lost(self._http.unreachable(error))]
        return []

    async def receive(self) -> Sequence[Signal]:
        assert self._socket is not None
        try:
            async with asyncio.timeout(SILENCE):
                message = await self._next(self._socket)
        except TimeoutError:
            return [_silent()]
        except BROKEN as error:
            return [Lost(self._http.unreachable(error))]
        return self._signals(message)

    async def _next(self, socket: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT):
                    message = await socket.receive()
            except TimeoutError:
                await socket.send_str(self._reading.PING)
                continue
            if message.type is aiohttp.WSMsgType.PING:
                await socket.pong(message.data)
            return message

    def _signals(self, message: aiohttp.WSMessage) -> Sequence[Signal]:
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                return self._reading.receive(message.data)
            case aiohttp.WSMsgType.PING | aiohttp.WSMsgType.PONG:
                return []
            case aiohttp.WSMsgType.CLOSE:
                return [self._reading.closed(message.data, message.extra or "")]
            case aiohttp.WSMsgType.BINARY:
                return [Lost(ProtocolError("The server sent a binary message, which tokentape.v1 has not."))]
            case _:
                return [self._reading.closed(None, "")]

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()


class PollConnection:
    """`GET …/events` as long-polls, one after the other."""

    def __init__(self, http: Http, stream: str, position: From, *, merge: bool) -> None:
        self._http = http
        self._path = events_path(stream)
        self._merge = merge
        self._reading = PollReading(position)

    async def open(self) -> Sequence[Signal]:
        # Without waiting: the answer to the first says where the view begins.
        signals = await self._poll(0)
        return signals if isinstance(signals[0], Lost | Refused | Ended) else [Opened(), *signals]

    async def receive(self) -> Sequence[Signal]:
        return await self._poll(POLL_WAIT)

    async def close(self) -> None:
        pass

    async def _poll(self, wait: int) -> Sequence[Signal]:
        query = {**_query(self._reading.position, merge=self._merge), "wait": str(wait)}
        address = self._http.address(self._path, query)
        try:
            async with (
                asyncio.timeout(SILENCE),
                self._http.session.get(address, headers={"Accept": "application/json"}) as response,
            ):
                body = await read_all(response)
        except BROKEN as error:
            return [Lost(self._http.unreachable(error))]
        except ProtocolError as error:
            return [Lost(error)]
        if response.status != 200:
            return [http_answer(response.status, response.headers, body)]
        return self._reading.receive(body)


CONNECTIONS: Final[Mapping[Transport, Callable[..., Connection]]] = {
    "sse": SseConnection,
    "ws": WebSocketConnection,
    "poll": PollConnection,
}


def _query(position: From, *, merge: bool) -> dict[str, str]:
    query = {"from": str(position)}
    return query if merge else {**query, "merge": "false"}


def _silent() -> Lost:
    return Lost(Unreachable(f"Nothing came from the server for {SILENCE:.0f} s."))
