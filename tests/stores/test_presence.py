"""Presence in memory stays in bounds by itself."""

from tokentape.stores.base import Member
from tokentape.stores.presence import SWEEP_SECONDS, LocalPresence
from tokentape.testing import ManualClock


async def test_members_of_streams_that_nobody_asks_about_are_forgotten() -> None:
    clock = ManualClock()
    presence = LocalPresence(clock.monotonic)
    for turn in range(1000):
        await presence.track(f"room/{turn}", Member("ann", None), seconds=10)
    clock.advance(SWEEP_SECONDS)
    await presence.track("room", Member("ann", None), seconds=10)
    assert list(presence._present) == ["room"]


async def test_an_empty_room_is_forgotten() -> None:
    presence = LocalPresence(ManualClock().monotonic)
    await presence.track("room", Member("ann", None), seconds=10)
    await presence.untrack("room", "ann")
    await presence.members("elsewhere")
    assert presence._present == {}
