"""Channels over HTTP."""

from http_rig import running_server

from tokentape.stores.base import Member


async def test_one_event_or_a_list():
    async with running_server() as rig:
        one = await rig.ask("POST", "/v1/channels/ai-chat/x/events", {"type": "app:a", "data": 1})
        assert one.status == 201
        assert one.json["cursor"].endswith("-1")
        two = await rig.ask("POST", "/v1/channels/ai-chat/x/events", [{"type": "app:a"}, {"type": "app:b"}])
        assert two.json["cursor"].endswith("-3")
        none = await rig.ask("POST", "/v1/channels/ai-chat/x/events", {"type": "chat:typing", "persist": False})
        assert (none.status, none.json) == (201, {"cursor": None})


async def test_the_same_id_is_one_event():
    """Faults, row 43."""
    async with running_server() as rig:
        body = {"type": "app:a", "data": 1, "id": "m-1"}
        first, again = [await rig.ask("POST", "/v1/channels/room/events", body) for _ in range(2)]
        assert first.json == again.json
        page = (await rig.ask("GET", "/v1/channels/room/history")).json
        assert len(page["items"]) == 1


async def test_what_may_not_be_published():
    async with running_server() as rig:
        cases = [
            ("room", {"type": "no-colon"}, 400, "invalid_event"),
            ("room", {"type": "bad:\r\ninjected"}, 400, "invalid_event"),
            ("room", {"type": "app:a", "id": ""}, 400, "invalid_event"),
            ("room", {"data": 1}, 400, "bad_request"),
            ("room", {"type": "app:a", "extra": 1}, 400, "bad_request"),
            ("room", "text", 400, "bad_request"),
            ("room", {"type": "app:a", "data": "x" * 300_000}, 413, "too_large"),
            ("runs/r_1", {"type": "app:a"}, 400, "bad_request"),
            ("$runs", {"type": "app:a"}, 400, "invalid_name"),
            ("a%0db%00c", {"type": "app:a"}, 400, "invalid_name"),
            ("a%0d%0ab", {"type": "app:a"}, 404, "not_found"),
            ("a//b", {"type": "app:a"}, 400, "invalid_name"),
            ("../x", {"type": "app:a"}, 404, "not_found"),
            ("x" * 201, {"type": "app:a"}, 400, "invalid_name"),
        ]
        for name, body, status, code in cases:
            reply = await rig.ask("POST", f"/v1/channels/{name}/events", body)
            assert (reply.status, reply.json["code"]) == (status, code), name
        assert (await rig.ask("GET", "/v1/streams")).json["streams"] == []


async def test_one_bad_event_refuses_the_list():
    async with running_server() as rig:
        await rig.ask("POST", "/v1/channels/room/events", {"type": "app:a"})
        reply = await rig.ask("POST", "/v1/channels/room/events", [{"type": "app:b"}, {"type": "bad"}])
        assert reply.status == 400
        assert len((await rig.ask("GET", "/v1/channels/room/history")).json["items"]) == 1


async def test_history_pages_join_in_both_orders():
    async with running_server() as rig:
        for number in range(5):
            await rig.publish("room", number)
        for order, parameter, expected in (("newest", "before", [4, 3, 2, 1, 0]), ("oldest", "after", [0, 1, 2, 3, 4])):
            seen, query = [], ""
            while query is not None:
                page = (await rig.ask("GET", f"/v1/channels/room/history?limit=2&order={order}{query}")).json
                seen += [item["event"]["data"] for item in page["items"]]
                assert page["cursor"].endswith("-5")
                query = f"&{parameter}={page['next']}" if page["next"] else None
            assert seen == expected


async def test_history_as_messages():
    async with running_server() as rig:
        await rig.ask(
            "POST",
            "/v1/channels/room/events",
            {"type": "message", "data": {"id": "1", "role": "user", "content": "Hi"}},
        )
        await rig.finished("Hel", "lo", channel="room")
        page = (await rig.ask("GET", "/v1/channels/room/history?view=messages&order=oldest")).json
        assert [(m["role"], m["content"]) for m in page["items"]] == [("user", "Hi"), ("assistant", "Hello")]


async def test_history_of_what_is_not_there():
    async with running_server() as rig:
        reply = await rig.ask("GET", "/v1/channels/room/history")
        assert (reply.status, reply.json["code"]) == (404, "stream_not_found")
        await rig.publish("room", 1)
        reply = await rig.ask("GET", "/v1/channels/room/history?after=zzzzzzzz-1")
        assert (reply.status, reply.json["code"], reply.json["reason"]) == (410, "gone", "epoch")
        reply = await rig.ask("GET", "/v1/channels/room/history?order=random")
        assert (reply.status, reply.json["code"]) == (400, "bad_request")


async def test_presence_lists_who_is_here():
    async with running_server() as rig:
        await rig.services.channels.track("room", Member("ann", {"name": "Ann"}))
        reply = await rig.ask("GET", "/v1/channels/room/presence")
        assert reply.json == {"members": [{"id": "ann", "data": {"name": "Ann"}}]}
        assert (await rig.ask("GET", "/v1/channels/nobody/presence")).json["code"] == "stream_not_found"


async def test_a_channel_that_is_watched_first_is_made():
    async with running_server() as rig, rig.stream("/v1/channels/new/room/events") as events:
        await events.next()
        assert (await rig.ask("GET", "/v1/streams/new/room")).json["kind"] == "channel"
