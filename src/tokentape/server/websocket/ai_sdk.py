"""One connection of the AI SDK's `WebSocketChatTransport` (version 7), on `WS /api/chat`: send, resume, abort.

A key comes with the upgrade, or among the `headers` of a frame, where browsers can put it.

What `abort` means. The client sends it when its user stops a chat, and its documents say that it cancels the operation:
so the run is stopped, for whoever else watches it too. It also sends it for a `resume` that another one takes the place
of (React mounts twice, a page comes to the front): so with a resume the stop waits for a moment, in which the chat may
be resumed on this connection. Whoever merely leaves sends nothing, and stops nothing (P6).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from tokentape.core.errors import TokentapeError, TooLarge, Unauthorized
from tokentape.core.frames import CloseCode
from tokentape.dialects import ai_sdk_frames
from tokentape.dialects.ai_sdk_frames import Abort, Frame, Resume, Send
from tokentape.server import dropin
from tokentape.server.chats import active, fields_of
from tokentape.server.services import Services
from tokentape.server.websocket.ai_sdk_answers import Answers
from tokentape.server.websocket.conversation import Conversation
from tokentape.server.websocket.wire import Wire

_log = logging.getLogger(__name__)

CHANGE_OF_MIND: Final = 0.5
"""Seconds between the abort of a resume and the stop that it is, unless the chat is resumed again."""


class ChatConnection(Conversation[Frame]):
    """One accepted connection: the `Host` of its wire."""

    __slots__ = ("_answers", "_leaving", "_stops")

    def __init__(self, services: Services, wire: Wire, *, check: Callable[[str | None], None], admitted: bool) -> None:
        super().__init__(services, wire, check=check, admitted=admitted)
        self._answers = Answers(services, wire, on_shutdown=self._restart)
        # Runs that will be stopped in a moment.
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._stops: set[asyncio.Task[None]] = set()

    @property
    def _watching(self) -> Answers:
        return self._answers

    def _take(self, text: str) -> None:
        try:
            frame = ai_sdk_frames.decode(text)
        except TooLarge as error:
            self._violate(CloseCode.TOO_BIG, error.message)
        except TokentapeError as error:
            # As the SDK's own example of a server does.
            self._violate(CloseCode.POLICY, error.message)
        else:
            if self._admitted or self._authenticate(frame):
                self._enqueue(frame, len(text))

    def _authenticate(self, frame: Frame) -> bool:
        try:
            self._admit(None if isinstance(frame, Abort) else _token(frame.headers))
        except Unauthorized as error:
            self._wire.answer(ai_sdk_frames.error(frame.request, error.message))
            self._violate(CloseCode.UNAUTHORIZED, error.message)
            return False
        return True

    # Carrying out

    async def _carry_out(self, item: Frame) -> None:
        try:
            match item:
                case Send():
                    await self._send(item)
                case Resume():
                    await self._resume(item)
                case Abort():
                    self._abort(item.request)
        except TokentapeError as error:
            self._wire.answer(ai_sdk_frames.error(item.request, error.message))
        except Exception:  # noqa: BLE001 - every request is answered, and the connection outlives it
            _log.exception("a %s request failed", type(item).__name__.lower())
            self._wire.answer(ai_sdk_frames.error(item.request, "The server failed; see its log."))

    async def _send(self, frame: Send) -> None:
        self._answers.check(frame.request)
        request = dropin.run_request(fields_of(frame.as_body()))
        key = dropin.checked_key(_header(frame.headers, "idempotency-key"))
        info, _ = await self._services.runs.start(request, key=key)
        await self._answers.add(frame.request, "send", info.id)

    async def _resume(self, frame: Resume) -> None:
        self._answers.check(frame.request)
        info = await active(self._services, frame.id)
        if info is None:
            self._wire.answer(ai_sdk_frames.no_active(frame.request))
            return
        leaving = self._leaving.pop(info.id, None)
        if leaving is not None:
            leaving.cancel()
        # Not as an answer: it has to come before the first chunk.
        self._answers.put((ai_sdk_frames.start(frame.request),))
        await self._answers.add(frame.request, "resume", info.id, after=frame.last)

    def _abort(self, request: str) -> None:
        answer = self._answers.remove(request)
        if answer is None:
            return  # it has ended meanwhile
        if answer.kind == "send":
            self._stop(answer.run)
        elif answer.run not in self._leaving:
            loop = asyncio.get_running_loop()
            self._leaving[answer.run] = loop.call_later(CHANGE_OF_MIND, self._stop, answer.run)

    def _stop(self, run: str) -> None:
        self._leaving.pop(run, None)
        # Not in the turn of the others: it waits for the run to end.
        task = self._wire.spawn(self._stop_now(run))
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)

    async def _stop_now(self, run: str) -> None:
        try:
            await self._services.runs.stop(run)
        except TokentapeError as error:
            _log.warning("run %s could not be stopped: %s", run, error)

    async def _leave(self) -> None:
        # What was asked for is done, also when the client is gone by now.
        for run, leaving in tuple(self._leaving.items()):
            leaving.cancel()
            self._stop(run)
        if self._stops:
            await asyncio.wait(self._stops)


def _token(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = (_header(headers, "authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else _header(headers, "x-api-key")


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for key, value in headers.items() if key.lower() == name), None)
