"""For tests of what is built on tokentape, and of stores that others write.

`ManualClock` needs nothing. `StoreContract` needs pytest with pytest-asyncio, and `StoreMachine` needs
hypothesis; both are imported when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokentape.testing.clock import ManualClock

if TYPE_CHECKING:
    from tokentape.testing.store_contract import StoreContract
    from tokentape.testing.store_machine import StoreMachine

__all__ = ["ManualClock", "StoreContract", "StoreMachine"]


def __getattr__(name: str) -> Any:
    if name == "StoreContract":
        from tokentape.testing.store_contract import StoreContract  # noqa: PLC0415 - it needs pytest

        return StoreContract
    if name == "StoreMachine":
        from tokentape.testing.store_machine import StoreMachine  # noqa: PLC0415 - it needs hypothesis

        return StoreMachine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
