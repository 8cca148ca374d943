"""The C programs of the benchmarks against each other and against real clients: they count right, or no figure is."""

import asyncio
import http.client
import json
import re
import socket
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from native_rig import Program, build, scripted, sse, watching
from sdks import openai
from websockets.asyncio.client import connect


def test_they_build_without_a_warning_as_the_harness_builds_them(tmp_path: Path) -> None:
    build(tmp_path, "-O2")
    assert {path.name for path in tmp_path.iterdir()} == {"load", "floor", "upstream"}


@pytest.mark.parametrize("merge", [1, 7])
@pytest.mark.parametrize("transport", ["sse", "ws"])
async def test_every_watcher_of_the_floor_receives_every_event(programs: Path, transport: str, merge: int) -> None:
    async with AsyncExitStack() as stack:
        floor = await stack.enter_async_context(
            Program.running(programs / "floor", "--port", 0, "--transport", transport, "--merge", merge)
        )
        port = (await floor.answer())["port"]
        load = await stack.enter_async_context(watching(programs, port, 50, "--transport", transport, "--window", 8))
        connected = await load.ask("connect")
        assert (connected["connected"], connected["failed"]) == (50, 0)
        assert (
            0 < connected["p50_ms"] <= connected["p99_ms"] <= connected["max_ms"] <= connected["seconds"] * 1000 * 1.02
        )
        assert await load.ask("measure") == {"ok": True}
        assert await floor.ask("start 400 100") == {"ok": True}
        emitted = await floor.answer()
        assert emitted["emitted"] == 100
        assert emitted["seconds"] >= (100 - merge) / 400
        assert emitted["dropped"] == 0
        assert await floor.ask("start 0 300") == {"ok": True}  # numbered from 101 on
        assert (await floor.answer())["emitted"] == 300
        assert (await load.ask("wait 400 10"))["reached"] == 50
        report = await load.ask("report")
    assert report["deliveries"] == 50 * 400
    assert (report["gaps"], report["duplicates"]) == (0, 0)
    assert (report["min_seq"], report["max_seq"]) == (1, 400)
    assert (report["disconnected"], report["ended"]) == (0, 0)
    assert report["events_per_read"] == pytest.approx(report["deliveries"] / report["reads"], abs=0.001)
    assert report["events_per_read"] > (1 if merge == 1 else 3) * 0.99
    assert 50 * 400 * 80 < report["bytes"] < 50 * 400 * 200
    latency = report["latency_us"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"] < report["seconds"] * 1e6
    assert latency["p50"] / 20 < latency["mean"] < latency["max"]


async def test_the_floor_is_a_websocket_server_for_other_clients(programs: Path) -> None:
    async with Program.running(programs / "floor", "--transport", "ws") as floor:
        port = (await floor.answer())["port"]
        async with connect(f"ws://127.0.0.1:{port}/any") as socket:
            await floor.ask("start 0 2")
            first, second = json.loads(await socket.recv()), json.loads(await socket.recv())
            assert first["cursor"] == "k3f9x2ab-1"
            assert second["cursor"] == "k3f9x2ab-2"
            assert len(first["event"]["data"]) == 60
            assert "#2@" in second["event"]["data"]


async def test_watchers_that_the_server_leaves_are_disconnected_and_not_ended(programs: Path) -> None:
    async with Program.running(programs / "floor", "--transport", "sse") as floor:
        port = (await floor.answer())["port"]
        async with watching(programs, port, 5) as load:
            await load.ask("connect")
            assert floor.process.stdin is not None
            floor.process.stdin.write(b"quit\n")
            await floor.process.wait()
            ended = await load.ask("ended 10")
            assert (ended["ended"], ended["missing"]) == (0, 5)
            assert ended["seconds"] < 5
            report = await load.ask("report")
            assert (report["disconnected"], report["ended"]) == (5, 0)


async def test_waiting_ends_with_the_time_given(programs: Path) -> None:
    async with Program.running(programs / "floor", "--transport", "sse") as floor:
        port = (await floor.answer())["port"]
        async with watching(programs, port, 4) as load:
            await load.ask("connect")
            await floor.ask("start 0 5")
            assert (await load.ask("wait 5 10"))["reached"] == 4
            missed = await load.ask("wait 6 0.1")
            assert (missed["reached"], missed["missing"]) == (0, 4)
            assert 0.1 <= missed["seconds"] < 5


async def test_waiting_ends_when_those_who_are_missing_are_gone(programs: Path) -> None:
    gone = asyncio.Event()

    async def answer(_: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + sse(1))
        await gone.wait()

    async with scripted(answer) as port, watching(programs, port, 2) as load:
        await load.ask("connect")
        asyncio.get_running_loop().call_later(0.3, gone.set)  # when it waits; nothing tells when it has begun to
        waited = await load.ask("wait 5 20")
        assert (waited["reached"], waited["missing"]) == (0, 2)
        assert waited["seconds"] < 10


async def test_slow_and_stalled_watchers_do_not_count(programs: Path) -> None:
    async with Program.running(programs / "floor", "--transport", "sse") as floor:
        port = (await floor.answer())["port"]
        slowness = ("--stalled", 2, "--slow", 3, "--slow-rate", 4000)
        async with watching(programs, port, 20, *slowness) as load:
            assert (await load.ask("connect"))["connected"] == 20
            await floor.ask("start 1000 1000")
            assert (await load.ask("wait 1000 10"))["reached"] == 15
            report = await load.ask("report")
    assert report["deliveries"] == 15 * 1000
    assert (report["gaps"], report["duplicates"], report["disconnected"]) == (0, 0, 0)
    # 4000 bytes a second are about 35 events of the 1000; how many seconds it took depends on the machine.
    assert 3 * 10 < report["slow_deliveries"] < 3 * 36 * (report["seconds"] + 1)


async def test_every_stream_of_the_upstream_is_complete(programs: Path, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"model":"bench","stream":true,"messages":[{"role":"user","content":"{n}"}]}')
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(
            Program.running(programs / "upstream", "--port", 0, "--rate", 100, "--tokens", 30)
        )
        port = (await upstream.answer())["port"]
        load = await stack.enter_async_context(watching(programs, port, 40, "--method", "POST", "--body", body))
        for turn in (1, 2):  # connecting again begins anew
            await load.ask("measure")
            assert (await load.ask("connect"))["connected"] == 40
            ended = await load.ask("ended 10")
            assert (ended["ended"], ended["missing"]) == (40, 0)
            report = await load.ask("report")
            assert report["deliveries"] == 40 * 30
            assert (report["gaps"], report["duplicates"], report["disconnected"], report["ended"]) == (0, 0, 0, 40)
            assert report["seconds"] >= 0.29
            stats = await upstream.ask("stats")
            assert (stats["streams"], stats["open"], stats["sent"]) == (40 * turn, 0, 40 * 30 * turn)
            assert 0 < stats["late_p99_us"] < 1e6
            assert stats["cpu_seconds"] > 0


async def test_the_upstream_is_a_provider_for_the_openai_sdk(programs: Path) -> None:
    async with Program.running(programs / "upstream", "--rate", 0, "--tokens", 5) as upstream:
        port = (await upstream.answer())["port"]
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) as client:
            for _ in range(2):  # over one connection
                stream = await client.chat.completions.create(model="bench", messages=[], stream=True)
                chunks = [item async for item in stream]
                tokens = [item.choices[0].delta.content or "" for item in chunks[:5]]
                assert all(f"#{seq}@" in text for seq, text in enumerate(tokens, 1))
                assert chunks[5].choices[0].finish_reason == "stop"
                assert chunks[6].usage is not None
                assert chunks[6].usage.completion_tokens == 5
                assert len(chunks) == 7


