"""When to try again: exponential backoff with full jitter.

Full jitter spreads the retries of many clients evenly over the whole window, which is what empties a queue
soonest after an outage (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import msgspec


class Backoff(msgspec.Struct, frozen=True):
    """A retry policy: the window grows from `base` by `factor` with each attempt, up to `cap`. Times in seconds.

    What the other side asks for is trusted up to `hint_cap`: a hostile or mistaken hint must not park anybody.
    """

    base: float = 0.5
    cap: float = 30.0
    factor: float = 2.0
    hint_cap: float = 120.0

    def __post_init__(self) -> None:
        if not 0 < self.base <= self.cap:
            raise ValueError(f"base must be over 0 and at most cap, not {self.base} with a cap of {self.cap}")
        if not self.factor >= 1:
            raise ValueError(f"factor must be at least 1, not {self.factor}")

    def delay(self, attempt: int, random: float, hint: float | None = None) -> float:
        """Seconds to wait after failed attempt number `attempt`, counted from 0.

        `random` is drawn evenly from 0…1 by the caller. `hint` is what the server asked for (Retry-After,
        `retry:`), in seconds: it is a floor, and the jitter comes on top of it, so that those who got the same
        hint do not come back as one. No delay is longer than `hint_cap` + `cap`.
        """
        if attempt < 0 or not 0 <= random <= 1:
            raise ValueError(f"attempt must be 0 or more and random within 0…1, not {attempt} and {random}")
        # A hint that is negative or not a number asks for nothing.
        floor = min(hint, self.hint_cap) if hint is not None and hint > 0 else 0.0
        return floor + random * self.window(attempt)

    def window(self, attempt: int) -> float:
        """The longest delay after this attempt, without a hint, in seconds."""
        try:
            return min(self.cap, self.base * self.factor**attempt)
        except OverflowError:
            return self.cap
