"""What each request on a WebSocket does, and what its `ack` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest
from tokentape.core.events import check_stream_name
from tokentape.core.messages import (
    Auth,
    History,
    Ping,
    Presence,
    Publish,
    Request,
    Start,
    Stop,
    Subscribe,
    Unsubscribe,
)
from tokentape.hub import channels
from tokentape.runs import RunInfo, RunRequest
from tokentape.server.dropin import MAX_KEY
from tokentape.server.routes.runs import HIDDEN
from tokentape.server.services import Services
from tokentape.server.websocket.attendance import Attendance, Members
from tokentape.server.websocket.subscriptions import Subscriptions

MAX_REASON: Final = 200
"""Characters of the reason for a stop, which is recorded with the run's end."""


class Requests:
    """Carries out the requests of one connection."""

    __slots__ = ("_attendance", "_check", "_members", "_services", "_subscriptions")

    def __init__(
        self,
        services: Services,
        subscriptions: Subscriptions,
        attendance: Attendance,
        check: Callable[[str | None], None],
    ) -> None:
        """`check` raises `Unauthorized` for a token."""
        self._services = services
        self._subscriptions = subscriptions
        self._attendance = attendance
        self._members: Members | None = None
        self._check = check

    async def leave(self) -> None:
        """Takes back what lasts only as long as the connection: its members are not present any more."""
        if self._members is not None:
            await self._members.leave()

    async def carry_out(self, request: Request) -> dict[str, Any] | None:
        """Returns the data of the `ack`, or None when it has been sent; raises what is to be told as an `error`."""
        match request:
            case Subscribe():
                await self._subscriptions.add(request)
                return None
            case Unsubscribe(stream=stream):
                self._subscriptions.remove(stream)
                return {}
            case Publish():
                return await self._publish(request)
            case Start(request=fields):
                return await self._start(fields)
            case Stop():
                return await self._stop(request)
            case Presence():
                return await self._presence(request)
            case History():
                return await self._history(request)
            case Auth(token=token):
                self._check(token)
                return {}
            case Ping():
                return {}

    async def _publish(self, request: Publish) -> dict[str, Any]:
        event = channels.Publish(request.type, request.data, request.event_id, request.persist)
        cursor = await self._services.channels.publish(request.stream, [event])
        return {"cursor": str(cursor) if cursor is not None else None}

    async def _start(self, fields: dict[str, Any]) -> dict[str, Any]:
        rest = dict(fields)
        # Over HTTP it is a header.
        key = rest.pop("idempotency_key", None)
        if key is not None and not (isinstance(key, str) and 0 < len(key) <= MAX_KEY):
            raise BadRequest(f"`idempotency_key` is text of 1 to {MAX_KEY} characters.")
        try:
            request = msgspec.convert(rest, RunRequest)
        except msgspec.ValidationError as error:
            raise BadRequest(f"This run cannot be started: {error}") from None
        info, _ = await self._services.runs.start(request, key=key)
        return _told(info)

    async def _stop(self, request: Stop) -> dict[str, Any]:
        reason = request.reason or "request"
        if len(reason) > MAX_REASON:
            raise BadRequest(f"`reason` has {MAX_REASON} characters at most.")
        return _told(await self._services.runs.stop(request.run, detail=reason))

    async def _presence(self, request: Presence) -> dict[str, Any]:
        if self._members is None:
            self._members = Members(self._attendance)
        member = request.member or self._members.default_id
        match request.action:
            case "track":
                await self._members.track(request.stream, member, request.data)
            case "update":
                await self._members.update(request.stream, member, request.data)
            case "untrack":
                await self._members.untrack(request.stream, member)
            case "list":
                channels.check_channel(request.stream)
                present = await self._services.channels.members(request.stream)
                return {"members": [{"id": m.id, "data": m.data} for m in present]}
        return {"member": member}

    async def _history(self, request: History) -> dict[str, Any]:
        check_stream_name(request.stream)
        page = await self._services.channels.history(
            request.stream,
            before=Cursor.parse(request.before) if request.before is not None else None,
            after=Cursor.parse(request.after) if request.after is not None else None,
            limit=request.limit,
            order=request.order,
            view=request.view,
        )
        return {"items": page.items, "cursor": page.cursor, "next": page.next}


def _told(info: RunInfo) -> dict[str, Any]:
    """What a caller may know of a run: as over HTTP, without the links."""
    known: dict[str, Any] = msgspec.to_builtins(info)
    return {name: value for name, value in known.items() if name not in HIDDEN}
