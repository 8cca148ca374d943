"""The client without an event loop, against a server of its own process."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tokentape.cli.child import ServerProcess
from tokentape.client import BlockingClient, Client, Unreachable
from tokentape.client.session import Patience
from tokentape.core.backoff import Backoff
from tokentape.core.errors import RunNotFound
from tokentape.core.transcript import Transcript
from tokentape.hub.channels import Publish


class Server:
    """A process that a test without an event loop can kill and start again."""

    def __init__(self, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self._process = ServerProcess(f"sqlite:///{folder / 'tape.db'}", folder / "log")
        self.start()

    def start(self) -> None:
        self._runner.run(self._process.start())

    def kill(self) -> None:
        self._runner.run(self._process.kill())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._process.port}"

    def close(self) -> None:
        self.kill()
        self._runner.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    made.close()


@pytest.fixture
def client(server: Server) -> Iterator[BlockingClient]:
    with BlockingClient(server.url, backoff=Backoff(base=0.05, cap=0.2)) as made:
        yield made


def prompt(**simulated: Any) -> dict[str, Any]:
    given = {"rate": 0, "tokens": 40, "seed": 7, **simulated}
    return {"messages": [{"role": "user", "content": "Hello"}], "simulated": given}


@pytest.mark.parametrize("transport", ["sse", "ws", "poll"])
def test_a_run_from_start_to_end(client: BlockingClient, transport: Any) -> None:
    run = client.start(prompt())
    items = list(client.watch(f"runs/{run.id}", transport=transport))
    assert [items[0].event.type, items[-1].event.type] == ["ready", "done"]
    transcript = Transcript()
    transcript.apply_all((0, item.event) for item in items[1:])
    assert len(transcript.text(run.id)) > 100
    assert client.run(run.id).reason == "stop"


def test_stop_keeps_what_was_said(client: BlockingClient) -> None:
    run = client.start(prompt(rate=50, tokens=5000))
    with client.watch(f"runs/{run.id}") as watch:
        next(item for item in watch if item.event.type == "token")
        ended = client.stop(run.id, reason="enough")
        assert ended.reason == "stopped"
        assert list(watch)[-1].event.data["reason"] == "stopped"


def test_channels(client: BlockingClient) -> None:
    cursor = client.publish("room", [Publish(type="chat:said", data=f"{n}") for n in range(3)])
    assert cursor is not None
    with client.watch("room") as watch:
        said = [next(watch).event for _ in range(4)]
    assert [event.data for event in said[1:]] == ["0", "1", "2"]
    assert len(client.history("room").items) == 3
    assert client.messages("room").items == []
    assert client.presence("room") == []
    assert "room" in {stream.name for stream in client.streams()}
    assert "simulated" in {model.name for model in client.models()}
    assert client.healthz()["status"] == "ok"
    started = client.start(prompt())
    assert [run.id for run in client.runs(limit=1)] == [started.id]


def test_errors_are_those_of_the_other_client(client: BlockingClient) -> None:
    with pytest.raises(RunNotFound):
        client.run("r_unknown")


def test_it_reconnects_exactly_when_the_server_comes_back(server: Server, client: BlockingClient) -> None:
    client.publish("lasting", [Publish(type="chat:said", data=f"{n}") for n in range(5)])
    seen = []
    with client.watch("lasting", merge=False) as watch:
        seen += [next(watch).event.data for _ in range(6)][1:]
        server.kill()
        server.start()
        client.publish("lasting", [Publish(type="chat:said", data=f"{n}") for n in range(5, 8)])
        seen += [item.event.data for item in (next(watch) for _ in range(4)) if item.event.type != "ready"]
    assert seen[:8] == [f"{n}" for n in range(len(seen[:8]))]
    assert len(seen) >= 7


def test_a_server_that_is_not_there(unused_tcp_port: int) -> None:
    patience = Patience(first=0, again=0.2)
    with BlockingClient(f"http://127.0.0.1:{unused_tcp_port}", patience=patience) as client:
        with pytest.raises(Unreachable):
            client.models()
        with pytest.raises(Unreachable):
            list(client.watch("room"))


def test_its_thread_ends_with_it(server: Server) -> None:
    with BlockingClient(server.url) as client:
        client.models()
        assert any("tokentape" in thread.name for thread in threading.enumerate())
    assert not any("tokentape" in thread.name for thread in threading.enumerate())
    with pytest.raises(RuntimeError, match="not open"):
        client.models()


def test_threads_share_it(client: BlockingClient) -> None:
    runs = [client.start(prompt()) for _ in range(4)]
    found: dict[str, int] = {}

    def play(run: str) -> None:
        found[run] = sum(1 for _ in client.watch(f"runs/{run}"))

    threads = [threading.Thread(target=play, args=(run.id,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found.keys() == {run.id for run in runs}


def test_it_has_every_method_of_the_other_client() -> None:
    public = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    assert public - {"aclose"} <= set(dir(BlockingClient))
