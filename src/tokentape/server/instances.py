"""The instances on one store: each says what it is set to, and warns when another one is set otherwise.

A watcher comes back to any instance, and a run is ended by any: so what decides about streams, runs and models has to
be the same everywhere. What is said of a setting is a short digest, which shows that it differs and not what it is.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tokentape.hub.members import Change
from tokentape.hub.presence import Roster
from tokentape.server.config import ServerConfig, settings_of
from tokentape.stores.base import Member

_log = logging.getLogger(__name__)

TOPIC: Final = "$instances"
MAY_DIFFER: Final = (
    "host", "port", "hosts", "store", "workers", "shutdown_delay", "shutdown_grace", "io_uring", "limits.", "log.",
    "cors.", "auth.", "admin.",
)  # fmt: skip
"""Settings, and tables of them, that are each instance's own; keys are among them, which are not told in any form."""
DIGITS: Final = 8


class Instances:
    """This instance among the others."""

    def __init__(self, roster: Roster, config: ServerConfig, version: str) -> None:
        self._roster = roster
        self._mine = {"version": version, **{name: _digest(value) for name, value in _must_agree(config)}}
        self._differing: dict[str, tuple[str, ...]] = {}

    async def open(self) -> None:
        """Says what it is set to, looks at the others, and goes on doing both."""
        if not self._roster.possible:
            return
        self._roster.follow(TOPIC, self._changed)
        for member in await self._roster.members(TOPIC):
            self._compare(member)
        await self._roster.track(TOPIC, Member(self._roster.instance, self._mine))

    @property
    def count(self) -> int:
        """How many there are, with this one."""
        return max(1, len(self._roster.known(TOPIC)))

    @property
    def agree(self) -> bool:
        """Whether all of them are set alike, as far as they must be."""
        return not self._differing

    def _changed(self, change: Change) -> None:
        if change.action == "leave":
            self._differing.pop(change.member.id, None)
        else:
            self._compare(change.member)

    def _compare(self, member: Member) -> None:
        theirs: Mapping[str, Any] = member.data
        names = sorted({**self._mine, **theirs})
        differing = tuple(name for name in names if self._mine.get(name) != theirs.get(name))
        if differing and differing != self._differing.get(member.id):
            _log.warning(
                "instance %s on the same store is set otherwise than this one: %s. Give both the same version and "
                "configuration, or a store (or `?prefix=`) each.",
                member.id,
                ", ".join(differing),
            )
        if differing:
            self._differing[member.id] = differing
        else:
            self._differing.pop(member.id, None)


def _must_agree(config: ServerConfig) -> Iterator[tuple[str, Any]]:
    for name, value in settings_of(config):
        if not any(name == own or (own.endswith(".") and name.startswith(own)) for own in MAY_DIFFER):
            yield name, value
    catalog = config.providers
    yield "models.default", catalog.default
    for provider in catalog.providers.values():
        yield f"providers.{provider.name}", provider.kind
    for model in catalog.models.values():
        fields = {name: value for name, value in msgspec.structs.asdict(model).items() if name != "provider"}
        yield f"models.{model.name}", {**fields, "provider": model.provider.name}


def _digest(value: Any) -> str:
    text = msgspec.json.encode(value, enc_hook=str, order="deterministic")
    return hashlib.sha256(text).hexdigest()[:DIGITS]
