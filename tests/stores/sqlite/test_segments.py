"""Segments hold what was put into them, and are read page by page."""

from collections.abc import Iterator

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.stores.sqlite.database import insert_rows
from tokentape.stores.sqlite.segments import SEGMENT_BYTES, SegmentReader, split

RECORDS = st.lists(st.integers(0, 60_000) | st.integers(0, 500), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def db() -> Iterator[apsw.Connection]:
    db = apsw.Connection(":memory:")
    db.execute("CREATE TABLE segment (stream, last, first, records, PRIMARY KEY (stream, last)) WITHOUT ROWID")
    yield db
    db.close()


def put(db: apsw.Connection, stream: int, first: int, records: list[bytes]) -> None:
    insert_rows(db, "INSERT INTO segment VALUES", list(split(stream, first, records)))


@given(sizes=RECORDS, first=st.integers(1, 100), data=st.data())
def test_any_page_of_any_segments_is_exact(
    db: apsw.Connection, sizes: list[int], first: int, data: st.DataObject
) -> None:
    db.execute("DELETE FROM segment")
    records = [b"%d" % number + b"." * size for number, size in enumerate(sizes)]
    middle = data.draw(st.integers(0, len(records)))
    put(db, 1, first, records[:middle])
    put(db, 1, first + middle, records[middle:])
    put(db, 2, first, [b"another stream's"] * len(records))
    after = data.draw(st.integers(first - 1, first + len(records) - 2))
    max_bytes, max_records = data.draw(st.integers(1, 200_000)), data.draw(st.integers(1, 50))
    page = SegmentReader(db).fetch(1, after, 1000, max_bytes=max_bytes, max_records=max_records)
    rest = records[after + 1 - first :]
    assert page == rest[: len(page)]
    assert 1 <= len(page) <= max_records
    assert len(page) == 1 or sum(map(len, page)) <= max_bytes
    if len(page) < min(len(rest), max_records):
        assert sum(map(len, rest[: len(page) + 1])) > max_bytes


@given(sizes=RECORDS)
def test_a_segment_is_small_unless_one_record_is_large(sizes: list[int]) -> None:
    records = [b"." * size for size in sizes]
    rows = list(split(1, 10, records))
    assert [last for _, last, _, _ in rows][-1] == 9 + len(records)
    following = 10
    for _, last, first, packed in rows:
        assert first == following
        assert len(packed) <= SEGMENT_BYTES + 5 * (last - first + 2) or first == last
        following = last + 1


def test_a_page_ends_before_a_gap(db: apsw.Connection) -> None:
    db.execute("DELETE FROM segment")
    put(db, 1, 1, [b"1", b"2"])
    put(db, 1, 4, [b"4"])
    reader = SegmentReader(db)
    assert reader.fetch(1, 0, 4, max_bytes=100, max_records=10) == [b"1", b"2"]
    assert reader.fetch(1, 2, 4, max_bytes=100, max_records=10) == []


def test_segments_that_came_later_are_left_to_the_next_page(db: apsw.Connection) -> None:
    db.execute("DELETE FROM segment")
    put(db, 1, 1, [b"1", b"2"])
    put(db, 1, 3, [b"3"])
    assert SegmentReader(db).fetch(1, 0, 2, max_bytes=100, max_records=10) == [b"1", b"2"]
