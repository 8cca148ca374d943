"""The ASGI application: the routes of one tape, under one set of rules."""

from __future__ import annotations

from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from tokentape.core.errors import TokentapeError
from tokentape.server import admin
from tokentape.server.auth import Gate
from tokentape.server.durable_streams import RESPONSE_HEADERS, durable_routes
from tokentape.server.logs import AccessLog
from tokentape.server.openapi import describe
from tokentape.server.operations import Operation, routes_of
from tokentape.server.problems import Boundary, on_error, on_http_error
from tokentape.server.routes import (
    ag_ui,
    ai_sdk,
    anthropic,
    channels,
    openai_chat,
    openai_responses,
    runs,
    streams,
    system,
    watch,
)
from tokentape.server.routes.page import page_routes
from tokentape.server.services import Services
from tokentape.server.websocket.routes import websocket_routes

OPERATIONS: Final[tuple[Operation, ...]] = (
    *runs.OPERATIONS,
    *channels.OPERATIONS,
    *watch.OPERATIONS,
    *streams.OPERATIONS,
    *system.OPERATIONS,
    *openai_chat.OPERATIONS,
    *openai_responses.OPERATIONS,
    *anthropic.OPERATIONS,
    *ai_sdk.OPERATIONS,
    *ag_ui.OPERATIONS,
    *admin.OPERATIONS,
)
EXPOSED_HEADERS: Final = (
    *("Location", "Retry-After", "Tokentape-Run", "Tokentape-Cursor"),
    *("X-Request-Id", "X-Should-Retry"),  # the SDKs of OpenAI and Anthropic read them
    *RESPONSE_HEADERS,
)
ALLOWED_HEADERS: Final = ("*",)
"""SDKs send many of their own; it is the origin that is let in or not."""


def create_app(services: Services) -> Starlette:
    """The application of one tape. It has no lifespan of its own: whoever composed the services opens them."""
    app = Starlette(
        routes=[*routes_of(OPERATIONS), *durable_routes(services), *websocket_routes(services), *page_routes()],
        middleware=_middleware(services),
        exception_handlers={HTTPException: on_http_error, TokentapeError: on_error},
    )
    # A redirect would be to an address made of the caller's own Host header.
    app.router.redirect_slashes = False
    app.state.services = services
    app.state.gate = Gate(services.config)
    app.state.admin = admin.Admin(services)
    app.state.readiness = system.Readiness()
    app.state.openapi = describe(OPERATIONS, services.version)
    return app


def _middleware(services: Services) -> list[Middleware]:
    config = services.config
    chain = [Middleware(Boundary)]
    if config.log.access:
        chain.insert(0, Middleware(AccessLog))
    if config.cors.origins:
        chain.append(
            Middleware(
                CORSMiddleware,
                allow_origins=config.cors.origins,
                allow_methods=("GET", "HEAD", "POST", "PUT", "DELETE"),
                allow_headers=ALLOWED_HEADERS,
                expose_headers=EXPOSED_HEADERS,
            )
        )
    return chain
