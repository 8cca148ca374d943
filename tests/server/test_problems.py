"""Every error is a problem document with a stable code, and tells no secrets."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest
from http_rig import PATIENCE, running_server
from starlette.routing import Route

from tokentape.core import errors
from tokentape.core.errors import CursorGone, ProviderError, TokentapeError
from tokentape.server.problems import problem


def tree(root: type[TokentapeError]) -> Iterator[type[TokentapeError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


KINDS = sorted({kind for kind in tree(TokentapeError) if kind.__module__ == errors.__name__}, key=lambda k: k.__name__)


@pytest.mark.parametrize("kind", KINDS)
def test_each_error_keeps_its_code_and_status(kind):
    response = problem(kind("What was wrong."))
    document = json.loads(response.body)
    assert response.status_code == document["status"] == kind.status
    assert document["code"] == kind.code
    assert document["detail"] == "What was wrong."
    assert document["retryable"] is kind.retryable
    assert document["title"]
    assert document["type"] == "about:blank"
    assert response.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in response.headers) is kind.retryable


def test_details_are_members_but_shadow_none():
    document = json.loads(problem(CursorGone("Gone.", reason="epoch", status=200, title="x", type="y")).body)
    assert document["reason"] == "epoch"
    assert (document["status"], document["title"], document["type"]) == (410, "Gone", "about:blank")


def test_a_providers_wait_is_passed_on():
    error = ProviderError("Busy.", subcode="provider_rate_limited", retryable=True, retry_after=7.2)
    response = problem(error)
    assert response.headers["retry-after"] == "8"
    assert json.loads(response.body)["code"] == "provider_rate_limited"


async def test_what_only_http_knows():
    async with running_server() as rig:
        missing = await rig.ask("GET", "/nope")
        assert (missing.status, missing.json["code"]) == (404, "not_found")
        for path in ("/v1/runs/", "/v1/channels/room", "/v1"):
            assert (await rig.ask("GET", path)).status == 404, path
        wrong = await rig.ask("PUT", "/v1/runs")
        assert (wrong.status, wrong.json["code"]) == (405, "method_not_allowed")
        assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
        for reply in (missing, wrong):
            assert reply.headers["content-type"] == "application/problem+json"


async def test_a_hostile_path_is_data(caplog):
    async with running_server() as rig:
        reply = await rig.ask("GET", "/%0d%0aSet-Cookie:%20x=1/<script>")
        assert reply.status == 404
        assert "set-cookie" not in reply.headers
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["x-content-type-options"] == "nosniff"


async def test_a_host_that_is_none_is_no_failure(caplog):
    async with running_server() as rig:
        for host in ("[", "[::1", "a b", "\xff", ""):
            assert (await rig.ask("GET", "/nope", Host=host)).status == 404, host
            assert (await rig.ask("GET", "/v1/runs", Host=host)).status == 403, host
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "header", [b"Last-Event-ID: a\rb", b"Idempotency-Key: a\x00b", b"X-A\x00: 1", b"X: 1\r\n folded", b"No colon"]
)
async def test_control_characters_in_headers_are_refused(header, caplog):
    """Faults, row 34 (and 35): 400, and the connection is closed, so nothing is taken for another request."""
    async with running_server(log__access=True) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        with caplog.at_level(logging.INFO):
            writer.write(b"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(), PATIENCE)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1") == 1
        writer.close()
    assert not [r for r in caplog.records if r.name == "tokentape.access"]


class Failing:
    """Fails as nobody foresaw, before the response or in the middle of it."""

    def __init__(self, *, started: bool) -> None:
        self.started = started

    async def __call__(self, scope, receive, send) -> None:
        if self.started:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("secret: sk-planted")


async def test_the_unforeseen_is_logged_and_not_shown(ours_or_uvicorn, caplog):
    async with running_server(server=ours_or_uvicorn) as rig:
        rig.app.router.routes.append(Route("/fail", Failing(started=False)))
        with caplog.at_level(logging.ERROR):
            reply = await rig.ask("GET", "/fail")
        assert (reply.status, reply.json["code"]) == (500, "internal_error")
        assert b"planted" not in reply.body
        assert reply.json["request_id"] in caplog.text
        assert "planted" in caplog.text
        assert len([r for r in caplog.records if r.name.startswith("tokentape") and r.levelno >= logging.ERROR]) == 1
        assert (await rig.ask("GET", "/healthz")).status == 200


async def test_a_response_that_fails_in_the_middle_has_no_end(ours_or_uvicorn):
    """P4, for whatever was not foreseen."""
    async with running_server(server=ours_or_uvicorn) as rig:
        rig.app.router.routes.append(Route("/fail", Failing(started=True)))
        async with rig.stream("/fail") as response:
            assert await response.rest() == "cut"