async def test_the_upstream_ends_the_connection_for_an_http_1_0_client(programs: Path) -> None:
    async with Program.running(programs / "upstream", "--rate", 0, "--tokens", 2) as upstream:
        port = (await upstream.answer())["port"]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
        head, body = (await reader.read()).split(b"\r\n\r\n", 1)
        writer.close()
        assert b"chunked" not in head.lower()
        assert body.startswith(b"data: {")
        assert body.endswith(b"data: [DONE]\n\n")


async def test_the_upstream_answers_posts_only(programs: Path) -> None:
    async with Program.running(programs / "upstream") as upstream:
        port = (await upstream.answer())["port"]
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        client.request("GET", "/v1/models")
        response = client.getresponse()
        assert response.status == 404
        assert "POST" in json.load(response)["error"]["message"]
        client.close()


async def test_a_stream_that_is_not_read_waits_and_then_goes_on(programs: Path) -> None:
    """10 MB are more than the kernel keeps: the provider has to stop, and nothing may be lost."""
    tokens = 50_000
    async with Program.running(programs / "upstream", "--rate", 0, "--tokens", tokens) as upstream:
        port = (await upstream.answer())["port"]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        sent = -1
        while (stats := await upstream.ask("stats"))["sent"] != sent:
            sent = stats["sent"]
            await asyncio.sleep(0.1)
        assert 0 < sent < tokens
        body = bytearray()
        while data := await reader.read(1 << 20):
            body += data
        writer.close()
        assert body.count(b"finish_reason") == tokens + 1
        assert body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


