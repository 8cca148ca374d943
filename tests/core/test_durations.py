import pytest

from tokentape.core.durations import seconds


@pytest.mark.parametrize(
    ("written", "expected"),
    [(5, 5), (0.5, 0.5), (0, 0), ("5", 5), ("500ms", 0.5), ("5s", 5), (" 1.5 m ", 90), ("2h", 7200)],
)
def test_durations_are_seconds(written, expected):
    assert seconds(written) == expected


@pytest.mark.parametrize(
    "written", [-1, True, None, "", "s", "-5s", "5 days", "1e9s", "٣s", float("inf"), float("nan")]
)
def test_what_is_no_duration_is_refused_with_what_would_be(written):
    with pytest.raises(ValueError, match="write seconds"):
        seconds(written)
