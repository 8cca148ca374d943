from __future__ import annotations

import re

import pytest

from tokentape.core import errors
from tokentape.core.errors import CursorGone, ProviderError, TokentapeError, TooMany

LINE = re.compile(r"    ((?:[│ ]   )*)[├└]── (\w+) +(\d{3}) (\w+)(?:  .*)?")


def classes(root: type[TokentapeError]) -> list[type[TokentapeError]]:
    found = [root]
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            found += classes(child)
    return found


def drawn() -> dict[str, tuple[str, int, str]]:
    """The tree of the module's docstring: name → (parent, status, code)."""
    tree: dict[str, tuple[str, int, str]] = {}
    ancestors = ["TokentapeError"]
    for line in errors.__doc__.splitlines():
        if "── " not in line:
            continue
        match = LINE.fullmatch(line)
        assert match, line
        depth = len(match[1]) // 4 + 1
        del ancestors[depth:]
        tree[match[2]] = (ancestors[-1], int(match[3]), match[4])
        ancestors.append(match[2])
    return tree


def test_the_drawn_tree_is_the_tree():
    actual = {
        kind.__name__: (kind.__bases__[0].__name__, kind.status, kind.code)
        for kind in classes(TokentapeError)
        if kind is not TokentapeError
    }
    assert drawn() == actual


def test_every_error_of_the_module_is_in_the_tree():
    defined = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}
    assert set(classes(TokentapeError)) == defined


def test_no_two_classes_share_a_code():
    codes = [kind.code for kind in classes(TokentapeError)]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("kind", classes(TokentapeError))
def test_what_a_retry_can_help_is_a_server_side_condition(kind):
    assert not kind.retryable or kind.status in (429, 503, 507)


def test_the_answer_has_the_code_the_message_and_the_details():
    fault = CursorGone("That is no longer here.", reason="trimmed")
    assert str(fault) == "That is no longer here."
    assert fault.as_dict() == {
        "code": "gone",
        "message": "That is no longer here.",
        "retryable": False,
        "reason": "trimmed",
    }
    assert TooMany("Later.").as_dict()["retryable"] is True


def test_a_provider_error_answers_with_its_subcode():
    fault = ProviderError("Slow down.", subcode="provider_rate_limited", retryable=True, retry_after=2.5, attempt=3)
    assert fault.code == "provider_error"
    assert fault.retry_after == 2.5
    assert fault.as_dict() == {
        "code": "provider_rate_limited",
        "message": "Slow down.",
        "retryable": True,
        "attempt": 3,
    }
