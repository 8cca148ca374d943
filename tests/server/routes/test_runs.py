"""Runs over HTTP."""

import msgspec
from http_rig import FINISH, HELLO, data_of, running_server

from tokentape.runs import RunInfo
from tokentape.server.routes.runs import HIDDEN, RunAnswer


async def test_a_start_tells_all_that_is_needed():
    async with running_server() as rig:
        reply = await rig.ask("POST", "/v1/runs", {**HELLO, "metadata": {"a": 1}})
        assert reply.status == 201
        run = reply.json
        assert run["stream"] == f"runs/{run['id']}"
        assert run["cursor"].endswith("-0")
        assert run["state"] in ("queued", "running")
        assert run["links"] == {"events": f"/v1/runs/{run['id']}/events", "stop": f"/v1/runs/{run['id']}/stop"}
        assert run["metadata"] == {"a": 1}
        assert reply.headers["location"] == f"/v1/runs/{run['id']}"
        assert reply.headers["tokentape-run"] == run["id"]
        assert reply.headers["tokentape-cursor"] == run["cursor"]


def test_an_answer_has_all_of_a_run_but_its_secrets():
    known = {field.name for field in msgspec.structs.fields(RunInfo)}
    told = {field.name for field in msgspec.structs.fields(RunAnswer)}
    assert told == known - HIDDEN | {"links", "position"}


async def test_an_idempotency_key_starts_one_run():
    async with running_server() as rig:
        first = await rig.ask("POST", "/v1/runs", HELLO, Idempotency_Key="k 1")
        again = await rig.ask("POST", "/v1/runs", HELLO, Idempotency_Key="k 1")
        assert (first.status, again.status) == (201, 200)
        assert first.json["id"] == again.json["id"]
        other = await rig.ask("POST", "/v1/runs", {**HELLO, "seed": 1}, Idempotency_Key="k 1")
        assert (other.status, other.json["code"]) == (409, "run_conflict")
        assert other.json["run"] == first.json["id"]
        run = (await rig.ask("GET", f"/v1/runs/{first.json['id']}")).json
        assert not HIDDEN & run.keys()
        assert b"k 1" not in (await rig.ask("GET", "/v1/runs")).body


async def test_a_repeated_start_that_streams_plays_the_same_run():
    async with running_server() as rig:
        rig.provider.say("Hello", FINISH)
        seen = []
        for _ in range(2):
            headers = {"Accept": "text/event-stream", "Idempotency_Key": "once"}
            async with rig.stream("/v1/runs", method="POST", body=HELLO, **headers) as events:
                assert await events.rest() == "whole"
            seen.append(events)
        assert seen[0].headers["tokentape-run"] == seen[1].headers["tokentape-run"]
        assert data_of(seen[0].events)[-1] == data_of(seen[1].events)[-1]
        # With the position of the one that was cut, it goes on.
        async with rig.stream(
            "/v1/runs", method="POST", body=HELLO, Last_Event_ID=seen[0].events[1].id, **headers
        ) as rest:
            assert await rest.rest() == "whole"
        assert [e["type"] for e in data_of(rest.events)] == ["ready", "token", "usage", "done"]


async def test_idempotency_keys_that_are_none():
    async with running_server() as rig:
        for key in ("", "x" * 201, "caf\u00e9"):
            reply = await rig.ask("POST", "/v1/runs", HELLO, Idempotency_Key=key)
            assert (reply.status, reply.json["code"]) == (400, "bad_request")
        assert (await rig.ask("POST", "/v1/runs", HELLO, Idempotency_Key="x" * 200)).status == 201


async def test_runs_are_listed_page_by_page():
    async with running_server() as rig:
        ids = [await rig.finished("x") for _ in range(3)]
        live = await rig.start()
        page = (await rig.ask("GET", "/v1/runs?limit=2")).json
        assert [run["id"] for run in page["runs"]] == [live, ids[2]]
        rest = (await rig.ask("GET", f"/v1/runs?limit=10&before={page['next']}")).json
        assert [run["id"] for run in rest["runs"]] == [ids[1], ids[0]]
        assert rest["next"] is None
        done = (await rig.ask("GET", "/v1/runs?state=done")).json["runs"]
        assert [run["id"] for run in done] == ids[::-1]
        assert done[0]["reason"] == "stop"
        for query in ("limit=0", "limit=1001", "limit=x", "state=lost", "limit=1&limit=y"):
            assert (await rig.ask("GET", f"/v1/runs?{query}")).json["code"] == "bad_request", query
        assert (await rig.ask("GET", "/v1/runs?before=r_none")).json["code"] == "run_not_found"


