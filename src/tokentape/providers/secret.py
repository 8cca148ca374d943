"""Keys: values that are used, and never shown."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from typing import Final, Self

HIDDEN: Final = "[hidden]"
_GRAM: Final = 8
"""So many characters of a key in a row are enough to hide the word that they stand in: providers show
their callers the two ends of a key, with stars between."""
_MIN_WORD: Final = 4
_WORD: Final = re.compile(r"[^\s\"'`<>()\[\]{},;]+")
_LOOKS_SECRET: Final = re.compile(r"\b(?:sk|pk|rk|gsk|xai)[-_][\w*.…-]{6,}|(?i:\bbearer)\s+\S{12,}")
"""What other people's keys look like; an upstream behind a gateway may name one that is not ours."""


class Secret:
    """A value that neither `repr`, nor a log, nor JSON can show."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    @classmethod
    def checked(cls, value: str) -> Self:
        """Makes one of what somebody configured; raises `ValueError`, without the value, where it cannot be sent."""
        text = value.strip()
        if not text or not text.isascii() or not text.isprintable():
            raise ValueError("it must be printable ASCII text, and not empty")
        return cls(text)

    def reveal(self) -> str:
        """The value itself, for the request that needs it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"


class Redactor:
    """Takes secrets out of text that comes from outside: whole, or as much of one as a word gives away."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        values = [secret.reveal() for secret in secrets]
        # "Bearer x" is a secret because of x.
        words = {word for value in values for word in value.split() if len(word) >= _MIN_WORD}
        self._whole = sorted(words.union(values) - {""}, key=len, reverse=True)
        self._grams = {word[i : i + _GRAM] for word in words for i in range(len(word) - _GRAM + 1)}

    def clean(self, text: str, *, limit: int = 300) -> str:
        """The text on one line, without secrets and control characters, and cut at `limit` characters."""
        for value in self._whole:
            text = text.replace(value, HIDDEN)
        text = _LOOKS_SECRET.sub(HIDDEN, text)
        text = _WORD.sub(self._hide, text)
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= limit else text[: limit - 1] + "…"

    def _hide(self, word: re.Match[str]) -> str:
        found = word[0]
        if any(found[i : i + _GRAM] in self._grams for i in range(len(found) - _GRAM + 1)):
            return HIDDEN
        return found
