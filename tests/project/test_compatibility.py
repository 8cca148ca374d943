"""docs/compatibility.md says what was run: its versions are those that are installed, its formats those there are."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from tokentape.dialects.formats import FORMATS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "compatibility.md").read_text()
LOCK = json.loads((ROOT / "tests" / "clients" / "package-lock.json").read_text())["packages"]
NODE = {
    "openai (Node.js)": ["openai"],
    "@anthropic-ai/sdk": ["@anthropic-ai/sdk"],
    "ai, `DefaultChatTransport`": ["ai5", "ai6", "ai7"],
    "ai, `WebSocketChatTransport`": ["ai7"],
    "@ag-ui/client, `HttpAgent`": ["@ag-ui/client"],
    "@tanstack/ai-client, `fetchServerSentEvents`": ["@tanstack/ai-client"],
    "@durable-streams/client": ["@durable-streams/client"],
}


def row(client: str) -> str:
    found = re.search(rf"^\| {re.escape(client)} \| ([^|]*) \|", PAGE, re.MULTILINE)
    assert found is not None, client
    return found[1].strip()


@pytest.mark.parametrize("package", ["openai", "anthropic"])
def test_python_packages(package: str) -> None:
    assert row(f"{package} (Python)") == version(package)


@pytest.mark.parametrize("client", NODE)
def test_node_packages(client: str) -> None:
    assert row(client) == ", ".join(LOCK[f"node_modules/{package}"]["version"] for package in NODE[client])


def test_the_suite() -> None:
    suite = "@durable-streams/server-conformance-tests"
    assert f"{suite} {LOCK[f'node_modules/{suite}']['version']}" in " ".join(PAGE.split())


def test_formats() -> None:
    table = PAGE[PAGE.index("## Formats") :]
    assert set(re.findall(r"`([a-z0-9-]+)`", "".join(re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)))) == set(
        FORMATS
    )


def test_all_that_it_points_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    for target in re.findall(r"`(tests/[^`]+)`", PAGE):
        assert (ROOT / target).exists(), target
