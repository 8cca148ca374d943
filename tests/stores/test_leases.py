"""Leases under threads: the writer thread acquires while the loop renews."""

import threading
from collections.abc import Callable

from tokentape.stores.base import Fence, LeaseInfo
from tokentape.stores.leases import LeaseTable


def test_p7_a_renewal_that_is_overtaken_does_not_make_two_holders() -> None:
    """The lease runs out in the middle of its renewal, and at that very moment somebody else wants it."""
    time = [0.0]
    interrupt: list[Callable[[], None]] = []

    def monotonic() -> float:
        now = time[0]
        if interrupt:
            interrupt.pop()()
        return now

    table = LeaseTable(monotonic)
    mine = table.acquire("run", "me", seconds=10, value=b"")
    assert mine is not None
    yours: list[LeaseInfo | None] = []
    other = threading.Thread(target=lambda: yours.append(table.acquire("run", "you", seconds=10, value=b"")))

    def overtake() -> None:
        time[0] = 11
        other.start()
        other.join(0.1)  # it either gets through at once, or has to wait until the renewal is done

    interrupt.append(overtake)
    table.renew("run", mine.token, seconds=10)
    other.join()
    assert (Fence("run", mine.token) in table.fences) == (yours[0] is None)


def test_taking_back_restores_the_lease_and_never_its_token() -> None:
    table = LeaseTable(lambda: 0.0)
    first = table.acquire("run", "me", seconds=10, value=b"")
    assert first is not None
    before = table.get("run")
    second = table.acquire("run", "me", seconds=10, value=b"")
    assert second is not None
    table.put_back("run", before)
    assert Fence("run", first.token) in table.fences
    third = table.acquire("run", "me", seconds=10, value=b"")
    assert third is not None
    assert third.token > second.token


def test_p7_only_the_last_token_of_a_lease_is_a_fence() -> None:
    table = LeaseTable(lambda: 0.0)
    first = table.acquire("run", "me", seconds=10, value=b"")
    assert first is not None
    held = table.get("run")
    second = table.acquire("run", "me", seconds=10, value=b"")
    assert second is not None
    assert table.fences == {Fence("run", second.token)}
    table.put_back("run", held)  # the second could not be written down
    assert table.fences == {Fence("run", first.token)}
    assert table.release("run", first.token)
    assert table.fences == set()
