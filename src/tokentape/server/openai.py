"""What the routes of OpenAI's two APIs share: errors in their shape, ids that lead to runs, one start for each ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.responses import Response

from tokentape.core.errors import RunNotFound, TokentapeError
from tokentape.dialects.openai_errors import error_object, failure_object, status_of
from tokentape.dialects.story import Failure
from tokentape.runs import RunInfo
from tokentape.server.dropin import begin, own_fields, run_headers
from tokentape.server.operations import Call, answer
from tokentape.server.problems import HTTP_CODES, problem
from tokentape.server.retelling import Fold, follow
from tokentape.server.retries import claim, digest_of, lose, unless_gone

NO_RETRY: Final = {"x-should-retry": "false"}
"""The SDKs would ask again by themselves; where that cannot help, or would be paid for twice, they are told."""

S = TypeVar("S")


def refuse(error: Exception) -> Response:
    """An error as OpenAI's SDKs expect it."""
    if isinstance(error, TokentapeError):
        told = problem(error)
        path = error.details.get("path")
        param = path.removeprefix("$.") if isinstance(path, str) else None
        code = str(error.as_dict()["code"])
        body = error_object(error.message, code, status=error.status, param=param)
        kept = {name: told.headers[name] for name in ("Retry-After", "WWW-Authenticate") if name in told.headers}
        return answer({"error": body}, status=error.status, headers=kept if error.retryable else {**kept, **NO_RETRY})
    assert isinstance(error, HTTPException)
    code = HTTP_CODES.get(error.status_code, "http_error")
    body = error_object(error.detail, code, status=error.status_code)
    return answer({"error": body}, status=error.status_code, headers={**(error.headers or {}), **NO_RETRY})


def failed(failure: Failure, headers: Mapping[str, str]) -> Response:
    """The answer when a whole answer was asked for, and the run failed. Whatever could be retried, was."""
    return answer({"error": failure_object(failure)}, status=status_of(failure), headers={**headers, **NO_RETRY})


def run_id(text: str, prefix: str) -> str:
    """The run that an id of OpenAI's leads to; a run's own id will do, too."""
    return text.removeprefix(prefix)


def headers_of(call: Call[Any, Any], info: RunInfo) -> dict[str, str]:
    """As for every run, and what the SDKs show as `_request_id`."""
    return {**run_headers(call, info), "x-request-id": info.id}


async def start(call: Call[Any, Any], fields: dict[str, Any], own: dict[str, Any] | None) -> tuple[RunInfo, bool, str]:
    """Starts a run, or finds the one that this request asks for again; returns the digest of the request with it."""
    asked = {**fields, **own_fields({"tokentape": own})}
    digest = digest_of(call.request, asked)
    again = await claim(call.services.store, call.request, digest)
    if again is not None:
        try:
            return await call.services.runs.find(again), False, digest
        except RunNotFound:
            pass
    info, new = await begin(call, asked)
    return info, new, digest


async def whole(call: Call[Any, Any], info: RunInfo, digest: str, fold: Fold[S], nothing: S) -> S:
    """What a run has said at its end. Raises `ClientDisconnect` when its client goes away before."""
    work = follow(call.services, info, fold, nothing)
    return await unless_gone(call.request, work, lambda: lose(call.services.store, digest, info.id))
