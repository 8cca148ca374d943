import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstreams import KEY

from tokentape.providers.secret import HIDDEN, Redactor, Secret

keys = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=8, max_size=60)


def test_a_secret_shows_itself_to_nobody_but_the_one_who_asks():
    secret = Secret(KEY)
    assert secret.reveal() == KEY
    assert KEY not in f"{secret} {secret!r} {[secret]}"
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)
    assert secret == Secret(KEY)
    assert secret != Secret("other")
    assert secret != KEY
    assert len({secret, Secret(KEY)}) == 1


def test_a_secret_is_checked_without_being_shown():
    assert Secret.checked(f" {KEY}\n").reveal() == KEY
    for wrong in ("", " ", f"{KEY}\r\nX: y", f"{KEY}é"):
        with pytest.raises(ValueError) as caught:
            Secret.checked(wrong)
        assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}. See the dashboard.",
        f"Incorrect API key provided: {KEY[:12]}*****{KEY[-4:]}. See the dashboard.",
        f'{{"key":"{KEY}"}}',
        f"Bearer {KEY}",
        f"https://example.com/?key={KEY}&x=1",
    ],
)
def test_a_key_that_comes_back_is_taken_out(text):
    cleaned = Redactor([Secret(KEY)]).clean(text)
    assert HIDDEN in cleaned
    assert not any(KEY[place : place + 8] in cleaned for place in range(len(KEY) - 7))


def test_part_of_a_key_that_looks_like_nothing_is_hidden_with_its_word():
    redactor = Redactor([Secret("correct-horse-battery-staple")])
    assert redactor.clean("wrong: correct-ho****, x=y-battery-z") == f"wrong: {HIDDEN}, {HIDDEN}"
    assert redactor.clean("a horse, a staple: correct") == "a horse, a staple: correct"


def test_keys_of_others_are_taken_out_as_well():
    assert Redactor([]).clean("no such key: sk-proj-abc123***xyz, sorry") == f"no such key: {HIDDEN}, sorry"


def test_the_scheme_before_a_key_is_not_the_secret():
    redactor = Redactor([Secret(f"Bearer {KEY}")])
    assert KEY not in redactor.clean(f"got {KEY}")
    assert redactor.clean("Use the Bearer scheme") == f"Use the {HIDDEN} scheme"


def test_other_text_stays_on_one_line_and_within_its_limit():
    assert Redactor([]).clean("a\r\nb\tc\x00d \u2028 e") == "a b c d e"
    cleaned = Redactor([]).clean("word " * 200)
    assert len(cleaned) == 300
    assert cleaned.endswith("…")


@given(keys, st.text(max_size=50), st.text(max_size=50))
def test_no_text_around_a_key_lets_it_through(key, before, after):
    cleaned = Redactor([Secret(key)]).clean(f"{before}{key}{after}", limit=10_000)
    assert key not in cleaned.replace(HIDDEN, "\0")
