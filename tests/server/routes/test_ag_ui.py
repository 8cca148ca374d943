"""`/ag-ui`: which run a request is about, through whichever instance it comes."""

import json

from http_rig import FINISH, running_server

from tokentape.providers.base import Part
from tokentape.stores.memory import MemoryStore

BODY = {"threadId": "t", "runId": "r", "messages": [{"id": "u", "role": "user", "content": "Hello"}]}


class SharedStore(MemoryStore):
    """Instances of this process stand for processes of their own."""

    between_processes = True

    async def __aexit__(self, *_):
        """The other one still needs it."""


def types(events):
    return [json.loads(event.data)["type"] for event in events]


def text(events):
    return "".join(json.loads(event.data).get("delta", "") for event in events)


async def test_a_run_goes_on_through_another_instance():
    store = SharedStore()
    async with running_server(store=store) as one, running_server(store=store) as other:
        one.provider.say("Hel")
        async with one.stream("/ag-ui", method="POST", body=BODY) as events:
            seen = await events.until("TEXT_MESSAGE_START")
            # Between two events of one: this id is no cursor.
            assert "." in seen[-1].id
            run = events.headers["tokentape-run"]
        one.provider.say("lo", FINISH)
        async with other.stream("/ag-ui", method="POST", body=BODY, Last_Event_ID=seen[-1].id) as events:
            assert await events.rest() == "whole"
            assert events.headers["tokentape-run"] == run
            assert types(events.events)[0] == "TEXT_MESSAGE_CONTENT"
            assert text(events.events) == "Hello"
        partial = [*BODY["messages"], {"id": f"m_{run[2:]}", "role": "assistant", "content": "Hel"}]
        async with other.stream("/ag-ui", method="POST", body={**BODY, "messages": partial}) as events:
            assert await events.rest() == "whole"
            assert types(events.events) == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
            told = json.loads(events.events[1].data)["messages"]
            assert [message["content"] for message in told] == ["Hello", "Hello"]
        async with other.stream("/ag-ui?offset=-1&runId=r") as events:
            assert await events.rest() == "whole"
            assert text(events.events) == "Hello"
        assert (await other.ask("POST", "/ag-ui/r/stop")).json["id"] == run
        assert not other.provider.generations
        assert len(one.provider.generations) == 1


async def test_any_run_can_be_watched_so_and_resumed_within_an_event():
    async with running_server() as rig:
        run = await rig.finished(Part("reasoning", "Hm"), "Hello")
        path = f"/v1/runs/{run}/events?format=ag-ui"
        async with rig.stream(path) as events:
            assert await events.rest() == "whole"
        whole = events.events
        assert json.loads(whole[0].data)["threadId"] == json.loads(whole[0].data)["runId"] == run
        for place, event in enumerate(whole[:-1]):
            async with rig.stream(path, Last_Event_ID=event.id) as rest:
                assert await rest.rest() == "whole"
            assert rest.events == whole[place + 1 :]
        assert (await rig.ask("GET", path, Last_Event_ID=whole[-1].id)).status == 204
        assert (await rig.ask("GET", path, Last_Event_ID=f"{whole[0].id}.x")).json["code"] == "invalid_cursor"


async def test_a_name_is_of_one_conversation():
    async with running_server() as rig:
        rig.provider.say("One", FINISH, "Two", FINISH)
        runs = []
        for thread in ("t", "u"):
            async with rig.stream("/ag-ui", method="POST", body={**BODY, "threadId": thread}) as events:
                assert await events.rest() == "whole"
                runs.append(events.headers["tokentape-run"])
        assert len(set(runs)) == 2
        for thread, run in zip(("t", "u"), runs, strict=True):
            reply = await rig.ask("GET", f"/ag-ui?runId=r&threadId={thread}")
            assert reply.headers["tokentape-run"] == run
        # Without the conversation it is the newest.
        assert (await rig.ask("GET", "/ag-ui?runId=r")).headers["tokentape-run"] == runs[1]


async def test_what_is_under_way_in_a_conversation_is_told():
    async with running_server() as rig:
        assert (await rig.ask("GET", "/ag-ui?threadId=t")).json == {"messages": [], "activeRun": None}
        rig.provider.say("Hel")
        async with rig.stream("/ag-ui", method="POST", body=BODY) as events:
            await events.until("TEXT_MESSAGE_CONTENT")
            assert (await rig.ask("GET", "/ag-ui?threadId=t")).json["activeRun"] == {"runId": "r"}
            assert (await rig.ask("POST", "/ag-ui/r/stop?threadId=t")).json["reason"] == "stopped"
            assert await events.rest() == "whole"
            assert json.loads(events.events[-1].data)["outcome"] == {"type": "cancelled"}
        assert (await rig.ask("GET", "/ag-ui?threadId=t")).json["activeRun"] is None


async def test_what_cannot_be_is_refused_and_starts_nothing():
    async with running_server() as rig:
        for body, status, code in (
            ({}, 400, "bad_request"),
            ({**BODY, "runId": ""}, 400, "bad_request"),
            ({**BODY, "messages": []}, 400, "bad_request"),
            ({**BODY, "resume": [{"interruptId": "i", "status": "resolved"}]}, 400, "bad_request"),
            ({**BODY, "tokentape": {"unknown": 1}}, 400, "bad_request"),
            ({**BODY, "forwardedProps": {"temperature": "hot"}}, 400, "bad_request"),
            ({**BODY, "forwardedProps": {"model": "unknown"}}, 404, "model_not_found"),
        ):
            reply = await rig.ask("POST", "/ag-ui", body)
            assert (reply.status, reply.json["code"]) == (status, code), body
        unknown = await rig.ask("POST", "/ag-ui", BODY, Last_Event_ID="k3f9-3")
        assert (unknown.status, unknown.json["code"]) == (404, "run_not_found")
        assert (await rig.ask("GET", "/ag-ui")).status == 400
        assert (await rig.ask("GET", "/ag-ui?runId=nobody")).status == 404
        assert (await rig.ask("GET", "/v1/runs")).json["runs"] == []