async def test_a_provider_that_was_held_up_goes_on_at_its_rate(programs: Path) -> None:
    """A client that reads again gets no burst of what it would have got meanwhile."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with Program.running(programs / "upstream", "--rate", 20_000, "--tokens", 1_000_000) as upstream:
            client.connect(("127.0.0.1", (await upstream.answer())["port"]))
            client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            sent = -1
            while (stats := await upstream.ask("stats"))["sent"] != sent:
                sent = stats["sent"]
                await asyncio.sleep(0.3)
            pieces = [b""]
            tokens = 0
            while tokens <= sent + 2000:
                pieces.append(client.recv(1 << 20))
                tokens += pieces[-1].count(b";")  # after the time of each
            client.close()
    made = [int(time) for time in re.findall(rb"@(\d+);", b"".join(pieces))]
    assert made[sent] - made[sent - 1] > 0.25e6  # it was held up
    assert made[sent + 1999] - made[sent] > 0.09e6  # 2000 tokens are a tenth of a second


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("load", "usage: load watch|publish"),
        ("load watch --port 1 --path /x --transport sse", "--watchers is 0"),
        ("load watch --port x", "--port is 'x'"),
        ("load watch --watchers 1", "--port and --path are needed"),
        ("load watch --port 1 --path x", "--path is 'x'"),
        ("load watch --transport tcp", "--transport is 'tcp'"),
        ("load watch --port 1 --path /x --watchers 2 --stalled 2 --slow 1", "--watchers is 2"),
        ("load watch --port 1 --path /x --watchers 2 --hello hi", "need --transport ws"),
        ("load watch --body /no/such/file", "'/no/such/file' cannot be read"),
        ("load publish --port 1 --path /x --batch 0", "--batch is '0'"),
        ("floor --transport tcp", "usage: floor"),
        ("upstream --rate -1", "--rate is '-1'"),
    ],
)
def test_a_wrong_command_line_is_answered_by_one_line(programs: Path, command: str, message: str) -> None:
    name, *arguments = command.split()
    done = subprocess.run([programs / name, *arguments], input="", capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


async def test_a_command_that_is_not_known_is_answered_by_an_error(programs: Path) -> None:
    async with watching(programs, 1, 1) as load:
        for wrong in ("connect now", "wait 5", "wait 0 1", "ended x", ""):
            assert "commands are" in (await load.ask(wrong))["error"]
        assert await load.ask("measure") == {"ok": True}
