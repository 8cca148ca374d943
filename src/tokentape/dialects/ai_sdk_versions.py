"""What each version of the Vercel AI SDK understands of its UI message stream.

A chunk of an unknown type ends the whole stream there, and builds up to 7.0.0 refuse unknown members too. So these are
the types and members that the *first* release of a version takes; what came later is used only where nothing else could
be said instead. Source: the schemas of ai 5.0.0, 5.0.277, 6.0.0, 6.0.326, 7.0.0 and 7.0.173 (`uiMessageChunkSchema`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

OWN_PREFIX: Final = "ai-sdk:"
"""An event of the application's own with this prefix is the chunk of that name, where the version has it."""


class Shape(NamedTuple):
    """Members of a chunk: those that must be there, and those that may; all of them text."""

    needed: frozenset[str]
    optional: frozenset[str] = frozenset()


class Version(NamedTuple):
    """One major version."""

    number: str
    finish_reason: bool
    """Whether `finish` may say how it ended."""
    abort_reason: bool
    reset_step: bool
    """Whether what was shown can be taken back; a 7.0.0 ends there, as it would at an error."""
    passed: Mapping[str, Shape]
    """Chunks that an application may send as they are."""


_SINCE_5: Final = {
    "source-url": Shape(frozenset({"sourceId", "url"}), frozenset({"title"})),
    "source-document": Shape(frozenset({"sourceId", "mediaType", "title"}), frozenset({"filename"})),
    "file": Shape(frozenset({"url", "mediaType"})),
}
_SINCE_7: Final = {
    **_SINCE_5,
    "reasoning-file": Shape(frozenset({"url", "mediaType"})),
    "custom": Shape(frozenset({"kind"})),
}

V5: Final = Version("5", finish_reason=False, abort_reason=False, reset_step=False, passed=_SINCE_5)
V6: Final = Version("6", finish_reason=True, abort_reason=False, reset_step=False, passed=_SINCE_5)
V7: Final = Version("7", finish_reason=True, abort_reason=True, reset_step=True, passed=_SINCE_7)


def passed(version: Version, kind: str, data: Any) -> dict[str, Any] | None:
    """The chunk that an application's own event is; None where the version, or the chunk's shape, has no such thing."""
    name = kind.removeprefix(OWN_PREFIX)
    if name == "message-metadata":
        return {"type": name, "messageMetadata": data}
    shape = version.passed.get(name)
    if shape is None or not isinstance(data, dict):
        return None
    known = {member: data[member] for member in (*shape.needed, *shape.optional) if isinstance(data.get(member), str)}
    return {"type": name, **known} if known.keys() >= shape.needed else None
