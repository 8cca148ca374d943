"""The description cannot drift from the routes: both come from one table."""

import re

import pytest
from http_rig import HELLO, running_server
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tokentape import __version__
from tokentape.server.app import OPERATIONS
from tokentape.server.openapi import describe, operation_id
from tokentape.server.routes.page import page_routes

UNDESCRIBED = {"/v1/ws", "/v1/ws/chunk", "/v1/stream/{name:path}"}
"""Protocols with specifications of their own."""


@pytest.fixture(scope="module")
def description():
    return describe(OPERATIONS, __version__)


def test_it_is_valid_openapi(description):
    validate(description)


async def test_it_has_all_routes_and_no_others(description):
    async with running_server() as rig:
        routed = {
            (re.sub(r":path}", "}", route.path), method.lower())
            for route in rig.app.routes
            for method in (getattr(route, "methods", None) or ())
            if getattr(route, "include_in_schema", False) and method != "HEAD"
        }
        served = (await rig.ask("GET", "/v1/openapi.json")).json
        others = {r.path for r in rig.app.routes if not getattr(r, "include_in_schema", False)} - {r for r, _ in routed}
    described = {(path, method) for path, methods in description["paths"].items() for method in methods}
    assert routed == described
    assert served["paths"].keys() == description["paths"].keys()
    assert others == UNDESCRIBED | {route.path for route in page_routes()}


def test_operations_have_names_of_their_own():
    names = [operation_id(operation) for operation in OPERATIONS]
    assert len(set(names)) == len(names)


async def test_answers_are_as_described(description):
    """A few real answers against their schemas."""
    async with running_server() as rig:
        run = await rig.finished("Hello", channel="room")
        cases = [
            ("GET", "/v1/runs", "/v1/runs", None),
            ("GET", f"/v1/runs/{run}", "/v1/runs/{id}", None),
            ("GET", f"/v1/runs/{run}/events?wait=0", "/v1/runs/{id}/events", None),
            ("POST", "/v1/runs", "/v1/runs", HELLO),
            ("GET", "/v1/streams", "/v1/streams", None),
            ("GET", "/v1/streams/room", "/v1/streams/{name}", None),
            ("GET", "/v1/channels/room/history", "/v1/channels/{name}/history", None),
            ("GET", "/v1/channels/room/history?view=messages", "/v1/channels/{name}/history", None),
            ("GET", "/v1/channels/room/presence", "/v1/channels/{name}/presence", None),
            ("POST", "/v1/channels/room/events", "/v1/channels/{name}/events", {"type": "app:a"}),
            ("GET", "/v1/models", "/v1/models", None),
            ("GET", "/healthz", "/healthz", None),
            ("GET", "/v1/runs/r_none", "/v1/runs/{id}", None),
        ]
        for method, path, described, body in cases:
            reply = await rig.ask(method, path, body)
            responses = description["paths"][described][method.lower()]["responses"]
            if str(reply.status) in responses:
                schema = responses[str(reply.status)]["content"]["application/json"]["schema"]
            else:
                schema = description["components"]["responses"]["Problem"]["content"]["application/problem+json"][
                    "schema"
                ]
            Draft202012Validator({**schema, "components": description["components"]}).validate(reply.json)


def test_parameters_are_those_that_are_read(description):
    watch = description["paths"]["/v1/channels/{name}/events"]["get"]["parameters"]
    assert [p["name"] for p in watch] == ["name", "from", "merge", "format", "wait", "Last-Event-ID"]
    many = description["paths"]["/v1/events"]["get"]["parameters"]
    assert next(p for p in many if p["name"] == "stream")["schema"]["type"] == "array"


async def test_where_it_is_mounted_it_says_so():
    async with running_server(mount="/tape") as rig:
        served = (await rig.ask("GET", "/tape/v1/openapi.json")).json
        assert served["servers"] == [{"url": "/tape"}]
        run = (await rig.ask("POST", "/tape/v1/runs", HELLO)).json
        assert run["links"]["stop"].startswith("/tape/v1/runs/")
        assert (await rig.ask("GET", run["links"]["events"] + "?wait=0")).status == 200
