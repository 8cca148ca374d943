"""Exit codes, and which error or ending has which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, TypeVar

from tokentape.core.errors import TokentapeError

T = TypeVar("T")


class Exit(IntEnum):
    """What a script can rely on (docs/cli.md)."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    """The command line, a value in it, the configuration or the credential is at fault."""
    UNREACHABLE = 3
    NOT_FOUND = 4
    RUN_FAILED = 5
    RUN_STOPPED = 6
    INTERRUPTED = 130
    """Ctrl-C: 128 + SIGINT, as shells count."""
    BROKEN_PIPE = 141
    """Whoever read the output has gone: 128 + SIGPIPE."""


# By code and not by class: the error of an unreachable server is the client's own, and importing the client
# means importing an HTTP library, which no `--help` should wait for.
_EXITS: Final = {
    "unreachable": Exit.UNREACHABLE,
    "not_found": Exit.NOT_FOUND,
    "setup_error": Exit.USAGE,
    "bad_request": Exit.USAGE,
    "unauthorized": Exit.USAGE,
    "forbidden": Exit.USAGE,
}

_WAYS_OUT: Final = {
    "unreachable": "Start a server with 'tokentape serve', or name one with --url or TOKENTAPE_URL.",
    "unauthorized": "Set TOKENTAPE_TOKEN to a token of this server.",
    "model_not_found": "'tokentape models' lists those that there are.",
    "run_not_found": "'tokentape runs' lists those that there are.",
    "stream_not_found": "'tokentape streams' lists those that there are.",
}


def exit_for_error(error: TokentapeError) -> Exit:
    """The exit code of a command that ended with this error."""
    return _nearest(_EXITS, error, Exit.FAILURE)


def way_out(error: TokentapeError) -> str:
    """What to do about an error, where its own message cannot know; empty when nothing is to be added."""
    return _nearest(_WAYS_OUT, error, "")


def exit_for_reason(reason: str | None) -> Exit:
    """The exit code for the reason of a run's `done`; None when there was no run to end."""
    match reason:
        case "error":
            return Exit.RUN_FAILED
        case "stopped" | "interrupted":
            return Exit.RUN_STOPPED
        case _:
            return Exit.OK


def _nearest(table: Mapping[str, T], error: TokentapeError, default: T) -> T:
    """The entry for the error's class, or for the closest one above it in the tree."""
    for kind in type(error).__mro__:
        if issubclass(kind, TokentapeError) and kind.code in table:
            return table[kind.code]
    return default
