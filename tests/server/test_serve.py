"""Serving: the address, and an end in order."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from http_rig import HELLO, PATIENCE, Stream, data_of, running_server, serving_config
from starlette.applications import Starlette

from tokentape.core.errors import SetupError, StoreUnavailable
from tokentape.server.routes.system import Readiness
from tokentape.server.serve import bind, serve, url_of

SCRIPT = Path(__file__).parents[1] / "support" / "serving.py"
SLOW = {**HELLO, "model": "simulated", "simulated": {"rate": 20, "tokens": 2000}}


@asynccontextmanager
async def process(tmp_path: Path, *, grace: float) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    server = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), str(tmp_path / "tape.db"), str(grace), stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield server, (await server.stdout.readline()).decode().strip()
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()


async def start(url: str, **request) -> dict:
    async with aiohttp.ClientSession() as session, session.post(url + "/v1/runs", json={**SLOW, **request}) as reply:
        return await reply.json()


async def watch(url: str, run: dict) -> Stream:
    return await Stream.open(int(url.rpartition(":")[2]), run["links"]["events"], headers={})


# The address


def test_any_free_port_is_told():
    with bind(serving_config(port=0)) as listener:
        host, _, port = url_of(listener).rpartition(":")
        assert host == "http://127.0.0.1"
        assert int(port) == listener.getsockname()[1] > 0


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_an_ipv6_address_has_brackets():
    with bind(serving_config(port=0, host="::1")) as listener:
        assert url_of(listener).startswith("http://[::1]:")


def test_an_address_in_use_is_a_setup_error():
    with bind(serving_config(port=0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SetupError, match=f"127.0.0.1:{port}.*another `port`"):
            bind(serving_config(port=port))


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 300, "999.1.1.1"])
def test_a_host_that_is_none_is_a_setup_error(host):
    with pytest.raises(SetupError, match="Cannot listen on"):
        bind(serving_config(port=0, host=host))


def test_nobody_is_let_in_from_outside_without_a_key():
    with pytest.raises(SetupError, match=r"no API keys.*127\.0\.0\.1"):
        bind(serving_config(port=0, host="0.0.0.0"))
    for settings in ({"auth__api_keys": ["k"]}, {"auth__delegated": True}):
        with bind(serving_config(port=0, host="0.0.0.0", **settings)) as listener:
            assert url_of(listener).startswith("http://127.0.0.1:")


async def test_an_open_server_says_so(caplog):
    with caplog.at_level("INFO"):
        async with running_server() as rig:
            assert (await rig.ask("GET", "/v1/runs")).status == 200
    assert "no API keys" in caplog.text


async def test_a_client_cannot_say_who_it_is(caplog):
    """Faults, row 36."""
    async with running_server(log__access=True) as rig:
        with caplog.at_level("INFO"):
            await rig.ask("GET", "/healthz", X_Forwarded_For="9.9.9.9", Forwarded="for=9.9.9.9")
    entries = [r.fields for r in caplog.records if r.name == "tokentape.access"]
    assert [entry["client"] for entry in entries] == ["127.0.0.1"]


# The end


async def test_the_end_has_an_order():
    """Not ready, no new runs; a grace for those that run; then the watchers, and only then the listener."""
    async with running_server(shutdown_grace=30) as rig:
        run = await rig.start("a")
        async with rig.stream(f"/v1/runs/{run}/events") as mine, rig.stream("/v1/channels/room/events") as room:
            await mine.until("token")
            await room.next()
            rig.stop.set()
            await rig.unready()
            assert (await rig.ask("GET", "/healthz")).status == 200
            # A watcher may still come, and is told with the others.
            async with rig.stream("/v1/channels/room/events") as late:
                await late.next()
                rig.provider.say("b")
                assert data_of(await mine.until("token"))[-1]["data"] == "b"
                await rig.ask("POST", f"/v1/runs/{run}/stop")
                assert (await mine.rest() == "whole") == ("done" in [e["type"] for e in data_of(mine.events)])
                assert await room.rest() == "cut"
                assert await late.rest() == "cut"
        await rig.end()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", rig.port)


async def test_idle_connections_do_not_hold_up_the_end():
    async with running_server(shutdown_grace=0) as rig:
        await rig.ask("GET", "/healthz")  # kept alive by the client
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        async with asyncio.timeout(4):
            await rig.end()
            assert await reader.read() == b""
        writer.close()


async def test_stalled_watchers_do_not_hold_up_the_end():
    async with running_server(shutdown_grace=0) as rig, rig.stream("/v1/channels/room/events", rcvbuf=4096) as stalled:
        await stalled.next()
        stalled.pause()
        for number in range(60):
            await rig.publish("room", {"n": number, "x": "y" * 50_000})
        async with asyncio.timeout(10):
            await rig.end()
        stalled.resume()
        assert await stalled.rest() == "cut"


async def test_a_drain_that_fails_does_not_leave_the_server_running():
    app = Starlette()
    app.state.readiness = Readiness()
    ready = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()

    async def drain() -> None:
        raise StoreUnavailable("The disk is gone.")

    serving = asyncio.create_task(serve(app, serving_config(port=0), drain=drain, on_ready=ready.set_result, stop=stop))
    port = int((await ready).rpartition(":")[2])
    stop.set()
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(serving, PATIENCE)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_runs_and_the_process(tmp_path, number):
    """Faults, row 19, as far as one process goes."""
    async with process(tmp_path, grace=0.2) as (server, url):
        run = await start(url)
        events = await watch(url, run)
        await events.until("token")
        server.send_signal(number)
        ending = await events.rest()
        # P4, whether the watcher still gets the end or is sent elsewhere before it.
        assert (ending == "whole") == ("done" in [event["type"] for event in data_of(events.events)])
        assert await server.wait() == 0
        events.close()
    async with process(tmp_path, grace=0) as (_, url):
        again = await watch(url, run)
        assert await again.rest() == "whole"
        assert data_of(again.events)[-1]["data"] == {"reason": "interrupted", "detail": "shutdown"} | _usage(again)
        again.close()


def _usage(stream: Stream) -> dict:
    return {"usage": data_of(stream.events)[-1]["data"]["usage"]}


async def test_a_second_signal_ends_it_at_once(tmp_path):
    async with process(tmp_path, grace=60) as (server, url):
        run = await start(url)
        events = await watch(url, run)
        await events.until("token")
        server.send_signal(signal.SIGINT)
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(url + "/readyz") as reply:
                    if reply.status == 503:
                        break
        server.send_signal(signal.SIGINT)
        assert await server.wait() == -signal.SIGINT
        # P4: nobody takes it for whole.
        assert await events.rest() == "cut"
        events.close()
    # What was accepted is there, and the run gets its end.
    async with process(tmp_path, grace=0) as (_, url):
        again = await watch(url, run)
        assert await again.rest() == "whole"
        seen = [json.loads(event.data) for event in again.events if event.data != "[DONE]"]
        assert seen[-1]["data"]["reason"] == "interrupted"
        again.close()
