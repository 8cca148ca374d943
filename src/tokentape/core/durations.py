"""Durations as people write them, in configuration and in the simulated model's faults."""

from __future__ import annotations

import re
from typing import Final

_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(ms|s|m|h|d|w|)", re.ASCII)
_SECONDS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def seconds(value: object) -> float:
    """Reads a duration: seconds, or text such as `500ms`, `15s`, `10m`, `2h`, `7d`, `1w`; raises `ValueError`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r:.40} is not a duration; write seconds (15), or '500ms', '15s', '10m', '7d'")
    return float(match[1]) * _SECONDS[match[2]]
