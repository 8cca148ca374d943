"""What an examination finds: of a store, of a machine, of a way through proxies."""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["ok", "warning", "failure"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    subject: str
    """What it is about, in a word or two."""
    verdict: Verdict
    """A `warning` works and may not last; a `failure` does not work."""
    found: str
    """What is there, in a sentence without secrets."""
    advice: str = ""
    """What to do about it, with the name of the setting."""
