"""Every operation over a real socket: what its `ack` says, and how it is refused."""

import asyncio

import pytest
from scripted import FINISH
from ws_rig import limits, serving, text_of

from tokentape.core.messages import OPERATIONS
from tokentape.server.websocket.attendance import MAX_MEMBERS

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
async def rig():
    async with serving() as rig:
        yield rig


async def test_every_request_is_answered_with_its_own_id(peer):
    await peer.ws.send('{"op":"ping","id":"a name"}')
    await peer.ws.send('{"op":"history","id":-7,"stream":"nowhere"}')
    assert await peer.receive() == {"op": "ack", "id": "a name", "data": {}}
    assert (await peer.receive())["id"] == -7


@pytest.mark.parametrize("op", [op for op in OPERATIONS if op != "ping"])
async def test_a_request_without_its_fields_is_refused_by_name(peer, op):
    error = await peer.refused(op)
    assert error["code"] == "bad_request"
    assert op in error["message"]


async def test_requests_are_carried_out_in_their_order(peer):
    await peer.ask("subscribe", stream="room")
    asked = [await peer.tell("publish", stream="room", type="chat:x", data=number) for number in range(100)]
    asked.append(await peer.tell("unsubscribe", stream="room"))
    acks, events = [], []
    while len(acks) < len(asked):
        message = await peer.receive()
        if message["op"] == "ack":
            acks.append(message["id"])
        else:
            events.append(message["event"]["data"])
    assert acks == asked
    # The last ones may have been on their way when the subscription ended.
    assert events == list(range(len(events)))
    assert events


# Publish


async def test_publish_answers_with_the_position_of_the_event(peer):
    began = await peer.ask("subscribe", stream="room")
    published = await peer.ask("publish", stream="room", type="chat:said", data={"text": "hi"}, event_id="e1")
    event = await peer.event()
    assert event["cursor"] == published["cursor"] == began["cursor"].replace("-0", "-1")
    assert event["event"]["data"] == {"text": "hi"}
    assert event["event"]["id"] == "e1"


async def test_the_same_publish_twice_is_one_event(peer):
    await peer.ask("subscribe", stream="room")
    first = await peer.ask("publish", stream="room", type="chat:said", data=1, event_id="e1")
    again = await peer.ask("publish", stream="room", type="chat:said", data=1, event_id="e1")
    assert first == again
    await peer.ask("publish", stream="room", type="chat:said", data=2)
    assert [(await peer.event())["event"]["data"] for _ in range(2)] == [1, 2]


async def test_an_event_that_is_not_kept_has_no_position_and_is_never_replayed(rig, peer):
    await peer.ask("subscribe", stream="room")
    await peer.ask("publish", stream="room", type="chat:typing", data=True, persist=False)
    typing = await peer.event()
    assert typing["event"]["type"] == "chat:typing"
    assert "cursor" not in typing
    async with rig.peer() as late:
        await late.ask("subscribe", stream="room")
        await late.ask("publish", stream="room", type="chat:said", data=1)
        assert (await late.event())["event"]["type"] == "chat:said"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"stream": "$runs", "type": "chat:x"}, "invalid_name"),
        ({"stream": "runs/r_1", "type": "chat:x"}, "bad_request"),
        ({"stream": "room", "type": "no colon"}, "invalid_event"),
        ({"stream": "room", "type": "chat:x", "event_id": ""}, "invalid_event"),
        ({"stream": "room", "type": "chat:x", "data": "x" * 300_000}, "too_large"),
    ],
)
async def test_what_cannot_be_published(peer, members, code):
    assert (await peer.refused("publish", **{"data": 1, **members}))["code"] == code


# Runs


async def test_start_watch_and_end(rig, peer):
    run = await peer.ask("start", request=HELLO)
    assert run["state"] == "queued"
    assert run["stream"] == f"runs/{run['id']}"
    assert (await peer.ask("subscribe", stream=run["stream"]))["outcome"] in ("replayed", "live")
    rig.provider.say("Hel", "lo", FINISH)
    messages = await peer.until_end(run["stream"])
    assert text_of(messages) == "Hello"
    assert messages[-2]["event"]["type"] == "done"
    assert messages[-1]["cursor"] == messages[-2]["cursor"]


