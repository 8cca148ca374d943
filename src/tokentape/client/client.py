"""The asynchronous client of a tokentape server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from tokentape.client.answers import Located, Model, Page, Present, Stream
from tokentape.client.http import Http, channel_path, is_header_value, run_of, run_path
from tokentape.client.session import Patience, Session
from tokentape.client.transports import CONNECTIONS, Transport
from tokentape.client.watch import Notice, Watch
from tokentape.core.backoff import Backoff
from tokentape.core.cursor import Cursor
from tokentape.core.errors import BadRequest
from tokentape.core.events import check_stream_name
from tokentape.core.resume import From, parse_from
from tokentape.core.transcript import Message
from tokentape.hub.channels import Publish
from tokentape.runs.request import RunInfo, RunRequest, State


class _Runs(msgspec.Struct, frozen=True):
    runs: list[RunInfo]


class _Streams(msgspec.Struct, frozen=True):
    streams: list[Stream]


class _Models(msgspec.Struct, frozen=True):
    models: list[Model]


class _Presence(msgspec.Struct, frozen=True):
    members: list[Present]


class _Published(msgspec.Struct, frozen=True):
    cursor: str | None


class Client:
    """Speaks to one server; use it as an asynchronous context manager.

        async with Client("http://127.0.0.1:8000") as client:
            run = await client.start({"messages": [{"role": "user", "content": "Hello"}]})
            async for item in client.watch(f"runs/{run.id}"):
                ...

    Every method raises `Unreachable` when the server cannot be reached, and otherwise the error of
    `tokentape.core.errors` that the server's `code` names.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        transport: Transport = "sse",
        backoff: Backoff | None = None,
        patience: Patience | None = None,
    ) -> None:
        """`token` goes with every request; `transport` is how watches connect.

        `backoff` paces reconnections; `patience` says for how long they go on without success.
        Raises `SetupError` for a `url` that is none.
        """
        self._http = Http(url, token)
        self._transport = transport
        self._backoff = backoff
        self._patience = patience

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes every connection; runs go on."""
        await self._http.aclose()

    # Runs

    async def start(self, request: RunRequest | Mapping[str, Any], *, idempotency_key: str | None = None) -> RunInfo:
        """Starts a run. The same key with the same request is the same run, however often it is sent."""
        headers = {}
        if idempotency_key is not None:
            if not is_header_value(idempotency_key):
                raise BadRequest(f"{idempotency_key[:80]!r} is no idempotency key; use printable ASCII without blanks.")
            headers["Idempotency-Key"] = idempotency_key
        return await self._http.call("POST", "/v1/runs", RunInfo, body=request, headers=headers)

    async def stop(self, run: str, *, reason: str | None = None) -> RunInfo:
        """Stops a run and keeps what it has said; returns it as it ended. Harmless when it has (P6).

        `reason`, in a few words, becomes the `detail` of its `done`.
        """
        body = {"reason": reason} if reason is not None else None
        return await self._http.call("POST", f"{run_path(run)}/stop", RunInfo, body=body)

    async def run(self, run: str) -> RunInfo:
        """What is known of a run now."""
        return await self._http.call("GET", run_path(run), RunInfo)

    async def runs(
        self, *, state: State | None = None, limit: int | None = None, before: str | None = None
    ) -> list[RunInfo]:
        """Runs, the newest first; those older than the run `before`."""
        query = {"state": state, "limit": limit, "before": before}
        return (await self._http.call("GET", "/v1/runs", _Runs, params=query)).runs

    # Watching

    def watch(
        self,
        stream: str,
        from_: From | str = "start",
        *,
        merge: bool = True,
        transport: Transport | None = None,
        notify: Callable[[Notice], None] | None = None,
    ) -> Watch:
        """Plays a stream from a position, then live; `runs/<id>` is the view of one run, which ends with it.

        `from_` is `start`, `now`, `snapshot` or a cursor. Without `merge` every event comes as it was recorded.
        `transport` is for this watch alone. `notify` is told when the connection is lost and when it is back.
        Raises `InvalidName`, `InvalidCursor`; the rest is raised by iterating (see `Watch`).
        """
        start = parse_from(from_) if isinstance(from_, str) else from_
        session = Session(start, run=run_of(stream), backoff=self._backoff, patience=self._patience)
        connect = CONNECTIONS[transport or self._transport]
        return Watch(session, partial(connect, self._http, check_stream_name(stream), merge=merge), notify=notify)

    # Channels

    async def publish(self, channel: str, events: Publish | Sequence[Publish]) -> Cursor | None:
        """Publishes one event, or several as one atomic step; returns the position of the last one stored."""
        path = channel_path(channel, "events")
        cursor = (await self._http.call("POST", path, _Published, body=events)).cursor
        return Cursor.parse(cursor) if cursor is not None else None

    async def history(
        self,
        channel: str,
        *,
        before: Cursor | str | None = None,
        after: Cursor | str | None = None,
        limit: int | None = None,
        order: Literal["newest", "oldest"] = "newest",
    ) -> Page[Located]:
        """A page of events between two positions, both exclusive."""
        query = {"before": _text(before), "after": _text(after), "limit": limit, "order": order, "view": "events"}
        return await self._http.call("GET", channel_path(channel, "history"), Page[Located], params=query)

    async def messages(
        self,
        channel: str,
        *,
        before: Cursor | str | None = None,
        after: Cursor | str | None = None,
        limit: int | None = None,
        order: Literal["newest", "oldest"] = "newest",
    ) -> Page[Message]:
        """A page of whole messages: what was said, without the steps in which it came."""
        query = {"before": _text(before), "after": _text(after), "limit": limit, "order": order, "view": "messages"}
        return await self._http.call("GET", channel_path(channel, "history"), Page[Message], params=query)

    async def presence(self, channel: str) -> list[Present]:
        """Who is present on a channel."""
        return (await self._http.call("GET", channel_path(channel, "presence"), _Presence)).members

    # The server

    async def streams(
        self, *, prefix: str | None = None, after: str | None = None, limit: int | None = None
    ) -> list[Stream]:
        """Streams by name: those that start with `prefix` and sort after `after`."""
        query = {"prefix": prefix, "after": after, "limit": limit}
        return (await self._http.call("GET", "/v1/streams", _Streams, params=query)).streams

    async def models(self) -> list[Model]:
        """The models that are configured."""
        return (await self._http.call("GET", "/v1/models", _Models)).models

    async def healthz(self) -> dict[str, Any]:
        """What the server says of its health."""
        return await self._http.call("GET", "/healthz", dict[str, Any])


def _text(cursor: Cursor | str | None) -> str | None:
    return str(cursor) if cursor is not None else None
