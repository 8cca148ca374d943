"""Record an LLM's answer once; play it to anyone, from any point, over any protocol."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tokentape.core.cursor import Cursor
from tokentape.core.errors import TokentapeError
from tokentape.core.events import Event

if TYPE_CHECKING:
    from tokentape.providers.base import Part
    from tokentape.tape import Run, Tape

__version__ = "0.1.0"

__all__ = ["Cursor", "Event", "Part", "Run", "Tape", "TokentapeError", "__version__"]

# Loaded when first asked for, so that a command line or a store alone does not load the whole server.
_LAZY = {"Part": "tokentape.providers.base", "Run": "tokentape.tape", "Tape": "tokentape.tape"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'tokentape' has no attribute {name!r}")