async def test_a_started_run_tells_its_key_to_nobody_and_is_started_once(rig, peer):
    first = await peer.ask("start", request={**HELLO, "idempotency_key": "k1"})
    again = await peer.ask("start", request={**HELLO, "idempotency_key": "k1"})
    assert again["id"] == first["id"]
    assert not {"key", "digest"} & first.keys()
    other = {"messages": [{"role": "user", "content": "Else"}], "idempotency_key": "k1"}
    assert (await peer.refused("start", request=other))["code"] == "run_conflict"
    assert rig.services.runs.live() == 1


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, "bad_request"),
        ({**HELLO, "modle": "x"}, "bad_request"),
        ({**HELLO, "model": "unknown"}, "model_not_found"),
        ({**HELLO, "replaces": "r_none"}, "run_not_found"),
        ({**HELLO, "idempotency_key": 7}, "bad_request"),
        ({**HELLO, "idempotency_key": ""}, "bad_request"),
    ],
)
async def test_what_cannot_be_started(peer, request_, code):
    assert (await peer.refused("start", request=request_))["code"] == code


async def test_stop_answers_when_the_end_is_recorded_and_may_be_repeated(rig, peer):
    rig.provider.say("partial")
    run = await peer.ask("start", request=HELLO)
    await peer.ask("subscribe", stream=run["stream"])
    while (await peer.event())["event"]["type"] != "token":
        pass
    stopped = await peer.ask("stop", run=run["id"], reason="user pressed Stop")
    assert (stopped["state"], stopped["reason"]) == ("done", "stopped")
    assert rig.provider.closed == 1
    end = await peer.until_end(run["stream"])
    assert [m["event"]["type"] for m in end if m["op"] == "event"].count("done") == 1
    assert end[-2]["event"]["data"]["detail"] == "user pressed Stop"
    assert await peer.ask("stop", run=run["id"]) == stopped


async def test_what_cannot_be_stopped(peer):
    assert (await peer.refused("stop", run="r_none"))["code"] == "run_not_found"
    assert (await peer.refused("stop", run="r_none", reason="x" * 201))["code"] == "bad_request"


# History


async def test_history_pages_back_and_gives_the_place_to_go_on_live(peer):
    for number in range(5):
        await peer.ask("publish", stream="room", type="chat:x", data=number)
    page = await peer.ask("history", stream="room", limit=3)
    assert [item["event"]["data"] for item in page["items"]] == [4, 3, 2]
    rest = await peer.ask("history", stream="room", limit=3, before=page["next"])
    assert [item["event"]["data"] for item in rest["items"]] == [1, 0]
    assert rest["next"] is None
    assert (await peer.ask("subscribe", stream="room", **{"from": page["cursor"]}))["outcome"] == "live"


async def test_history_from_the_oldest_and_as_whole_messages(peer):
    for text in ("a", "b"):
        data = {"id": text, "role": "user", "content": text}
        await peer.ask("publish", stream="room", type="message", data=data)
    page = await peer.ask("history", stream="room", view="messages", order="oldest")
    assert [message["content"] for message in page["items"]] == ["a", "b"]
    after = await peer.ask("history", stream="room", order="oldest", after=page["cursor"])
    assert after["items"] == []


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"stream": "nowhere"}, "stream_not_found"),
        ({"stream": "$runs"}, "invalid_name"),
        ({"stream": "room", "before": "garbage"}, "invalid_cursor"),
        ({"stream": "room", "after": "zzzz-1"}, "gone"),
        ({"stream": "room", "limit": 0}, "bad_request"),
        ({"stream": "room", "order": "sideways"}, "bad_request"),
    ],
)
async def test_what_history_refuses(peer, members, code):
    await peer.ask("publish", stream="room", type="chat:x", data=1)
    assert (await peer.refused("history", **members))["code"] == code


# Presence


async def test_presence_tells_who_comes_changes_and_goes(rig, peer):
    await peer.ask("subscribe", stream="room")
    async with rig.peer() as ada:
        assert await ada.ask("presence", stream="room", action="track", member="ada", data={"at": 1}) == {
            "member": "ada"
        }
        await ada.ask("presence", stream="room", action="update", member="ada", data={"at": 2})
        members = (await peer.ask("presence", stream="room", action="list"))["members"]
        assert members == [{"id": "ada", "data": {"at": 2}}]
        await ada.ask("presence", stream="room", action="untrack", member="ada")
    told = [(await peer.event())["event"] for _ in range(3)]
    assert {event["type"] for event in told} == {"presence"}
    assert [(e["data"]["action"], e["data"]["data"]) for e in told] == [
        ("join", {"at": 1}),
        ("update", {"at": 2}),
        ("leave", {"at": 2}),
    ]


