from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tokentape.cli.audit import audit, digest
from tokentape.core.events import Event, encode_event
from tokentape.core.merge import Entry, merge


def entry(offset: int, kind: str, data: object) -> Entry:
    event = Event(type=kind, run="r_1", data=data, at=1000 + offset)
    return Entry(offset, encode_event(event), event)


TAPE = [
    entry(1, "start", {"model": "m"}),
    *(entry(offset, "token", f"{offset} ") for offset in range(2, 20)),
    entry(20, "status", {}),
    *(entry(offset, "token", f"{offset} ") for offset in range(21, 30)),
    entry(30, "done", {"reason": "stop"}),
]


def merged_at_random(random: Random) -> list[Entry]:
    got: list[Entry] = []
    place = 0
    while place < len(TAPE):
        end = random.randint(place + 1, len(TAPE))
        got += merge(TAPE[place:end])
        place = end
    return got


@given(st.randoms())
def test_however_it_was_merged_it_is_whole_and_has_one_digest(random):
    finding = audit(TAPE, merged_at_random(random))
    assert finding.whole
    assert finding.digest == digest(TAPE)


@given(st.randoms(), st.integers(0, len(TAPE) - 1))
def test_whatever_is_left_out_is_noticed(random, place):
    lacking = [e for e in TAPE if e is not TAPE[place]]
    finding = audit(TAPE, lacking)
    assert finding.lost >= 1
    assert finding.digest != digest(TAPE)


def test_lost_and_repeated_are_counted_in_recorded_events():
    assert audit(TAPE, [*TAPE[:10], *TAPE[13:]])[:3] == (27, 4, 0)  # 11, 12, 13, and 14, which has to stand for them
    assert audit(TAPE, [*TAPE[:10], *TAPE[8:]])[:3] == (32, 0, 2)
    assert audit(TAPE, TAPE[:25])[:3] == (25, 5, 0)
    assert audit(TAPE, TAPE, repeated=3).repeated == 3


def test_another_text_at_the_same_place_is_not_it():
    forged = [*TAPE[:5], entry(6, "token", "x"), *TAPE[6:]]
    finding = audit(TAPE, forged)
    assert finding.lost == 1
    assert finding.digest != digest(TAPE)


def test_nothing_of_nothing():
    assert audit([], []).whole
    assert audit(TAPE, []).lost == len(TAPE)
