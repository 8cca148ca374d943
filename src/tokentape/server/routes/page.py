"""The first page, at `/`: a few files of the package, read once."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import PurePath
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER: Final = "page"
INDEX: Final = "index.html"
MEDIA_TYPES: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
}
HEADERS: Final = {
    # Text of a model is shown on this page: nothing but our own files may run, load or be sent to.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def page_routes() -> list[Route]:
    """`/` for the index, and `/page/<file>` for the rest."""
    routes = []
    for file in sorted(files("tokentape.server").joinpath(FOLDER).iterdir(), key=lambda file: file.name):
        media_type = MEDIA_TYPES.get(PurePath(file.name).suffix)
        if media_type is not None:
            path = "/" if file.name == INDEX else f"/{FOLDER}/{file.name}"
            routes.append(_file_route(path, file.read_bytes(), media_type))
    return routes


def _file_route(path: str, content: bytes, media_type: str) -> Route:
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {**HEADERS, "ETag": tag}

    async def endpoint(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return Route(path, endpoint, include_in_schema=False)
