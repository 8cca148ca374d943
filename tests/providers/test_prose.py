import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentape.providers import prose
from tokentape.providers.topics import CLOSERS

PROMPT = "Why is the sea salty?"


@given(st.text(max_size=100))
def test_the_tokens_of_a_text_are_the_text(text):
    pieces = prose.tokens(text)
    assert "".join(pieces) == text
    assert prose.count(text) == len(pieces)
    assert all(pieces)


def test_tokens_are_like_those_of_real_models():
    assert prose.tokens("Hi there, 京都 in 2026!") == ["Hi", " there", ",", " ", "京", "都", " in", " 202", "6", "!"]
    assert prose.tokens("internationalisation") == ["interna", "tionali", "sation"]
    assert prose.tokens("a\n\n    b_c") == ["a", "\n\n    ", "b", "_", "c"]
    assert prose.tokens("👩\u200d🚀") == ["👩", "\u200d", "🚀"]


@given(st.text(max_size=80), st.integers(0, 3), st.integers(0, 500))
def test_a_length_is_exact(prompt, seed, length):
    assert len(list(prose.answer(prompt, seed=seed, length=length))) == length
    assert len(list(prose.thoughts(prompt, seed=seed, length=length))) == length


@pytest.mark.parametrize("length", [1, 2, 7, 20, 33, 100, 300, 301])
def test_no_answer_stops_in_mid_sentence_or_begins_with_a_blank(length):
    text = "".join(prose.answer(PROMPT, seed=1, length=length))
    assert text == text.lstrip()
    assert text.endswith((".", "✓"))


def test_the_same_seed_and_prompt_give_the_same_answer():
    def answer(prompt: str, seed: int) -> str:
        return "".join(prose.answer(prompt, seed=seed, length=200))

    assert answer(PROMPT, 1) == answer(PROMPT, 1)
    assert len({answer(PROMPT, 1), answer(PROMPT, 2), answer("Something else", 1)}) == 3


def test_an_answer_mentions_the_prompt_and_has_every_kind_of_text():
    text = "".join(prose.answer(PROMPT, seed=1, length=2000))
    assert f"“{PROMPT}”" in text
    assert "\n\n## " in text
    assert "\n- " in text
    assert "|---|" in text
    assert "```python" in text
    assert "京都" in text
    assert "🍞" in text


def test_a_long_prompt_is_quoted_in_part():
    text = "".join(prose.answer("word " * 10_000, seed=1, length=100))
    assert " …”" in text
    assert len(text) < 1000


def test_braces_in_a_prompt_are_only_braces():
    assert "“{prompt} {0} {}”" in "".join(prose.answer("{prompt} {0} {}", seed=1, length=100))


def test_closers_have_the_length_that_their_place_says():
    assert [prose.count(closer) for closer in CLOSERS] == list(range(1, len(CLOSERS) + 1))
