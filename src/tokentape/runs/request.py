"""What a caller asks for, and what it is told of a run."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from tokentape.core.errors import BadRequest
from tokentape.core.sampling import Sampling
from tokentape.hub.channels import RUN_STREAMS, check_channel

MAX_METADATA: Final = 16_384
"""Bytes of a run's `metadata`, which is kept with the run and shown in lists."""
MAX_MESSAGE_ID: Final = 200

OnCrash = Literal["interrupt", "restart"]
State = Literal["queued", "running", "done"]
STATES: Final[tuple[State, ...]] = ("queued", "running", "done")


class StopAfter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stop the run when nobody has watched it for so many seconds."""

    stop_after: float


class RunRequest(Sampling, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/runs` (design §4). An empty model is the server's default one."""

    model: str = ""
    messages: list[dict[str, Any]] = msgspec.field(default_factory=list)
    channel: str | None = None
    on_no_watchers: Literal["continue"] | StopAfter = "continue"
    on_crash: OnCrash = "interrupt"
    """What becomes of the run when the process dies that executes it."""
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    message_id: str = ""
    """Of the message that the answer is, or goes on with, where the caller names it."""
    replaces: str | None = None
    simulated: dict[str, Any] = msgspec.field(default_factory=dict)

    def check(self) -> RunRequest:
        """Returns itself; raises `BadRequest` or `InvalidName` with the field at fault."""
        if not self.messages:
            raise BadRequest("`messages` is empty. Send at least one, such as {'role': 'user', 'content': 'Hello'}.")
        for place, message in enumerate(self.messages):
            if not isinstance(message.get("role"), str):
                raise BadRequest(f"`messages[{place}]` has no `role`. Use 'system', 'user', 'assistant' or 'tool'.")
            content = message.get("content")
            if content is not None and not isinstance(content, str | list):
                raise BadRequest(f"`messages[{place}].content` must be text or a list of parts.")
        if self.channel is not None:
            check_channel(self.channel)
        if isinstance(self.on_no_watchers, StopAfter) and not 0 <= self.on_no_watchers.stop_after <= 86_400:
            raise BadRequest("`on_no_watchers.stop_after` is seconds, from 0 to 86400.")
        if len(self.message_id) > MAX_MESSAGE_ID:
            raise BadRequest(f"`message_id` has {MAX_MESSAGE_ID} characters at most.")
        if len(msgspec.json.encode(self.metadata)) > MAX_METADATA:
            raise BadRequest(f"`metadata` is larger than {MAX_METADATA} bytes of JSON.")
        return self


class RunInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run as it is known now. Times are milliseconds since the Unix epoch."""

    id: str
    stream: str
    state: State
    model: str
    created_at: int
    cursor: str = ""
    """The position right before its first event: watch from here to see the whole run."""
    end: str = ""
    """The position of its `done`: whoever has this has all of it."""
    provider: str = ""
    started_at: int = 0
    ended_at: int = 0
    first_at: int = 0
    """When its first token came; this and the next two are known once it has ended."""
    tokens: int = 0
    """Pieces of text, reasoning and arguments that came, of the last attempt."""
    tries: int = 0
    """Requests to providers, of the last attempt."""
    reason: str | None = None
    """Of its `done` event."""
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    metadata: dict[str, Any] = {}
    message_id: str = ""
    """Where the caller named it; else it is made of the run's id."""
    replaces: str | None = None
    on_crash: OnCrash = "interrupt"
    attempt: int = 1
    """It grows when the run is given to another process, and goes before the state: a second attempt is news."""
    queue: str = ""
    """Where it waits, or waited, for a worker; empty when the process that took it executes it, too."""
    stop_after: float | None = None
    """It is stopped when nobody has watched it for so many seconds."""
    key: str | None = None
    """The idempotency key, with a digest of the request that it was first used for."""
    digest: str | None = None

    @property
    def owns_stream(self) -> bool:
        """Whether its stream is its own, and ends with it; otherwise it speaks on a channel."""
        return self.stream == f"{RUN_STREAMS}{self.id}"
