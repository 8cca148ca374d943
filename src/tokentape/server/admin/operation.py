"""What the routes of the admin API share: each answers only where it is on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from tokentape.server.admin.admin import Admin
from tokentape.server.operations import Call, Operation

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Search = Annotated[str, msgspec.Meta(max_length=200, description="only those that contain this")]

Handle = Callable[[Call[Any, Any], Admin], Awaitable[Response]]


def operation(*, handle: Handle, path: str, **described: Any) -> Operation:
    """An operation under `/v1/admin`; the other arguments are those of `Operation`."""

    async def checked(call: Call[Any, Any]) -> Response:
        admin: Admin = call.request.app.state.admin
        admin.check()
        return await handle(call, admin)

    return Operation(handle=checked, path=f"/v1/admin{path}", **described)
