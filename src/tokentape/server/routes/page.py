"""The pages of a server, the playground at `/` and the console at `/console`: what `web/` was built into."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER: Final = "web"
"""Made by `make web`, or with the wheel; not in a fresh checkout."""
PAGES: Final = {"index.html": "/", "console.html": "/console"}
HASHED: Final = "assets"
"""The files in there have a hash of their content in the name."""
MEDIA_TYPES: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
HEADERS: Final = {
    # Text of a model is shown on these pages: nothing but our own files may run, load or be sent to.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types highlighter"
    ),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}
NOT_BUILT: Final = b"""<!doctype html><meta charset="utf-8"><title>tokentape</title>
<p>This server is well, but it comes from a checkout in which its pages were not built: run <code>make web</code>.
"""
WORTHWHILE: Final = 1024
"""Bytes from which on compression is worth a header."""


def page_routes() -> list[Route]:
    """The pages, and the files that they load, each beside them."""
    folder = files("tokentape.server").joinpath(FOLDER)
    if not folder.joinpath("index.html").is_file():
        return [_file_route(path, NOT_BUILT, "text/html", "no-store") for path in PAGES.values()]
    return [
        _file_route(
            PAGES.get(name, f"/{name}"),
            file.read_bytes(),
            MEDIA_TYPES[PurePosixPath(name).suffix],
            "public, max-age=31536000, immutable" if name.startswith(HASHED) else "no-cache",
        )
        for name, file in _walk(folder)
    ]


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = prefix + entry.name
        if entry.is_dir():
            yield from _walk(entry, f"{name}/")
        elif PurePosixPath(name).suffix in MEDIA_TYPES:
            yield name, entry


def _file_route(path: str, content: bytes, media_type: str, cache_control: str) -> Route:
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {**HEADERS, "ETag": tag, "Cache-Control": cache_control}
    packed = b""

    async def endpoint(request: Request) -> Response:
        nonlocal packed
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        if len(content) < WORTHWHILE or "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(content, media_type=media_type, headers=headers)
        packed = packed or gzip.compress(content, mtime=0)
        return Response(packed, media_type=media_type, headers={**headers, "Content-Encoding": "gzip"})

    return Route(path, endpoint, include_in_schema=False)
