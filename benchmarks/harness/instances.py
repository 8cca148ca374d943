"""Two instances on one Redis behind nginx, as deploy/ sets it up: what a watcher costs there, and how late it is."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from harness import cores, proc
from harness.child import Child

ROOT: Final = Path(__file__).resolve().parents[2]
SERVER: Final = ROOT / "benchmarks" / "systems" / "python" / "tokentape_server.py"
WATCHERS: Final = 2000
"""Half of them over SSE, half over WebSocket; nginx spreads them over both instances."""
RATES: Final = (5, 10)
"""Events per second. For each watcher an event passes two connections, and all of it is on two cores."""
PATIENCE: Final = 60.0
SETTLE_SECONDS: Final = 1.0
"""After the connects, for what they have left behind to be done."""
HELLO: Final = '{"op":"subscribe","id":1,"stream":"bench","from":"now"}'
MAIN: Final = """\
daemon off; pid nginx.pid; error_log stderr warn; worker_processes 1;
events {{ worker_connections 10240; }}
http {{
access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
uwsgi_temp_path uwsgi; scgi_temp_path scgi;
{included}
}}
"""


def measure(redis: str, redis_pid: int, *, seconds: float) -> list[dict[str, Any]] | None:
    """A line for each rate; None when nginx or the load client is not installed."""
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    load = ROOT / ".bench" / "bin" / "load"
    if nginx is None or not load.exists():
        return None
    place, ports, log = cores.choose(os.sched_getaffinity(0)), cores.Ports(), ROOT / ".bench" / "logs" / "instances.log"
    with ExitStack() as stack:
        instances = []
        for name in ("one", "two"):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            command = [sys.executable, str(SERVER), "--port", "0", "--store", redis]
            instances.append(stack.enter_context(Child(name, command, core=place.server, log=log, cwd=folder)))
        backends = [int(each.answer(seconds=PATIENCE, key="ready")["port"]) for each in instances]
        port = ports.free()
        proxy = stack.enter_context(_nginx(nginx, (port, ports.free()), backends, core=place.client))
        clients = [
            stack.enter_context(Child("load", [str(load), *_watch(port, way)], core=place.client, log=log))
            for way in ("sse", "ws")
        ]
        for client in clients:
            client.ask("connect", seconds=PATIENCE)
        time.sleep(SETTLE_SECONDS)
        processes = {"instances": [each.pid for each in instances], "nginx": [proxy], "redis": [redis_pid]}
        found: list[dict[str, Any]] = []
        for rate in RATES:
            made = sum(cell["expected"] for cell in found) // WATCHERS
            found.append(_window(instances[0], clients, processes, rate, seconds=seconds, made=made))
        return found


def _watch(port: int, way: str) -> list[str]:
    command = ["watch", "--port", str(port), "--transport", way, "--watchers", str(WATCHERS // 2)]
    if way == "sse":
        return [*command, "--path", "/v1/channels/bench/events?from=now", "--header", "Accept: text/event-stream"]
    return [*command, "--path", "/v1/ws", "--subprotocol", "tokentape.v1", "--hello", HELLO]


def _window(
    maker: Child, clients: list[Child], processes: dict[str, list[int]], rate: int, *, seconds: float, made: int
) -> dict[str, Any]:
    """`made` is the number of the last event before."""
    count = round(rate * seconds)
    for client in clients:
        client.ask("measure", seconds=PATIENCE)
    before = {name: sum(map(proc.cpu_seconds, pids)) for name, pids in processes.items()}
    maker.ask(f"start {rate} {count}", seconds=PATIENCE)
    maker.answer(seconds=seconds + PATIENCE, key="emitted")
    for client in clients:
        client.ask(f"wait {made + count} 20", seconds=PATIENCE)
    after = {name: sum(map(proc.cpu_seconds, pids)) for name, pids in processes.items()}
    reports = [client.ask("report", seconds=PATIENCE) for client in clients]
    delivered = sum(each["deliveries"] for each in reports)
    return {
        "rate": rate,
        "watchers": WATCHERS,
        "deliveries": delivered,
        "expected": count * WATCHERS,
        "wrong": sum(each["gaps"] + each["duplicates"] for each in reports),
        **{
            f"{way}_{value}_ms": each["latency_us"][value] / 1000
            for way, each in zip(("sse", "ws"), reports, strict=True)
            for value in ("p50", "p99")
        },
        **{f"{name}_us": (after[name] - before[name]) / max(1, delivered) * 1e6 for name in processes},
    }


@contextmanager
def _nginx(program: str, own: tuple[int, int], backends: list[int], *, core: int) -> Iterator[int]:
    """nginx with the file from deploy/, but without TLS; its process id."""
    text = (ROOT / "deploy" / "nginx" / "tokentape.conf").read_text("utf-8")
    text = text.replace("listen 443 ssl http2", f"listen 127.0.0.1:{own[0]} backlog=2048")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{own[1]};")
    for name, backend in zip(("8001", "8002"), backends, strict=True):
        text = text.replace(f"127.0.0.1:{name}", f"127.0.0.1:{backend}")
    text = "\n".join(line for line in text.splitlines() if "ssl_certificate" not in line)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(MAIN.format(included=text), "utf-8")
        process = subprocess.Popen([program, "-p", folder, "-c", str(config), "-e", "stderr"])
        try:
            _until_accepting(own[0], process)
            proc.pin(process.pid, core)
            yield process.pid
        finally:
            process.terminate()
            process.wait()


def _until_accepting(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("nginx does not start; its own words are above")
