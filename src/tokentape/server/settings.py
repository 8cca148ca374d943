"""Values as people write them in a configuration: durations, sizes and keys."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, Final

from tokentape.core.durations import seconds

_NUMBER: Final = r"([0-9]+(?:\.[0-9]+)?)"
_SIZE: Final = re.compile(_NUMBER + r"\s*([kKMG]i?B|B|)", re.ASCII)

_BYTES: Final = {"": 1, "B": 1} | {
    f"{letter}{unit}": base**power
    for power, letters in enumerate(("kK", "M", "G"), start=1)
    for letter in letters
    for unit, base in (("B", 1000), ("iB", 1024))
}


class Seconds(float):
    """A duration: a number of seconds, or text with a unit (`"500ms"`, `"15s"`, `"10m"`, `"2h"`, `"7d"`, `"1w"`)."""

    __slots__ = ()

    @classmethod
    def read(cls, value: object) -> Seconds:
        """Reads it; raises `ValueError` that says how to write one."""
        return cls(seconds(value))


class Bytes(int):
    """A size: a number of bytes, or text with a unit (`"512KiB"`, `"64MiB"`, `"1GB"`)."""

    __slots__ = ()

    @classmethod
    def read(cls, value: object) -> Bytes:
        """Reads it; raises `ValueError` that says how to write one."""
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(value)
        match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"{value!r:.40} is not a size; write bytes (1048576), or '512KiB', '64MiB', '1GB'")
        return cls(float(match[1]) * _BYTES[match[2]])


class ApiKey:
    """A key that callers present. Only its digest is kept, so that nothing can show the key itself."""

    __slots__ = ("_digest",)

    def __init__(self, key: str) -> None:
        self._digest = hashlib.sha256(key.encode()).digest()

    @classmethod
    def read(cls, value: object) -> ApiKey:
        """Reads it; raises `ValueError` without repeating the value."""
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value or " " in value:
            raise ValueError("a key is text of printable ASCII characters without spaces")
        return cls(value)

    def matches(self, presented: str) -> bool:
        """Compares in constant time."""
        return hmac.compare_digest(self._digest, hashlib.sha256(presented.encode()).digest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKey) and hmac.compare_digest(self._digest, other._digest)

    def __hash__(self) -> int:
        return hash(self._digest)

    def __repr__(self) -> str:
        return "ApiKey(…)"


_READERS: Final = {Seconds: Seconds.read, Bytes: Bytes.read, ApiKey: ApiKey.read}


def read_setting(kind: type, value: Any) -> Any:
    """For msgspec: reads a value of one of the types above."""
    return _READERS[kind](value)
