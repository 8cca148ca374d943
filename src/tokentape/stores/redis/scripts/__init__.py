"""The Lua scripts, each sent once to a server and then called by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

Value = str | bytes | int
Command = tuple[Value, ...]

FOLDER: Final = Path(__file__).parent
_COMMON: Final = (FOLDER / "common.lua").read_text()


class Script:
    """One atomic step. With `when_full` it also runs on a server that is out of memory, since it needs no more."""

    def __init__(self, name: str, *, when_full: bool = False) -> None:
        self.name = name
        flags = "#!lua flags=allow-oom" if when_full else "#!lua"
        self.text = f"{flags}\n{_COMMON}\n{(FOLDER / f'{name}.lua').read_text()}"
        # SHA-1 is how Redis names scripts (EVALSHA), and protects nothing.
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def command(self, keys: Sequence[str], *arguments: Value) -> Command:
        """The call of it."""
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)


APPEND: Final = Script("append")
CREATE: Final = Script("create")
READ: Final = Script("read", when_full=True)
DELETE: Final = Script("delete", when_full=True)
REWIND: Final = Script("rewind", when_full=True)
ACQUIRE: Final = Script("acquire")
RENEW: Final = Script("renew", when_full=True)
RELEASE: Final = Script("release", when_full=True)
LEASES: Final = Script("leases", when_full=True)
FENCE: Final = Script("fence", when_full=True)
TRACK: Final = Script("track")
UNTRACK: Final = Script("untrack", when_full=True)
MEMBERS: Final = Script("members", when_full=True)

SCRIPTS: Final = (
    APPEND, CREATE, READ, DELETE, REWIND, ACQUIRE, RENEW, RELEASE, LEASES, FENCE, TRACK, UNTRACK, MEMBERS,
)  # fmt: skip


_KEY_AT: Final = {"EVALSHA": 3, "XGROUP": 2, "XREADGROUP": -2}


def key_of(command: Command) -> Value:
    """The key by which a cluster finds the node for a command."""
    return command[_KEY_AT.get(str(command[0]), 1)]
