"""The crowd over HTTP: to see what this server does under many watchers, measured from without."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest
from tokentape.core.events import check_stream_name
from tokentape.server.admin.admin import Admin
from tokentape.server.admin.operation import operation
from tokentape.server.auth import bearer
from tokentape.server.config import MAX_CROWD
from tokentape.server.crowd.orders import Delay, Order, State, Transport
from tokentape.server.operations import Answer, Call, answer

MAX_SECONDS: Final = 120


class CrowdRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to watch, how many, how, and for how long once all are connected."""

    stream: Annotated[str, msgspec.Meta(max_length=200)]
    watchers: Annotated[int, msgspec.Meta(ge=1, le=MAX_CROWD)]
    transport: Transport = "sse"
    seconds: Annotated[float, msgspec.Meta(gt=0, le=MAX_SECONDS)] = 30


class CrowdAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The crowd that is, or was last."""

    state: State
    stream: str | None
    transport: Transport | None
    watchers: int
    seconds: float
    started_at: float | None
    """Seconds since the Unix epoch."""
    connected: int
    received: int
    """Events, of all of them together."""
    lost: int
    repeated: int
    reconnected: int
    delay: Delay
    equal: bool | None
    """At the end: whether all got the same bytes; null before, and when that cannot be said."""
    error: str | None


async def _start(call: Call[None, CrowdRequest], admin: Admin) -> Response:
    wanted, services = call.body, admin.services
    most = services.config.admin.max_crowd
    if wanted.watchers > most:
        raise BadRequest(f"`admin.max_crowd` is {most} on this server, and {wanted.watchers} were asked for.")
    place = services.runs.locate(check_stream_name(wanted.stream))
    info = await services.store.info(place.stream)
    if info.closed or place.end is not None:
        raise BadRequest(f"{wanted.stream!r} has ended: there is nothing to come that a crowd could watch.")
    host, port = _address(call.request)
    token = bearer(call.request.scope)
    order = Order(
        host=host,
        port=port,
        root=call.link(""),
        headers={"Authorization": f"Bearer {token}"} if token is not None else {},
        transport=wanted.transport,
        stream=wanted.stream,
        # The same for all, whenever they come: so all have to get the same.
        cursor=str(Cursor(info.epoch, info.last)),
        contiguous=place.run is None or place.stream == wanted.stream,
        watchers=wanted.watchers,
        seconds=wanted.seconds,
    )
    await admin.crowd.start(order)
    return answer(_told(admin), status=201, headers={"Location": call.link("/v1/admin/crowd")})


def _address(request: Request) -> tuple[str, int]:
    """Where this very request came in."""
    address = request.scope.get("server")
    if request.scope.get("scheme") != "http" or not address or address[1] is None:
        raise BadRequest("A crowd connects over plain TCP, and this server does not listen so.")
    return str(address[0]), int(address[1])


async def _look(_call: Call[None, None], admin: Admin) -> Response:
    return answer(_told(admin))


async def _end(_call: Call[None, None], admin: Admin) -> Response:
    await admin.crowd.stop()
    return answer(_told(admin))


def _told(admin: Admin) -> CrowdAnswer:
    crowd, order = admin.crowd, admin.crowd.order
    return CrowdAnswer(
        stream=order.stream if order is not None else None,
        transport=order.transport if order is not None else None,
        watchers=order.watchers if order is not None else 0,
        seconds=order.seconds if order is not None else 0,
        started_at=crowd.started_at or None,
        **{name: getattr(crowd.report, name) for name in crowd.report.__struct_fields__},
    )


OPERATIONS: Final = (
    operation(
        method="POST",
        path="/crowd",
        handle=_start,
        summary="Let a crowd of watchers come, from a process of its own",
        body=CrowdRequest,
        answers={201: (Answer(description="It is coming", body=CrowdAnswer),)},
    ),
    operation(
        method="GET",
        path="/crowd",
        handle=_look,
        summary="How the crowd is, or how the last one was",
        answers={200: (Answer(description="The crowd", body=CrowdAnswer),)},
    ),
    operation(
        method="DELETE",
        path="/crowd",
        handle=_end,
        summary="End the crowd; answers when it has compared what its watchers got",
        answers={200: (Answer(description="The crowd, ended", body=CrowdAnswer),)},
    ),
)
