"""Durations, sizes and keys as people write them."""

import pytest

from tokentape.server.settings import ApiKey, Bytes, Seconds


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (30, 30),
        (0.5, 0.5),
        ("30", 30),
        ("500ms", 0.5),
        ("15s", 15),
        ("1.5m", 90),
        ("2h", 7200),
        ("7d", 604_800),
        ("1w", 604_800),
        (" 15 s ", 15),
        (0, 0),
    ],
)
def test_durations(written, seconds):
    assert Seconds.read(written) == seconds


@pytest.mark.parametrize(
    "written", ["soon", "-1s", -1, True, None, "1y", "1s2", float("nan"), float("inf"), "", [], "١s"]
)
def test_what_is_no_duration(written):
    with pytest.raises(ValueError, match="is not a duration"):
        Seconds.read(written)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (1024, 1024),
        ("1024", 1024),
        ("512KiB", 524_288),
        ("512kB", 512_000),
        ("64MiB", 67_108_864),
        ("1.5GB", 1_500_000_000),
        ("2 GiB", 2_147_483_648),
        ("10B", 10),
    ],
)
def test_sizes(written, size):
    assert Bytes.read(written) == size


@pytest.mark.parametrize("written", ["big", "-1", -1, 1.5, True, "1TB", "64mib", ""])
def test_what_is_no_size(written):
    with pytest.raises(ValueError, match="is not a size"):
        Bytes.read(written)


def test_a_key_matches_itself_and_shows_nothing():
    key = ApiKey.read("sk-secret-1")
    assert key.matches("sk-secret-1")
    assert not key.matches("sk-secret-2")
    assert not key.matches("")
    assert "secret" not in f"{key!r} {key!s}"
    assert not any("secret" in str(getattr(key, name)) for name in key.__slots__)


@pytest.mark.parametrize("written", ["", "two words", "caf\u00e9-secret", "line\nsecret", 17, None])
def test_what_is_no_key_is_not_repeated(written):
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        ApiKey.read(written)
    assert "secret" not in str(caught.value)
