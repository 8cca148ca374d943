"""The log: one line per record, as text or as JSON, on stderr."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tokentape.server.config import Log

_access = logging.getLogger("tokentape.access")

_json: Final = msgspec.json.Encoder(enc_hook=str)
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029)}
"""Whatever could end a line, or drive a terminal, is shown and not obeyed."""


def configure_logging(log: Log, **fields: Any) -> None:
    """Sends every logger's records to stderr in the chosen form, each with these fields.

    For the edge: it changes the whole process.
    """
    handler = logging.StreamHandler(sys.stderr)
    if fields:
        handler.addFilter(partial(_add_fields, fields))
    handler.setFormatter(JsonFormatter() if log.format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=log.level.upper(), force=True)
    # uvicorn tells of every start and every WebSocket, the latter with its query.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _add_fields(fields: Mapping[str, Any], record: logging.LogRecord) -> bool:
    record.fields = {**fields, **_fields(record)}
    return True


class TextFormatter(logging.Formatter):
    """`time LEVEL logger: message`, with a traceback's lines joined."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {text}{fields}"
        return line.replace("\n", " | ").translate(_CONTROLS)


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _json.encode(line).decode()


def _time(record: logging.LogRecord) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{whole}.{int(record.msecs):03d}Z"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


class AccessLog:
    """One line per HTTP request when its response ends. The query is left out: it may hold a credential."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        sent = 0

        async def counted(message: Message) -> None:
            nonlocal status, sent
            status = message.get("status", status)
            sent += len(message.get("body", b""))
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, counted)
        finally:
            client = scope.get("client")
            fields = {
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "bytes": sent,
                "ms": round((time.perf_counter() - began) * 1000, 1),
                "client": client[0] if client else "",
            }
            _access.info("request", extra={"fields": fields})
