"""What the simulated model is asked to do: its options, and the faults that it can be given. Pure.

Options come in the `simulated` object of a request, or as text: `rate=50,tokens=300,fault=stall@20:5s`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from tokentape.core.durations import seconds
from tokentape.core.errors import BadRequest

DEFAULT_TOKENS: Final = 300
DEFAULT_RATE: Final = 50.0
MAX_TOKENS: Final = 10_000_000
MAX_FAULTS: Final = 16

FAULTS: Final[Mapping[str, str]] = {
    "stall": "stall@N:5s waits after N tokens, then goes on",
    "slow-start": "slow-start:5s waits before the first token",
    "error": "error@N fails after N tokens, with an error in the stream",
    "cut": "cut@N breaks the connection after N tokens",
    "status": "status:429 refuses with that HTTP status; status:429:2s says Retry-After; status:500x2 refuses twice",
    "split-utf8": "split-utf8 cuts characters of several bytes in two, over two writes",
    "long-line": "long-line@N sends a line of 100 MB after N tokens; long-line@N:5 one of 5 MB",
    "gzip-bomb": "gzip-bomb sends a small compressed answer that unpacks to 100 MB",
    "line-ends": "line-ends writes CR, U+0085 and U+2028 into the text",
    "crlf": "crlf ends the lines of the stream in CRLF",
    "no-done": "no-done leaves out the end mark",
    "empty-choices": "empty-choices sends chunks without choices in between",
    "null-content": "null-content sends chunks whose content is null in between",
}
"""All faults, each with how it is written. Several are joined by `+`."""

_AT: Final = frozenset({"stall", "error", "cut"})
_FAULT: Final = re.compile(r"(?P<name>[a-z][a-z0-9-]*)(?:@(?P<at>\d{1,9}))?(?::(?P<rest>.*))?", re.ASCII)
_STATUS: Final = re.compile(r"(?P<status>\d{3})(?:x(?P<times>\d{1,6}))?(?::(?P<after>[^:]+))?", re.ASCII)
_LONG_LINE: Final = 100
"""Megabytes."""


class Fault(NamedTuple):
    """One fault: after how many tokens, and what its kind needs."""

    name: str
    at: int = 0
    seconds: float = 0.0
    """How long to wait; for `status`, the Retry-After, where 0 is none."""
    status: int = 0
    times: int = 0
    """How many attempts `status` refuses; 0 is all."""
    megabytes: int = 0


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the simulated model answers."""

    rate: float = DEFAULT_RATE
    """Tokens per second; 0 is as fast as they are taken."""
    tokens: int | None = None
    """How many, exactly; DEFAULT_TOKENS when nothing else says how many."""
    seed: int = 0
    """The same seed and prompt give the same answer."""
    fault: str = ""
    reasoning: int = 0
    """Tokens of reasoning before the answer."""
    tool: bool | str = False
    """Calls a tool at the end: this one, or the first of the request's."""
    text: str | None = None
    """To be said instead of what it would think of."""

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Options:
        """Reads and checks them; raises `BadRequest` with what is allowed."""
        try:
            options = msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            raise BadRequest(f"`simulated`: {error}. Its options are: {', '.join(cls.__struct_fields__)}.") from None
        if not 0 <= options.rate <= 1_000_000:
            raise BadRequest("`simulated.rate` is tokens per second, from 0 (unthrottled) to 1000000.")
        if options.tokens is not None and not 0 <= options.tokens <= MAX_TOKENS:
            raise BadRequest(f"`simulated.tokens` is from 0 to {MAX_TOKENS}.")
        if not 0 <= options.reasoning <= MAX_TOKENS:
            raise BadRequest(f"`simulated.reasoning` is tokens, from 0 to {MAX_TOKENS}.")
        options.faults()
        return options

    @classmethod
    def pairs(cls, text: str) -> dict[str, Any]:
        """Options as text, unchecked: `rate=50,tokens=300`. Raises `BadRequest` for what is not `name=value`."""
        found: dict[str, Any] = {}
        for pair in filter(None, (piece.strip() for piece in text.split(","))):
            name, equals, value = pair.partition("=")
            if not equals:
                raise BadRequest(f"{pair!r:.80} is not an option; write name=value, parted by commas.")
            found[name.strip()] = value.strip()
        return found

    def faults(self) -> tuple[Fault, ...]:
        """The faults, by when they come; raises `BadRequest`."""
        texts = [text for text in self.fault.split("+") if text.strip()]
        if len(texts) > MAX_FAULTS:
            raise BadRequest(f"`simulated.fault` has {len(texts)} faults; {MAX_FAULTS} is the most.")
        return tuple(sorted((parse_fault(text.strip()) for text in texts), key=lambda fault: fault.at))


def parse_fault(text: str) -> Fault:
    """Reads one fault; raises `BadRequest` that lists them all."""
    match = _FAULT.fullmatch(text)
    if match is None or match["name"] not in FAULTS:
        raise BadRequest(f"{text!r:.80} is not a fault. They are: {'; '.join(FAULTS.values())}.")
    name, rest = match["name"], match["rest"]
    try:
        return _read_fault(name, match["at"], rest)
    except ValueError as error:
        detail = f" ({error})" if str(error) else ""
        raise BadRequest(f"{text!r:.80} is not a fault{detail}: {FAULTS[name]}.") from None


def _read_fault(name: str, at: str | None, rest: str | None) -> Fault:
    if (name in _AT) is not (at is not None) and name != "long-line":
        raise ValueError
    match name:
        case "stall" | "slow-start":
            return Fault(name, int(at or 0), seconds(rest or ""))
        case "status":
            return _read_status(rest or "")
        case "long-line":
            megabytes = int(rest) if rest is not None else _LONG_LINE
            if not 1 <= megabytes <= 1000:
                raise ValueError("from 1 to 1000 MB")
            return Fault(name, int(at or 0), megabytes=megabytes)
        case _ if rest is not None:
            raise ValueError
        case _:
            return Fault(name, int(at or 0))


def _read_status(rest: str) -> Fault:
    match = _STATUS.fullmatch(rest)
    if match is None:
        raise ValueError
    status = int(match["status"])
    if not 400 <= status <= 599:
        raise ValueError("from 400 to 599")
    return Fault("status", 0, seconds(match["after"] or 0), status, int(match["times"] or 0))