async def test_a_member_without_a_name_gets_one_for_the_connection(rig, peer):
    first = await peer.ask("presence", stream="room", action="track")
    assert await peer.ask("presence", stream="hall", action="track") == first
    async with rig.peer() as other:
        assert await other.ask("presence", stream="room", action="track") != first


async def test_a_closed_connection_takes_its_members_with_it(rig, peer):
    await peer.ask("subscribe", stream="room")
    async with rig.peer() as ada:
        await ada.ask("presence", stream="room", action="track", member="ada")
        await ada.ask("presence", stream="room", action="track", member="ada's cat")
    actions = [(await peer.event())["event"]["data"]["action"] for _ in range(4)]
    assert actions == ["join", "join", "leave", "leave"]
    assert (await peer.ask("presence", stream="room", action="list"))["members"] == []


async def test_a_crashed_client_takes_its_members_with_it(rig, peer):
    await peer.ask("subscribe", stream="room")
    raw = await rig.raw()
    raw.request("presence", stream="room", action="track", member="ada")
    assert (await peer.event())["event"]["data"]["action"] == "join"
    raw.drop()
    assert (await peer.event())["event"]["data"] == {"action": "leave", "id": "ada", "data": None}


async def test_a_person_in_two_tabs_leaves_with_the_last_one(rig, peer):
    await peer.ask("subscribe", stream="room")
    async with rig.peer() as first:
        async with rig.peer() as second:
            await first.ask("presence", stream="room", action="track", member="ada")
            await second.ask("presence", stream="room", action="track", member="ada")
        await peer.ask("publish", stream="room", type="chat:x", data=None)
        seen = [(await peer.event())["event"] for _ in range(3)]
        assert [event["data"]["action"] for event in seen[:2]] == ["join", "update"]
        assert seen[2]["type"] == "chat:x"
    assert (await peer.event())["event"]["data"]["action"] == "leave"


@pytest.mark.parametrize("action", ["update", "untrack"])
async def test_a_connection_changes_only_members_that_it_brought(rig, peer, action):
    async with rig.peer() as ada:
        await ada.ask("presence", stream="room", action="track", member="ada")
        assert (await peer.refused("presence", stream="room", action=action, member="ada"))["code"] == "bad_request"
        assert len((await peer.ask("presence", stream="room", action="list"))["members"]) == 1


async def test_members_of_one_connection_are_bounded(peer):
    for number in range(MAX_MEMBERS):
        await peer.ask("presence", stream="room", action="track", member=f"m{number}")
    assert (await peer.refused("presence", stream="room", action="track", member="more"))["code"] == "too_many"
    await peer.ask("presence", stream="room", action="track", member="m0", data="changed")


@pytest.mark.parametrize("action", ["track", "list"])
@pytest.mark.parametrize(("stream", "code"), [("$runs", "invalid_name"), ("runs/r_1", "bad_request")])
async def test_streams_that_have_no_presence(peer, action, stream, code):
    assert (await peer.refused("presence", stream=stream, action=action))["code"] == code


async def test_a_refused_member_is_not_held(peer):
    error = await peer.refused("presence", stream="room", action="track", member="ada", data="x" * 10_000)
    assert error["code"] == "bad_request"
    assert (await peer.refused("presence", stream="room", action="untrack", member="ada"))["code"] == "bad_request"


# What fails inside


async def test_a_failure_of_the_server_is_answered_and_the_connection_lives(rig, peer, monkeypatch, caplog):
    async def broken(*_args, **_options):
        await asyncio.sleep(0)
        raise ZeroDivisionError("a secret of the server")

    monkeypatch.setattr(rig.services.channels, "publish", broken)
    error = await peer.refused("publish", stream="room", type="chat:x", data=1)
    assert error["code"] == "internal_error"
    assert "secret" not in error["message"]
    assert "ZeroDivisionError" in caplog.text
    assert await peer.ask("ping") == {}


async def test_subscriptions_of_one_connection_are_bounded():
    async with serving(limits(max_streams=2)) as rig, rig.peer() as peer:
        await peer.ask("subscribe", stream="a")
        await peer.ask("subscribe", stream="b")
        assert (await peer.refused("subscribe", stream="c"))["code"] == "too_many"
        await peer.ask("unsubscribe", stream="a")
        await peer.ask("subscribe", stream="c")


async def test_watchers_of_one_stream_are_bounded():
    async with serving(limits(watchers_per_stream=1)) as rig, rig.peer() as peer, rig.peer() as other:
        await peer.ask("subscribe", stream="room")
        assert (await other.refused("subscribe", stream="room"))["code"] == "too_many"
        await other.ask("subscribe", stream="hall")
