"""`WS /v1/ws/chunk`: the `chunk` convention in both directions, for front ends that were written for it.

Up: `{"type":"message","content":"Hello"}` starts a run, of a `model` if it names one; `{"type":"stop"}` stops it.
Down: `{"type":"chunk","content"}`, `{"type":"done"}`, `{"type":"error","message"}`. Where the upgrade had no key,
`{"type":"auth","token"}` comes first.

Laws, beside those of a conversation:
- one answer at a time: a message that comes meanwhile waits for its end; a stop waits for nothing;
- the connection remembers what was said on it, as such front ends expect, within bounds: the oldest goes first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec

from tokentape.core.errors import ShuttingDown, TokentapeError, Unauthorized
from tokentape.core.frames import CloseCode
from tokentape.core.resume import Ready
from tokentape.dialects import small
from tokentape.hub import Payload, View, Watcher
from tokentape.hub.channels import RUN_STREAMS
from tokentape.runs import RunInfo
from tokentape.server import dropin
from tokentape.server.limits import check_audience
from tokentape.server.services import Services
from tokentape.server.transport import WEBSOCKET, Peer
from tokentape.server.watching import watch_of
from tokentape.server.websocket.conversation import Conversation
from tokentape.server.websocket.wire import Wire

_log = logging.getLogger(__name__)

MAX_TURNS: Final = 100
"""Turns of a conversation that are remembered."""
MAX_REMEMBERED: Final = 262_144
"""Characters of them, beyond the last one."""
MAX_STRIKES: Final = 10
"""Messages that mean nothing, after which a client is taken for something else."""


class Message(msgspec.Struct, tag_field="type", tag="message", frozen=True):
    """What the user says."""

    content: Annotated[str, msgspec.Meta(min_length=1)]
    model: str = ""


class Stop(msgspec.Struct, tag_field="type", tag="stop", frozen=True):
    """The answer that is under way is to end."""


class Auth(msgspec.Struct, tag_field="type", tag="auth", frozen=True):
    """A key, first of all."""

    token: str


_decoder: Final = msgspec.json.Decoder(Message | Stop | Auth)


class Memory:
    """What was said on one connection."""

    def __init__(self) -> None:
        self._turns: deque[dict[str, Any]] = deque(maxlen=MAX_TURNS)
        self._size = 0

    def add(self, role: str, content: str) -> None:
        """Takes a turn; the oldest are forgotten beyond the bounds."""
        if len(self._turns) == MAX_TURNS:
            self._forget()
        self._turns.append({"role": role, "content": content})
        self._size += len(content)
        while self._size > MAX_REMEMBERED and len(self._turns) > 1:
            self._forget()

    def _forget(self) -> None:
        self._size -= len(self._turns.popleft()["content"])

    def messages(self) -> list[dict[str, Any]]:
        """The turns, the oldest first."""
        return list(self._turns)


class Answers:
    """The answer that is under way: an `Outlet` (see `tokentape.hub.watcher`) of one run after the other."""

    socket = None

    def __init__(self, services: Services, wire: Wire, *, on_shutdown: Callable[[], None]) -> None:
        """`on_shutdown` is called when the hub sends its watchers elsewhere."""
        self.run: RunInfo | None = None
        """The one that is being told."""
        self._services = services
        self._wire = wire
        self._on_shutdown = on_shutdown
        self._watcher: Watcher | None = None
        self._over = asyncio.Event()
        self._over.set()
        self._closed = False

    async def over(self) -> None:
        """Waits for the end of the answer."""
        await self._over.wait()

    async def tell(self, info: RunInfo) -> None:
        """Begins to tell a run."""
        label = RUN_STREAMS + info.id
        watch = watch_of(label, self._services.runs.locate(label), None)
        stream, begin = watch.place.stream, watch.place.begin
        check_audience(self._services.hub, stream, self._services.config.limits)
        view = View(small.chunk_websocket, label, run=info.id)
        watcher = await self._services.hub.attach(
            stream, watch.start, view, self, begin=begin.offset if begin is not None else 0
        )
        if self._closed:
            watcher.lost()  # the connection has ended meanwhile
            return
        self.run, self._watcher = info, watcher
        self._over.clear()
        watcher.start()

    def _end(self) -> None:
        self.run = self._watcher = None
        self._over.set()

    # As the outlet

    @property
    def peer(self) -> Peer:
        return Peer(WEBSOCKET, self._wire.client)

    @property
    def writable(self) -> bool:
        return self._wire.writable

    def ready(self, watcher: Watcher, ready: Ready) -> None:
        """Nothing: the convention has no word for it."""

    def write(self, watcher: Watcher, payload: Payload) -> None:  # noqa: ARG002 - there is only one
        framing = self._wire.framing
        self._wire.events(payload.content if framing is None else framing(payload.content), payload.size)

    def ended(self, watcher: Watcher) -> None:
        self._wire.left(watcher.flushed)

    def finish(self, watcher: Watcher) -> None:  # noqa: ARG002 - as above
        self._end()

    def abort(self, watcher: Watcher, error: TokentapeError | None) -> None:  # noqa: ARG002 - as above
        self._end()
        if isinstance(error, ShuttingDown):
            self._on_shutdown()
        elif error is not None:
            self._wire.answer(small.chunk_error(error.message))

    # As what a conversation watches

    def block(self) -> None:
        """The wire takes nothing now: `writable` says so."""

    def resume(self) -> None:
        if self._watcher is not None:
            self._watcher.resume()

    def close(self) -> None:
        self._closed = True
        if self._watcher is not None:
            self._watcher.lost()
        self._end()


class ChunkConnection(Conversation[Message]):
    """One accepted connection: the `Host` of its wire."""

    __slots__ = ("_answers", "_memory", "_spoken", "_stopping", "_strikes")

    def __init__(self, services: Services, wire: Wire, *, check: Callable[[str | None], None], admitted: bool) -> None:
        super().__init__(services, wire, check=check, admitted=admitted)
        self._answers = Answers(services, wire, on_shutdown=self._restart)
        self._memory = Memory()
        self._spoken: RunInfo | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._strikes = 0

    @property
    def _watching(self) -> Answers:
        return self._answers

    def _take(self, text: str) -> None:
        try:
            said = _decoder.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            self._strikes += 1
            self._wire.answer(small.chunk_error(f'Send {{"type":"message","content":"…"}}: {str(error)[:200]}.'))
            if self._strikes >= MAX_STRIKES:
                self._violate(CloseCode.POLICY, f"{MAX_STRIKES} messages meant nothing here.")
            return
        if isinstance(said, Auth) or not self._admitted:
            self._authenticate(said)
        elif isinstance(said, Stop):
            self._stop()
        else:
            self._enqueue(said, len(text))

    def _authenticate(self, said: Message | Stop | Auth) -> None:
        try:
            self._admit(said.token if isinstance(said, Auth) else None)
        except Unauthorized as error:
            self._wire.answer(small.chunk_error(error.message))
            self._violate(CloseCode.UNAUTHORIZED, error.message)

    # Carrying out

    async def _carry_out(self, item: Message) -> None:
        try:
            await self._answers.over()
            await self._remember()
            self._memory.add("user", item.content)
            request = dropin.run_request({"model": item.model, "messages": self._memory.messages()})
            info, _ = await self._services.runs.start(request)
            self._spoken = info
            await self._answers.tell(info)
        except TokentapeError as error:
            self._wire.answer(small.chunk_error(error.message))
        except Exception:  # noqa: BLE001 - every message is answered, and the connection outlives it
            _log.exception("a message could not be answered")
            self._wire.answer(small.chunk_error("The server failed; see its log."))

    async def _remember(self) -> None:
        """Takes the answer before this into the memory: all that was said, also of one that failed or was stopped."""
        spoken, self._spoken = self._spoken, None
        if spoken is not None:
            story = await dropin.whole(self._services, spoken)
            if said := "".join(block.text for block in story.blocks if block.kind == "text"):
                self._memory.add("assistant", said)

    def _stop(self) -> None:
        run = self._answers.run
        if run is not None and self._stopping is None:
            # Not in the turn of the messages: those wait for this very end.
            self._stopping = self._wire.spawn(self._stop_now(run.id))

    async def _stop_now(self, run: str) -> None:
        try:
            await self._services.runs.stop(run)
        except TokentapeError as error:
            _log.warning("run %s could not be stopped: %s", run, error)
        finally:
            self._stopping = None

    async def _leave(self) -> None:
        # What was asked for is done, also when the client is gone by now.
        if self._stopping is not None:
            await asyncio.wait([self._stopping])
