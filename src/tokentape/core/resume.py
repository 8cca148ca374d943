"""Where a watcher begins: one pure decision, used for every protocol and transport (P2)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from tokentape.core.cursor import Cursor

Named = Literal["start", "now", "snapshot"]
From = Named | Cursor
"""What a client asks for: everything, only what is new, what is there in its shortest form, or a position."""

Outcome = Literal["replayed", "snapshot", "live", "gone"]


class Ready(NamedTuple):
    """How a watch begins. The events that follow are exactly those after `cursor`.

    `replayed`: what was missed comes first. `live`: nothing was missed. `snapshot` and `gone`: what
    follows replaces everything that the client has; `gone` says by `reason` (`epoch`, `future`,
    `trimmed`) why its own position could not be served.
    """

    outcome: Outcome
    cursor: Cursor
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The `data` of a `ready` event."""
        data: dict[str, Any] = {"outcome": self.outcome, "cursor": str(self.cursor)}
        if self.reason is not None:
            data["reason"] = self.reason
        return data


def parse_from(text: str) -> From:
    """Reads `start`, `now`, `snapshot` or a cursor; raises `InvalidCursor`."""
    match text:
        case "start" | "now" | "snapshot":
            return text
        case _:
            return Cursor.parse(text)


def locate(start: From, *, epoch: str, first: int, last: int) -> Ready:
    """Decides where to begin on a stream of this epoch whose retained offsets are `first`…`last`."""
    if start == "now":
        return Ready("live", Cursor(epoch, last))
    if start == "snapshot":
        return Ready("snapshot", Cursor(epoch, first - 1))
    if start == "start":
        start = Cursor(epoch, 0)
    reason = _why_gone(start, epoch=epoch, first=first, last=last)
    if reason is not None:
        return Ready("gone", Cursor(epoch, first - 1), reason)
    return Ready("live" if start.offset == last else "replayed", start)


def _why_gone(cursor: Cursor, *, epoch: str, first: int, last: int) -> str | None:
    if cursor.epoch != epoch:
        return "epoch"
    if cursor.offset > last:
        return "future"
    return "trimmed" if cursor.offset < first - 1 else None
