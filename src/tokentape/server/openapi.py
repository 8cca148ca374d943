"""The OpenAPI 3.1 description of the HTTP API, made from the table of operations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from tokentape.server.operations import Answer, NoQuery, Operation
from tokentape.server.problems import MEDIA_TYPE

_PATH_PARAMETER: Final = re.compile(r"\{(\w+)(?::path)?\}")
_REF: Final = "#/components/schemas/{name}"
_PATH_DESCRIPTIONS: Final = {
    "id": "The id of a run",
    "name": "The name of a stream; its slashes may stand as they are",
    "watcher": "The id of a watcher",
    "chat": "The id of a chat of the AI SDK",
    "version": "The version of the AI SDK: v5, v6 or v7",
    "model": "The name of a model; its slashes may stand as they are",
}


class Problem(msgspec.Struct, kw_only=True):
    """A problem document (RFC 9457). `code` is stable; `detail` is for people. An error may add members."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool


def describe(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """The whole description."""
    bodies = [kind for operation in operations for kind in _types(operation)]
    schemas, components = msgspec.json.schema_components([*bodies, Problem], ref_template=_REF)
    made = dict(zip(map(repr, bodies), schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = _PATH_PARAMETER.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, made)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tokentape",
            "version": version,
            "summary": "Record an LLM's answer once; play it to anyone, from any point.",
            "description": "Streams of events are Server-Sent Events; their rules are in PROTOCOL.md.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {
                "Problem": {"description": "An error", "content": {MEDIA_TYPE: {"schema": schemas[-1]}}},
                "Foreign": {"description": "An error, in the way that the clients of this protocol expect"},
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key"}},
        },
    }


def _types(operation: Operation) -> Iterator[Any]:
    if operation.body is not None:
        yield operation.body
    for answers in operation.answers.values():
        for answer in answers:
            if answer.body is not None:
                yield answer.body


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "parameters": list(_parameters(operation)),
        "responses": {
            **{str(status): _response(answers, schemas) for status, answers in operation.answers.items()},
            "default": {"$ref": f"#/components/responses/{'Problem' if operation.refuse is None else 'Foreign'}"},
        },
        # Without configured keys a server on loopback is open.
        "security": [] if operation.public else [{"key": []}, {}],
    }
    if operation.body is not None:
        content = {"application/json": {"schema": schemas[repr(operation.body)]}}
        described["requestBody"] = {"required": operation.body_required, "content": content}
    return described


def operation_id(operation: Operation) -> str:
    """A name for generated clients: `post_v1_runs_id_stop`."""
    return "_".join([operation.method.lower(), *re.findall(r"\w+", operation.path.replace(":path", ""))])


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name in _PATH_PARAMETER.findall(operation.path):
        schema = {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "description": _PATH_DESCRIPTIONS[name], "schema": schema}
    for name, schema in _query_schemas(operation.query):
        yield {"name": name, "in": "query", "schema": schema}
    for name, description in operation.headers.items():
        yield {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _query_schemas(query: type[msgspec.Struct]) -> Iterator[tuple[str, dict[str, Any]]]:
    if query is NoQuery:
        return
    _, components = msgspec.json.schema_components([query])
    properties: dict[str, dict[str, Any]] = components[query.__name__]["properties"]
    yield from properties.items()


def _response(answers: Sequence[Answer], schemas: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": ", or: ".join(answer.description for answer in answers)}
    content = {}
    for answer in answers:
        if answer.body is not None:
            content[answer.media] = {"schema": schemas[repr(answer.body)]}
        elif answer.media != "application/json":
            content[answer.media] = {"schema": {"type": "string"}}
    if content:
        response["content"] = content
    return response
