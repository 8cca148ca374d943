"""Several Redis servers that work together: a cluster, and a master with a replica under Sentinel."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from ports import free_port
from redis_server import RedisServer, program

PATIENCE: Final = 30.0
SLOTS: Final = 16_384


@contextmanager
def cluster(folder: Path, *, nodes: int = 2) -> Iterator[list[RedisServer]]:
    """A cluster of masters, with the slots divided evenly."""
    with ExitStack() as stack:
        servers = []
        for number in range(nodes):
            options = (
                "--save", "", "--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{number}.conf",
                "--cluster-node-timeout", "2000", "--cluster-port", str(free_port()),
            )  # fmt: skip
            servers.append(stack.enter_context(RedisServer(folder, *options)))
        for number, server in enumerate(servers):
            server.command(
                "CLUSTER", "ADDSLOTSRANGE", str(SLOTS * number // nodes), str(SLOTS * (number + 1) // nodes - 1)
            )
            server.command("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            bus = servers[0].command("CONFIG", "GET", "cluster-port").split(b"\r\n")[-1].decode()
            if server is not servers[0]:
                server.command("CLUSTER", "MEET", "127.0.0.1", str(servers[0].port), bus)
        for server in servers:
            wait_for(server, ("CLUSTER", "INFO"), b"cluster_state:ok")
            wait_for(server, ("CLUSTER", "INFO"), b"cluster_known_nodes:%d" % nodes)
        yield servers


class Sentinel:
    """A master, its replica, and one Sentinel that watches over them under the name `tape`."""

    def __init__(self, folder: Path, *, login: tuple[str, str] | None = None) -> None:
        """`login` is what Sentinel asks for; Redis asks for nothing."""
        # As it comes, a master waits five seconds for other replicas before it sends anything to the first.
        self.master = RedisServer(folder, "--save", "", "--repl-diskless-sync-delay", "0")
        self.replica = RedisServer(folder, "--save", "", "--replicaof", "127.0.0.1", str(self.master.port))
        self.sentinel = RedisServer(folder)
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {self.sentinel.port}\nbind 127.0.0.1\nsentinel monitor tape 127.0.0.1 {self.master.port} 1\n"
            "sentinel down-after-milliseconds tape 500\nsentinel failover-timeout tape 2000\n"
            + (f'user {login[0]} on ">{login[1]}" ~* &* +@all\nuser default off\n' if login else "")
        )
        self.sentinel.login = login or ()
        self._command = [program(), str(config), "--sentinel"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/tape"

    def start(self) -> None:
        self.master.start()
        self.replica.start()
        wait_for(self.replica, ("INFO", "replication"), b"master_link_status:up")
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        wait_for(self.sentinel, ("SENTINEL", "replicas", "tape"), str(self.replica.port).encode())

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        self.replica.stop()
        self.master.stop()


def wait_for(server: RedisServer, command: tuple[str, ...], text: bytes) -> None:
    """Until the server's answer contains the text."""
    until = time.monotonic() + PATIENCE
    answer = b""
    while time.monotonic() < until:
        try:
            answer = server.command(*command)
        except OSError:
            answer = b"nothing"
        if text in answer:
            return
        time.sleep(0.05)
    raise TimeoutError(f"{command} never answered {text!r}, but {answer!r}")
