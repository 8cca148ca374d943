"""`tokentape serve --workers`: several processes on one address, over a real Redis."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest
from ports import free_port
from redis_server import RedisServer

SECONDS = 30


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it has not come"
        time.sleep(0.02)


def serving(spawn, redis: RedisServer, workers: int, *arguments: str):
    """The supervisor, its announcement, and its processes."""
    server = spawn("serve", "--port", "0", "--workers", str(workers), "--store", redis.url, "--json", *arguments)
    said = json.loads(server.line())
    children = psutil.Process(server.process.pid).children()
    return server, said, children


def ask(said: dict, path: str) -> int:
    """The status of the answer over a connection of its own."""
    connection = HTTPConnection("127.0.0.1", int(said["url"].rpartition(":")[2]), timeout=SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def shares(said: dict, children: list[psutil.Process], connections: int) -> Counter:
    """How many of so many open connections each process has."""
    port = int(said["url"].rpartition(":")[2])
    opened = [HTTPConnection("127.0.0.1", port, timeout=SECONDS) for _ in range(connections)]

    def answered(connection: HTTPConnection) -> int:
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        response.read()
        return response.status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(answered, opened)) == {200}
    found = Counter(
        {
            child.pid: sum(
                1 for c in child.net_connections("tcp") if c.status == "ESTABLISHED" and c.laddr.port == port
            )
            for child in children
        }
    )
    for connection in opened:
        connection.close()
    return found


def test_all_processes_serve_one_address_and_share_its_connections(spawn, redis):
    server, said, children = serving(spawn, redis, 3)
    assert said["workers"] == 3
    assert said["pid"] == server.process.pid
    assert len(children) == 3
    found = shares(said, children, 150)
    assert found.total() == 150
    assert min(found.values()) >= 20, found
    server.process.terminate()
    code, out, err = server.end()
    # One announcement; each line of a log says whose it is.
    assert (code, out) == (0, "")
    assert all(f"worker={number}" in err for number in (1, 2, 3))
    assert "Traceback" not in err
    assert not [child for child in children if child.is_running()]


def test_a_process_that_dies_is_started_again_and_nobody_is_refused(spawn, redis):
    server, said, children = serving(spawn, redis, 2)
    victim = children[0]
    victim.kill()
    # Also those whose process is away: they wait for the next one.
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: ask(said, "/readyz"), range(60))) == {200}
    until(lambda: len(psutil.Process(server.process.pid).children()) == 2)
    assert victim.pid not in {child.pid for child in psutil.Process(server.process.pid).children()}
    server.interrupt()
    code, _, err = server.end()
    assert code == 0
    assert "ended with SIGKILL; it is started again" in err


def test_the_first_signal_drains_and_the_second_ends_all_at_once(spawn, redis):
    server, said, children = serving(spawn, redis, 2)
    send = spawn("send", "Hello", "--simulated", "rate=20,tokens=5000", url=said["url"])
    send.read(10)
    server.interrupt()
    # The one without the run has nothing to wait for. Until it is gone, a connection may be dealt to it, and be reset.
    until(lambda: len([child for child in children if child.is_running()]) == 1)
    [draining] = [child for child in children if child.is_running()]
    assert ask(said, "/readyz") == 503
    # A service manager may tell every process of the group as well: that is not the second time.
    draining.terminate()
    assert ask(said, "/healthz") == 200
    server.interrupt()
    code, _, _ = server.end()
    assert code == -signal.SIGINT
    until(lambda: not [child for child in children if child.is_running() and child.status() != "zombie"])
    send.interrupt()
    send.end()


def test_no_process_outlives_a_supervisor_that_was_killed(spawn, redis):
    server, _, children = serving(spawn, redis, 2)
    os.kill(server.process.pid, signal.SIGKILL)
    until(lambda: not [child for child in children if child.is_running() and child.status() != "zombie"])


@pytest.mark.parametrize("store", ["memory://", "sqlite:///tape.db"])
def test_a_store_of_one_process_is_refused(spawn, tmp_path, store):
    server = spawn("serve", "--port", "0", "--workers", "2", "--store", store, cwd=tmp_path)
    code, out, err = server.end()
    assert (code, out) == (2, "")
    assert f"{store.partition(':')[0]}:// belongs to one. Use --store redis://" in err
    assert len(err.splitlines()) == 1
    assert not [*tmp_path.iterdir()]


def test_processes_that_cannot_start_end_it(spawn):
    server = spawn("serve", "--port", "0", "--workers", "2", "--store", f"redis://127.0.0.1:{free_port()}/0")
    code, out, err = server.end()
    assert (code, out) == (2, "")
    assert "cannot be reached" in err
    assert "ended with exit code 2 before it was ready" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_an_address_that_is_taken_is_noticed(spawn, redis):
    server, said, _ = serving(spawn, redis, 2)
    port = said["url"].rpartition(":")[2]
    other = spawn("serve", "--port", port, "--workers", "2", "--store", redis.url)
    code, _, err = other.end()
    assert code == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in err
    server.interrupt()
    assert server.end()[0] == 0
