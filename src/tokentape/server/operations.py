"""What an HTTP route is made of. One table of operations gives both the routes and their OpenAPI description."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tokentape.core.errors import TokentapeError
from tokentape.server.auth import Gate
from tokentape.server.limits import check_connection, read_json
from tokentape.server.query import read_query
from tokentape.server.services import Services

Q = TypeVar("Q")
B = TypeVar("B")

_json: Final = msgspec.json.Encoder()


class NoQuery(msgspec.Struct, frozen=True):
    """No parameters."""


@dataclass(frozen=True)
class Call(Generic[Q, B]):
    """One request, read and let in."""

    request: Request
    services: Services
    query: Q
    body: B

    def path(self, name: str) -> str:
        """A part of the path, decoded."""
        value: str = self.request.path_params[name]
        return value

    def link(self, path: str) -> str:
        """The path of another route of this server, also where it is mounted under a prefix."""
        return str(self.request.scope.get("root_path", "")) + path


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One possible answer: its body as a type for msgspec, or only its media type."""

    description: str
    body: Any = None
    media: str = "application/json"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method on one path. Errors are problem documents where `refuse` says nothing else, and are not listed."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    """As Starlette writes it: `{name:path}` may hold slashes."""
    handle: Callable[[Call[Any, Any]], Awaitable[Response]]
    summary: str
    answers: Mapping[int, Sequence[Answer]]
    query: type[msgspec.Struct] = NoQuery
    body: Any = None
    body_required: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request headers that it heeds, with what they are for."""
    public: bool = False
    """Answers anybody, also without a key."""
    refuse: Callable[[Exception], Response] | None = None
    """What an error becomes, in the way that the clients of another protocol expect; else a problem document."""


def answer(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON."""
    return Response(_json.encode(value), status_code=status, media_type="application/json", headers=dict(headers or {}))


def routes_of(operations: Sequence[Operation]) -> list[Route]:
    """One route for each path, in the order of the table."""
    paths: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation
    return [_route(path, methods) for path, methods in paths.items()]


def _route(path: str, methods: Mapping[str, Operation]) -> Route:
    async def endpoint(request: Request) -> Response:
        operation = methods["GET" if request.method == "HEAD" else request.method]
        try:
            return await _carry_out(operation, request)
        except (TokentapeError, HTTPException) as error:
            if operation.refuse is None:
                raise
            return operation.refuse(error)

    return Route(path, endpoint, methods=list(methods), name=path)


async def _carry_out(operation: Operation, request: Request) -> Response:
    services: Services = request.app.state.services
    if not operation.public:
        gate: Gate = request.app.state.gate
        gate.check(request.scope)
        check_connection(request)
    query = read_query(request.query_params, operation.query)
    body = None
    if operation.body is not None:
        limits = services.config.limits
        body = await read_json(request, operation.body, limits, required=operation.body_required)
    return await operation.handle(Call(request, services, query, body))
