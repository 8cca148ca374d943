"""`load publish`: every event reaches the server once, at the rate that was asked for."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from native_rig import Program, scripted


@dataclass
class Sink:
    """A server for POSTs. Every `close_every`th answer is the last one of its connection, announced or not."""

    status: str = "204 No Content"
    close_every: int = 0
    announced: bool = True
    bodies: list[bytes] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    connections: int = 0

    async def serve(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            length = re.search(r"Content-Length: (\d+)", head)
            assert length
            self.heads.append(head)
            self.bodies.append(await reader.readexactly(int(length[1])))
            last = self.close_every and len(self.bodies) % self.close_every == 0
            close = "Connection: close\r\n" if last and self.announced else ""
            body = "" if self.status.startswith("204") else "because\n"
            length_line = f"Content-Length: {len(body)}\r\n" if body else ""
            writer.write(f"HTTP/1.1 {self.status}\r\n{close}{length_line}\r\n{body}".encode())
            if last:
                return
            head = (await reader.readuntil(b"\r\n\r\n")).decode()

    def seqs(self) -> list[int]:
        return [int(seq) for body in self.bodies for seq in re.findall(rb"#(\d+)@\d+;", body)]


@asynccontextmanager
async def publishing(programs: Path, sink: Sink, *options: object) -> AsyncIterator[Program]:
    async with scripted(sink.serve) as port:
        command = ("publish", "--port", port, "--path", "/pub/a", *options)
        async with Program.running(programs / "load", *command) as load:
            yield load


async def test_events_are_posted_one_by_one_over_one_connection(programs: Path) -> None:
    sink = Sink()
    async with publishing(programs, sink, "--header", "Content-Type: text/plain") as load:
        assert await load.ask("start 0 50") == {"ok": True}
        done = await load.ask("done 10")
        assert (done["published"], done["failed"], done["retried"]) == (50, 0, 0)
        assert await load.ask("start 0 2") == {"ok": True}
        assert (await load.ask("done 10"))["published"] == 2
    assert sink.seqs() == list(range(1, 53))  # one stream, whatever starts it
    assert all(len(body) == 60 for body in sink.bodies)
    assert sink.connections == 1
    assert sink.heads[0].startswith("POST /pub/a HTTP/1.1\r\n")
    assert "Content-Type: text/plain\r\n" in sink.heads[0]


async def test_a_batch_is_an_array_of_texts(programs: Path) -> None:
    sink = Sink()
    async with publishing(programs, sink, "--batch", 8) as load:
        await load.ask("start 0 20")
        assert (await load.ask("done 10"))["published"] == 20
    batches = [json.loads(body) for body in sink.bodies]
    assert [len(batch) for batch in batches] == [8, 8, 4]
    assert sink.seqs() == list(range(1, 21))
    assert all(len(text) == 60 for batch in batches for text in batch)


@pytest.mark.parametrize("command", ["start 200 41", "start 41"])
async def test_events_are_posted_at_the_rate(programs: Path, command: str) -> None:
    async with publishing(programs, Sink(), "--rate", 200) as load:
        await load.ask(command)
        assert "not done" in (await load.ask("start 0 1"))["error"]
        early = await load.ask("done 0.05")
        assert early["published"] < 41
        assert early["seconds"] >= 0.05
        done = await load.ask("done 10")
        assert done["published"] == 41
        assert 0.2 <= done["seconds"] < 5


@pytest.mark.parametrize("announced", [True, False])
async def test_a_connection_that_the_server_closes_is_made_again(programs: Path, announced: bool) -> None:
    sink = Sink(close_every=3, announced=announced)
    async with publishing(programs, sink) as load:
        await load.ask("start 0 20")
        done = await load.ask("done 10")
        assert (done["published"], done["failed"]) == (20, 0)
        assert done["retried"] == 0 or not announced
    assert sink.seqs() == list(range(1, 21))
    assert sink.connections == 7


async def test_refusals_are_failed_and_explained(programs: Path) -> None:
    async with publishing(programs, Sink(status="409 Conflict")) as load:
        await load.ask("start 0 5")
        done = await load.ask("done 10")
        assert (done["published"], done["failed"]) == (0, 5)
        assert done["error"] == "HTTP/1.1 409 Conflict: because\n"


async def test_a_server_that_is_not_there_fails_all(programs: Path) -> None:
    async with scripted(Sink().serve) as port:
        pass
    async with Program.running(programs / "load", "publish", "--port", port, "--path", "/a") as load:
        await load.ask("start 100 1000")
        done = await load.ask("done 10")
        assert (done["published"], done["failed"], done["error"]) == (0, 1000, "Connection refused")
        assert "commands are" in (await load.ask("stop"))["error"]
