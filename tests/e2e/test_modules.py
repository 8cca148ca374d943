"""The page's modules by themselves, imported in the browser: what is not easily brought about over a real run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from browser import visiting
from playwright.async_api import Browser, Page
from served import Served

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOLD = """async (steps) => {
  const { Answer } = await import(new URL("page/answer.js", location.href));
  const answer = new Answer();
  const replaced = [];
  for (const step of steps) {
    if (step.outcome) replaced.push(answer.begin(step));
    else answer.apply(step, step.cursor ?? null);
  }
  const { text, events: count, repeated, cursor, state, reason, reasoning, error, pieces } = answer;
  const calls = Object.fromEntries(answer.calls);
  return { text, count, repeated, cursor, state, reason, reasoning, error, calls, replaced, pieces };
}"""

Fold = Callable[..., Awaitable[dict[str, Any]]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(browser: Browser, server: Served) -> AsyncIterator[Page]:
    """One page for all of these: nothing here is changed by a test."""
    async with visiting(browser, server.url) as visit:
        yield visit.page


@pytest.fixture
def fold(page: Page) -> Fold:
    """What the page's `Answer` makes of `ready` data and events, in the order given."""

    async def fold(*steps: dict[str, Any]) -> dict[str, Any]:
        result = await page.evaluate(FOLD, list(steps))
        assert isinstance(result, dict)
        return result

    return fold


def ready(outcome: str, cursor: str) -> dict[str, Any]:
    return {"outcome": outcome, "cursor": cursor}


def token(text: str, cursor: str) -> dict[str, Any]:
    return {"type": "token", "run": "r_1", "data": text, "cursor": cursor}


async def test_a_merged_event_stands_for_all_that_it_merged(fold: Fold) -> None:
    answer = await fold(ready("replayed", "k3f9-0"), token("one ", "k3f9-1"), token("two three ", "k3f9-7"))
    assert (answer["text"], answer["cursor"], answer["repeated"]) == ("one two three ", "k3f9-7", 0)


async def test_an_event_that_comes_again_is_counted_and_not_shown(fold: Fold) -> None:
    answer = await fold(ready("replayed", "k3f9-0"), token("a", "k3f9-2"), token("b", "k3f9-2"), token("c", "k3f9-1"))
    assert (answer["text"], answer["repeated"], answer["cursor"]) == ("a", 2, "k3f9-2")


@pytest.mark.parametrize("outcome", ["gone", "snapshot"])
async def test_what_follows_gone_and_snapshot_replaces_everything(fold: Fold, outcome: str) -> None:
    answer = await fold(
        ready("replayed", "k3f9-0"), token("old", "k3f9-9"), ready(outcome, "zz11-0"), token("new", "zz11-1")
    )
    assert (answer["text"], answer["cursor"], answer["repeated"]) == ("new", "zz11-1", 0)
    assert answer["replaced"] == [False, True]


async def test_another_epoch_that_was_not_announced_is_not_shown(fold: Fold) -> None:
    answer = await fold(ready("replayed", "k3f9-0"), token("a", "k3f9-1"), token("b", "zz11-2"))
    assert (answer["text"], answer["cursor"]) == ("a", "k3f9-1")


async def test_what_a_reconnection_brought_is_told_apart(fold: Fold) -> None:
    answer = await fold(
        ready("replayed", "k3f9-0"),
        token("before ", "k3f9-1"),
        ready("replayed", "k3f9-1"),
        token("missed ", "k3f9-5"),
        token("after", "k3f9-6"),
    )
    assert [(p["text"], p["resumedFrom"]) for p in answer["pieces"]] == [
        ("before ", None),
        ("missed ", "k3f9-1"),
        ("after", None),
    ]


async def test_reset_discards_the_output_and_nothing_else(fold: Fold) -> None:
    answer = await fold(
        ready("replayed", "k3f9-0"),
        token("half an answer", "k3f9-1"),
        {"type": "reset", "data": {"reason": "failover"}, "cursor": "k3f9-2"},
        token("whole", "k3f9-3"),
    )
    assert (answer["text"], answer["cursor"], answer["count"]) == ("whole", "k3f9-3", 3)


async def test_reasoning_tools_error_and_ending_are_kept(fold: Fold) -> None:
    answer = await fold(
        ready("replayed", "k3f9-0"),
        {"type": "reasoning", "data": "hm", "cursor": "k3f9-1"},
        {"type": "tool_call_delta", "data": {"id": "c1", "name": "add", "arguments": '{"a"'}, "cursor": "k3f9-2"},
        {"type": "tool_call_delta", "data": {"id": "c1", "arguments": ": 1}"}, "cursor": "k3f9-3"},
        {"type": "tool_result", "data": {"id": "c1", "output": "2"}, "cursor": "k3f9-4"},
        {"type": "example:unknown", "data": 1, "cursor": "k3f9-5"},
        {"type": "error", "data": {"code": "provider_cut", "message": "cut"}, "cursor": "k3f9-6"},
        {"type": "done", "data": {"reason": "error"}, "cursor": "k3f9-7"},
    )
    assert answer["reasoning"] == "hm"
    assert answer["calls"] == {"c1": {"name": "add", "arguments": '{"a": 1}', "output": "2"}}
    assert answer["error"]["code"] == "provider_cut"
    assert (answer["state"], answer["reason"], answer["text"]) == ("done", "error", "")


JUDGE = """async ([texts, tape, repeated]) => {
  const { judge } = await import(new URL("page/compare.js", location.href));
  return judge(texts.map((text) => ({ text, repeated })), tape === null ? null : { text: tape });
}"""


@pytest.mark.parametrize(
    ("texts", "tape", "repeated", "expected"),
    [
        (["", ""], None, 0, ("none", 0)),
        (["ab", "abcd"], None, 0, ("same so far", 0)),
        (["ab", "axcd"], None, 0, ("different", 0)),
        (["abcd", "abcd"], "abcd", 0, ("equal", 0)),
        (["abcd", "ab"], "abcd", 0, ("different", 2)),
        (["abcd", "abcdcd"], "abcd", 0, ("different", 0)),
        (["abcd", "abcd"], "abcd", 1, ("different", 0)),
    ],
)
async def test_the_comparison_can_fail(
    page: Page, texts: list[str], tape: str | None, repeated: int, expected: tuple[str, int]
) -> None:
    result = await page.evaluate(JUDGE, [texts, tape, repeated])
    assert (result["verdict"], result["lost"]) == expected
