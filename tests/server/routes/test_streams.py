"""Streams over HTTP."""

from http_rig import running_server


async def test_streams_are_listed_by_prefix_and_page():
    async with running_server() as rig:
        for name in ("a/1", "a/2", "b", "a/3"):
            await rig.publish(name, 1)
        run = await rig.finished("x")
        names = [s["name"] for s in (await rig.ask("GET", "/v1/streams")).json["streams"]]
        assert names == ["a/1", "a/2", "a/3", "b", f"runs/{run}"]
        page = (await rig.ask("GET", "/v1/streams?prefix=a/&limit=2")).json
        assert [s["name"] for s in page["streams"]] == ["a/1", "a/2"]
        rest = (await rig.ask("GET", f"/v1/streams?prefix=a/&limit=2&after={page['next']}")).json
        assert ([s["name"] for s in rest["streams"]], rest["next"]) == (["a/3"], None)


async def test_the_servers_own_streams_are_nobodys_business():
    async with running_server() as rig:
        await rig.finished("x")
        for query in ("", "?prefix=$", "?after=$", "?prefix=$runs", "?after=$a&prefix=$"):
            names = [s["name"] for s in (await rig.ask("GET", "/v1/streams" + query)).json["streams"]]
            assert not any(name.startswith("$") for name in names), query
        for method, path in [
            ("GET", "/v1/streams/$runs"),
            ("DELETE", "/v1/streams/$runs"),
            ("GET", "/v1/streams/%24runs"),
            ("GET", "/v1/channels/$runs/events"),
            ("GET", "/v1/channels/$runs/history"),
            ("GET", "/v1/channels/$runs/presence"),
        ]:
            assert (await rig.ask(method, path)).json["code"] == "invalid_name", path


async def test_a_stream_tells_what_it_holds():
    async with running_server() as rig:
        run = await rig.finished("x")
        info = (await rig.ask("GET", f"/v1/streams/runs/{run}")).json
        assert info["name"] == f"runs/{run}"
        assert info["kind"] == "run"
        assert info["closed"] is True
        assert (info["first"], info["last"]) == (1, 4)
        assert info["cursor"].endswith("-4")
        assert info["closed_at"] >= info["created_at"] > 0
        assert (await rig.ask("GET", "/v1/streams/nope")).json["code"] == "stream_not_found"


async def test_a_deleted_stream_is_gone_and_its_name_is_free():
    async with running_server() as rig:
        await rig.publish("room", 1)
        old = (await rig.ask("GET", "/v1/streams/room")).json["cursor"]
        reply = await rig.ask("DELETE", "/v1/streams/room")
        assert (reply.status, reply.body) == (204, b"")
        assert (await rig.ask("DELETE", "/v1/streams/room")).status == 404
        await rig.publish("room", 2)
        # P2: an old cursor can never mean a place in the new one.
        page = (await rig.ask("GET", f"/v1/channels/room/events?wait=0&from={old}")).json
        assert (page["outcome"], page["reason"]) == ("gone", "epoch")


async def test_the_stream_of_a_live_run_cannot_be_deleted():
    async with running_server() as rig:
        run = await rig.start("x", channel="room")
        for name in ("room",):
            reply = await rig.ask("DELETE", f"/v1/streams/{name}")
            assert (reply.status, reply.json["code"], reply.json["run"]) == (409, "conflict", run)
        await rig.ask("POST", f"/v1/runs/{run}/stop")
        assert (await rig.ask("DELETE", "/v1/streams/room")).status == 204
