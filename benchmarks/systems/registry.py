"""The systems under test: who is measured, and how each is reached."""

from __future__ import annotations

from systems.fanouts import FANOUTS
from systems.proxies import PROXIES
from systems.system import Command, Context, System, missing

SYSTEMS: tuple[System, ...] = (*FANOUTS, *PROXIES)


def system(name: str) -> System:
    """A system by its name; raises `KeyError` with the names that there are."""
    for candidate in SYSTEMS:
        if candidate.name == name:
            return candidate
    raise KeyError(f"no system {name!r}; there are: {', '.join(each.name for each in SYSTEMS)}")


__all__ = ["SYSTEMS", "Command", "Context", "System", "missing", "system"]
