"""What is known of runs does not depend on the order in which it is learned (P4)."""

import itertools

import msgspec
import pytest

from tokentape.runs.index import RunIndex
from tokentape.runs.request import RunInfo

QUEUED = RunInfo(id="r_1", stream="runs/r_1", state="queued", model="m", created_at=1)
RUNNING = msgspec.structs.replace(QUEUED, state="running", started_at=2)
AGAIN = msgspec.structs.replace(QUEUED, attempt=2)
RUNNING_AGAIN = msgspec.structs.replace(AGAIN, state="running", started_at=3)
DONE = msgspec.structs.replace(RUNNING, state="done", reason="stop")


def folded(*infos: RunInfo) -> RunIndex:
    index = RunIndex()
    for info in infos:
        index.apply(info)
    return index


@pytest.mark.parametrize(
    "records",
    [
        [QUEUED, RUNNING],
        [QUEUED, RUNNING, AGAIN],
        [QUEUED, RUNNING, AGAIN, RUNNING_AGAIN],
        # It ended, and whoever began it again had not heard of that.
        [QUEUED, RUNNING, AGAIN, RUNNING_AGAIN, DONE],
    ],
)
def test_records_fold_in_any_order_and_twice(records: list[RunInfo]) -> None:
    for order in itertools.permutations(records):
        for index in (folded(*order), folded(*order, *order)):
            assert index.get("r_1") == records[-1]
            last = records[-1].state
            assert [info.id for info in index.unfinished()] == (["r_1"] if last != "done" else [])
            assert [info.id for info in index.queued()] == (["r_1"] if last == "queued" else [])


def test_the_first_stop_counts_until_the_end() -> None:
    index = folded(QUEUED)
    index.apply_stop("r_1", "first")
    index.apply_stop("r_1", "second")
    index.apply(RUNNING)
    assert index.stop_of("r_1") == "first"
    index.apply(DONE)
    assert index.stop_of("r_1") is None
    index.apply_stop("r_1", "late")
    assert index.stop_of("r_1") is None


def test_what_is_remembered_is_bounded() -> None:
    index = RunIndex(limit=3)
    for number in range(10):
        index.apply(msgspec.structs.replace(DONE, id=f"r_{number}"))
        index.apply_stop(f"r_x{number}", "why")
    assert [info.id for info in index.newest()] == ["r_9", "r_8", "r_7"]
    assert [index.stop_of(f"r_x{number}") is not None for number in range(10)] == [False] * 7 + [True] * 3
    for number in range(5):
        index.apply(msgspec.structs.replace(QUEUED, id=f"r_live{number}"))
    assert len(index.unfinished()) == 5, "what has not ended is not forgotten"


def test_a_run_is_found_by_its_key_as_long_as_it_is_known() -> None:
    index = RunIndex(limit=2)
    for number in range(3):
        index.apply(msgspec.structs.replace(DONE, id=f"r_{number}", key=f"a:{number}"))
    index.apply(msgspec.structs.replace(DONE, id="r_other"))
    assert index.with_key("a:0") is None, "it is forgotten"
    found = index.with_key("a:2")
    assert found is not None
    assert found.id == "r_2"
    index.apply(msgspec.structs.replace(QUEUED, id="r_3", key="a:3"))
    newest = index.with_key(lambda key: key.startswith("a:"))
    assert newest is not None
    assert newest.id == "r_3"
    assert index.with_key(lambda key: key == "b") is None
