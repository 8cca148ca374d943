"""Text for the simulated model: readable, exact in length, and the same for the same seed and prompt. Pure.

Tokens are cut as real tokenisers do in spirit: a word with the space before it, long words in pieces, one
sign of Japanese or one emoji each.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from tokentape.providers.topics import CLOSERS, FILLERS, OPENINGS, THOUGHTS, TOPICS, Topic

_TOKEN: Final = re.compile(
    r"\n[\n ]*|[\u3040-\u30ff\u4e00-\u9fff]| ?[A-Za-z\u00c0-\u024f]{1,7}| ?\d{1,3}| ?[^\w\s]| +|.", re.DOTALL
)
_BLOCKS: Final = ("\n\n|", "\n\n```")
_QUOTED: Final = 60
"""Characters of the prompt that are quoted."""


def tokens(text: str) -> list[str]:
    """Cuts a text into tokens; joined they are the text."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """The number of tokens of a text."""
    return sum(1 for _ in _TOKEN.finditer(text))


def answer(prompt: str, *, seed: int, length: int) -> Iterator[str]:
    """An answer of exactly `length` tokens."""
    return _fitted(_answer(prompt, random.Random(f"{seed}/{prompt}")), f"{seed}/{prompt}", length)  # noqa: S311 - prose


def thoughts(prompt: str, *, seed: int, length: int) -> Iterator[str]:
    """Reasoning of exactly `length` tokens."""
    return _fitted(_thoughts(prompt, random.Random(f"{seed}:{prompt}")), f"{seed}:{prompt}", length)  # noqa: S311 - prose


def _answer(prompt: str, choice: random.Random) -> Iterator[str]:
    quoted = _quote(prompt)
    if quoted:
        yield choice.choice(OPENINGS).format(prompt=quoted)
    lead = "\n\n" if quoted else ""
    while True:
        for topic in choice.sample(TOPICS, len(TOPICS)):
            yield from _piece(topic, choice, lead)
            lead = "\n\n"


def _piece(topic: Topic, choice: random.Random, lead: str) -> Iterator[str]:
    first, *others = topic.sentences
    half = len(others) // 2
    # A heading never stands alone at the end.
    yield f"{lead}## {topic.title}\n\n{first}"
    yield from (f" {sentence}" for sentence in others[:half])
    numbered = choice.random() < 0.3
    gap = "\n\n"
    for place, point in enumerate(topic.points, start=1):
        yield f"{gap}{place}. {point}" if numbered else f"{gap}- {point}"
        gap = "\n"
    gap = "\n\n"
    for sentence in others[half:]:
        yield gap + sentence
        gap = " "
    yield f"\n\n{topic.block}"


def _thoughts(prompt: str, choice: random.Random) -> Iterator[str]:
    yield f"The request is “{_quote(prompt)}”."
    while True:
        for thought in choice.sample(THOUGHTS, len(THOUGHTS)):
            yield f" {thought}"


def _quote(prompt: str) -> str:
    words = " ".join(prompt[: 10 * _QUOTED].split())
    return words if len(words) <= _QUOTED else words[:_QUOTED].rsplit(" ", 1)[0] + " …"


def _fitted(units: Iterator[str], seed: str, length: int) -> Iterator[str]:
    """Whole units while they fit, then short sentences to the very end: no answer stops in mid-sentence."""
    left = length
    lead = ""
    for unit in units:
        pieces = _pieces(unit)
        if len(pieces) > left:
            if unit.startswith(_BLOCKS):
                continue
            break
        left -= len(pieces)
        lead = "\n\n" if unit.startswith("\n") else " "
        yield from pieces
    yield from _ending(left, random.Random(f"{seed} end"), lead)  # noqa: S311 - prose


def _ending(left: int, choice: random.Random, lead: str) -> Iterator[str]:
    if lead == "\n\n" and left > 1:
        left -= 1
        yield lead
    while left:
        if left <= len(CLOSERS):
            sentence = CLOSERS[left - 1]
        else:
            sentence = choice.choice([filler for filler in FILLERS if len(_pieces(filler)) <= left])
        pieces = _pieces(sentence)
        left -= len(pieces)
        yield pieces[0] if lead == " " else pieces[0].lstrip()
        yield from pieces[1:]
        lead = " "


@lru_cache(maxsize=1024)
def _pieces(unit: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(unit))
