"""`/v1/stream/{name}`: one route, all methods of the protocol."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tokentape.core.errors import Conflict, Forbidden, TokentapeError
from tokentape.hub.channels import RUN_STREAMS
from tokentape.server.auth import Gate
from tokentape.server.durable_streams.appending import Content, append, check_writable, refusal_headers
from tokentape.server.durable_streams.creation import ROUTE, Wanted, create
from tokentape.server.durable_streams.forks import Forks
from tokentape.server.durable_streams.headers import (
    CLOSED,
    EXPIRES_AT,
    NEXT_OFFSET,
    TRUE,
    TTL,
    content_type_of,
    expiry_of,
    fork_of,
    is_closing,
    producer_of,
    sequence_of,
)
from tokentape.server.durable_streams.live import event_stream, long_poll
from tokentape.server.durable_streams.reading import NO_STORE, catch_up, query_of
from tokentape.server.durable_streams.source import Source, check_name, open_source
from tokentape.server.limits import check_connection, read_body
from tokentape.server.problems import problem
from tokentape.server.routes.streams import check_unused
from tokentape.server.services import Services

SECURITY: Final = {
    # Anybody who may write here chooses type and content: a browser that is led here must run nothing of it.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer, besides `nosniff`. What web pages of other origins may read, `cors.origins` says."""

_HOST: Final = re.compile(r"[A-Za-z0-9._-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?", re.ASCII)


def durable_routes(services: Services) -> list[Route]:
    """The routes of the protocol."""
    endpoint = _Endpoint(services)
    methods = ["GET", "HEAD", "PUT", "POST", "DELETE"]
    # The protocol has a specification of its own, so it is not in the OpenAPI description.
    return [Route(ROUTE + "{name:path}", endpoint.answer, methods=methods, include_in_schema=False)]


class _Endpoint:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._methods = {
            "GET": self._read,
            "HEAD": self._look,
            "PUT": self._create,
            "POST": self._append,
            "DELETE": self._delete,
        }

    async def answer(self, request: Request) -> Response:
        try:
            gate: Gate = request.app.state.gate
            gate.check(request.scope)
            check_connection(request)
            response = await self._methods[request.method](request, check_name(request.path_params["name"]))
        except TokentapeError as error:
            response = problem(error)
        for name, value in SECURITY.items():
            response.headers.setdefault(name, value)
        return response

    async def _create(self, request: Request, name: str) -> Response:
        check_writable(name)
        headers = request.headers
        wanted = Wanted(
            name=name,
            content_type=content_type_of(headers),
            expiry=expiry_of(headers),
            fork=fork_of(headers),
            content=await read_body(request, self._services.config.limits),
            closed=is_closing(headers),
        )
        source, new = await create(self._services, wanted, root=str(request.scope.get("root_path", "")))
        told = _state(source)
        if new:
            told["Location"] = _address(request, name)
        return Response(status_code=201 if new else 200, headers=told)

    async def _append(self, request: Request, name: str) -> Response:
        check_writable(name)
        headers = request.headers
        content = Content(
            body=await read_body(request, self._services.config.limits),
            content_type=content_type_of(headers),
            producer=producer_of(headers),
            sequence=sequence_of(headers),
            closes=is_closing(headers),
        )
        source = await open_source(self._services, name)
        try:
            outcome = await append(self._services, source, content)
        except TokentapeError as error:
            refused = problem(error)
            status, told = refusal_headers(source, error)
            refused.status_code = status or refused.status_code
            refused.headers.update(told)
            return refused
        return Response(status_code=outcome.status, headers=outcome.headers)

    async def _read(self, request: Request, name: str) -> Response:
        query = query_of(request)
        source = await open_source(self._services, name)
        if query.live == "long-poll":
            return await long_poll(self._services, source, query)
        if query.live == "sse":
            return await event_stream(self._services, source, query, SECURITY)
        return await catch_up(self._services, source, query, if_none_match=request.headers.get("if-none-match", ""))

    async def _look(self, _request: Request, name: str) -> Response:
        source = await open_source(self._services, name)
        headers = {**_state(source), "Cache-Control": NO_STORE}
        retention = source.info.config.retention
        if retention.idle:
            headers[TTL] = str(int(retention.idle))
        if retention.expires_at:
            moment = datetime.fromtimestamp(retention.expires_at / 1000, UTC)
            headers[EXPIRES_AT] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return Response(headers=headers)

    async def _delete(self, _request: Request, name: str) -> Response:
        source = await open_source(self._services, name)
        if source.stream != name:
            raise Forbidden(f"{name[:80]!r} is a part of {source.stream!r}, and cannot be deleted by itself.")
        try:
            check_unused(self._services, name)
        except Conflict as live:
            if name.startswith(RUN_STREAMS):
                raise Forbidden(live.message) from None
            raise
        await Forks(self._services).retire(name, source.info.epoch)
        await self._services.hub.delete(name)
        return Response(status_code=204)


def _state(source: Source) -> dict[str, str]:
    headers = {
        "Content-Type": source.info.config.content_type,
        NEXT_OFFSET: str(source.position(source.last)),
    }
    if source.end is not None:
        headers[CLOSED] = TRUE
    return headers


def _address(request: Request, name: str) -> str:
    """The whole address of a new stream, as the client knows this server; at least its path."""
    path = request.scope.get("root_path", "") + ROUTE + quote(name, safe="/:@+~")
    host = request.headers.get("host", "")
    return f"{request.url.scheme}://{host}{path}" if _HOST.fullmatch(host) else path