async def test_a_stop_answers_with_the_ended_run_and_may_be_repeated():
    async with running_server() as rig:
        run = await rig.start("partial")
        async with rig.stream(f"/v1/runs/{run}/events") as events:
            await events.until("token")
            first = await rig.ask("POST", f"/v1/runs/{run}/stop", {"reason": "enough"})
            assert await events.rest() == "whole"
        assert (first.status, first.json["state"], first.json["reason"]) == (200, "done", "stopped")
        assert data_of(events.events)[-1]["data"]["detail"] == "enough"
        again = await rig.ask("POST", f"/v1/runs/{run}/stop")
        assert again.json == first.json
        assert rig.provider.closed == 1


async def test_a_stop_takes_a_reason_or_nothing():
    async with running_server() as rig:
        run = await rig.start()
        for body in (b'{"reason": ""}', b'{"why": "x"}', b"[]", b'{"reason": 1}', b"{"):
            assert (await rig.ask("POST", f"/v1/runs/{run}/stop", body)).json["code"] == "bad_request"
        assert (await rig.ask("GET", f"/v1/runs/{run}")).json["state"] == "running"
        assert (await rig.ask("POST", f"/v1/runs/{run}/stop")).json["state"] == "done"


async def test_what_is_not_there():
    async with running_server() as rig:
        for method, path in [
            ("GET", "/v1/runs/r_none"),
            ("GET", "/v1/runs/r_none/events"),
            ("POST", "/v1/runs/r_none/stop"),
        ]:
            reply = await rig.ask(method, path)
            assert (reply.status, reply.json["code"]) == (404, "run_not_found")
        reply = await rig.ask("POST", "/v1/runs", {**HELLO, "model": "unknown"})
        assert (reply.status, reply.json["code"]) == (404, "model_not_found")


async def test_a_request_that_is_wrong_names_the_field():
    async with running_server() as rig:
        cases = [
            ({"messages": "hi"}, "$.messages"),
            ({**HELLO, "temperature": "warm"}, "$.temperature"),
            ({**HELLO, "modle": "x"}, "modle"),
            ({"messages": [{"content": "no role"}]}, "messages[0]"),
            ({"messages": []}, "messages"),
            ({**HELLO, "channel": "runs/r_1"}, "runs/"),
        ]
        for body, where in cases:
            reply = await rig.ask("POST", "/v1/runs", body)
            assert (reply.status, reply.json["code"]) == (400, "bad_request"), body
            assert where in reply.json["detail"]
        assert (await rig.ask("POST", "/v1/runs", {**HELLO, "channel": "a\r\nb"})).json["code"] == "invalid_name"


async def test_too_many_live_runs_are_429():
    async with running_server(limits__live_runs=1) as rig:
        run = await rig.start("a")
        reply = await rig.ask("POST", "/v1/runs", HELLO)
        assert (reply.status, reply.json["code"], reply.json["retryable"]) == (429, "too_many", True)
        await rig.ask("POST", f"/v1/runs/{run}/stop")
        assert (await rig.ask("POST", "/v1/runs", HELLO)).status == 201


async def test_no_run_starts_while_the_server_drains():
    async with running_server(shutdown_grace=30) as rig:
        first, second = await rig.start("a"), await rig.start()
        rig.stop.set()
        await rig.unready()
        reply = await rig.ask("POST", "/v1/runs", HELLO)
        assert (reply.status, reply.json["code"]) == (503, "shutting_down")
        # Those that run have their grace, and whoever watches sees the end of it.
        async with rig.stream(f"/v1/runs/{first}/events") as events:
            await rig.ask("POST", f"/v1/runs/{first}/stop")
            assert await events.rest() == "whole"
        assert data_of(events.events)[-1]["type"] == "done"
        assert not rig.serving.done()
        await rig.ask("POST", f"/v1/runs/{second}/stop")
        await rig.end()
