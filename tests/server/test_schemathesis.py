"""What the description allows, and what it does not: no request makes the server fail, and answers are as described."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tokentape import __version__
from tokentape.cli.child import ServerProcess
from tokentape.server.app import OPERATIONS
from tokentape.server.openapi import describe

EVENT_STREAM = "text/event-stream"
EXAMPLES = 12
"""For each operation; `make soak` has more."""
OUR_FAULT = re.compile("internal_error|Traceback")

AT_ONCE = {"rate": 0, "tokens": 20}
MESSAGES = [{"role": "user", "content": "Hello"}]
OURS = {"simulated": AT_ONCE}
CHAT = {
    "id": "c-1",
    "messages": [{"id": "m-1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}],
    "trigger": "submit-message",
    "tokentape": OURS,
}
KNOWN: dict[str, dict[str, Any]] = {
    "/v1/runs": {"model": "simulated", "messages": MESSAGES, "simulated": AT_ONCE, "replaces": None},
    "/v1/chat/completions": {"model": "simulated", "messages": MESSAGES, "tokentape": OURS},
    "/v1/responses": {"model": "simulated", "input": "Hello", "previous_response_id": None, "tokentape": OURS},
    "/v1/messages": {"model": "simulated", "messages": MESSAGES, "max_tokens": 50, "tokentape": OURS},
    "/api/chat": CHAT,
    "/api/{version}/chat": CHAT,
    "/ag-ui": {"messages": [{"id": "m-1", **MESSAGES[0]}], "tokentape": OURS},
}
"""What makes a body whole that chance alone would not find, by path."""

schema = schemathesis.openapi.from_dict(describe(OPERATIONS, __version__))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log"
    with asyncio.Runner() as runner:
        process = runner.run(ServerProcess("memory://", log).__aenter__())
        try:
            yield f"http://127.0.0.1:{process.port}"
            assert not OUR_FAULT.search(log.read_text())
        finally:
            runner.run(process.kill())


def steer(case: schemathesis.Case[Any], run: str) -> None:
    """Gives every second request a model, a run or messages that there are: chance alone would not find them."""
    if zlib.crc32(repr((case.path_parameters, case.query, case.body)).encode()) % 2:
        return
    if "id" in case.path_parameters and case.method != "DELETE":
        case.path_parameters["id"] = run
    if "version" in case.path_parameters:
        case.path_parameters["version"] = "v7"
    if isinstance(case.body, dict) and case.path in KNOWN:
        case.body = {**case.body, **KNOWN[case.path]}


@pytest.fixture(scope="module")
def run(server: str) -> str:
    """A run that there is, and that has ended."""
    with requests.post(f"{server}/v1/runs", json=KNOWN["/v1/runs"], timeout=30) as response:
        identity: str = response.json()["id"]
        return identity


def ask(case: schemathesis.Case[Any], server: str, run: str) -> None:
    steer(case, run)
    if case.query:
        # A long-poll would only take its time.
        case.query.pop("wait", None)
    call = case.as_transport_kwargs(base_url=server)
    with requests.request(**call, stream=True, timeout=30, allow_redirects=False) as response:
        if response.headers.get("content-type", "").startswith(EVENT_STREAM):
            assert response.status_code == 200
            return  # it may have no end
        case.validate_response(
            response, checks=[not_a_server_error, content_type_conformance, response_schema_conformance]
        )


@schema.parametrize()
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=True)
def test_no_request_makes_it_fail(case: schemathesis.Case[Any], server: str, run: str) -> None:
    ask(case, server, run)


@pytest.mark.soak
@schema.parametrize()
@settings(max_examples=500, suppress_health_check=list(HealthCheck))
def test_no_request_makes_it_fail_in_many(case: schemathesis.Case[Any], server: str, run: str) -> None:
    ask(case, server, run)
