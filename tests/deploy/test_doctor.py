"""`tokentape doctor --url`, through real proxies: what is wrong on the way is found, and its setting named."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from proxies import NAMES, Proxy
from redis_server import RedisServer

from tokentape.cli.child import ServerProcess

Instances = tuple[ServerProcess, ServerProcess]
Diagnosis = tuple[int, dict[str, tuple[str, str]]]
"""The exit code of the doctor, and for each subject the verdict and what is told."""
SILENCE = "3"

BUFFERED = """\
location / {{ proxy_pass http://127.0.0.1:{one}; proxy_http_version 1.0; proxy_ignore_headers X-Accel-Buffering; }}
location /v1/ws {{
    proxy_pass http://127.0.0.1:{one}; proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
}}
"""
COMPRESSED_AND_CUT = """\
gzip on; gzip_types text/event-stream; gzip_proxied any; gzip_min_length 0; proxy_read_timeout 2s;
location / {{
    proxy_pass http://127.0.0.1:{one}; proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
}}
"""


async def doctor(url: str, *, cafile: Path | None = None) -> Diagnosis:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tokentape", "doctor", "--json", "--only-url", "--url", url, "--silence", SILENCE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **({"SSL_CERT_FILE": str(cafile)} if cafile else {})},
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert out, err.decode()
    found: list[dict[str, Any]] = json.loads(out)["findings"]
    code = process.returncode
    assert code is not None
    return code, {each["subject"]: (each["verdict"], f"{each['found']} {each['advice']}") for each in found}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def diagnoses(
    shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Diagnosis]]:
    """Each way to a server, looked at by a doctor. Mostly they wait, so several do at once, but each at servers of its
    own: one would hear the ticks of the other when it should hear nothing.
    """
    folder = tmp_path_factory.mktemp("ways")
    found: dict[str, Diagnosis] = {}
    async with AsyncExitStack() as stack:

        async def look(stores: Sequence[str], ways: dict[str, Callable[..., Proxy]]) -> None:
            servers = [ServerProcess(store, tmp_path_factory.mktemp("server") / "log") for store in stores]
            await asyncio.gather(*map(stack.enter_async_context, servers))
            ports = servers[0].port, servers[-1].port
            for name, way in ways.items():
                proxy = way(folder=tmp_path_factory.mktemp("way"), instances=ports)
                await asyncio.to_thread(stack.enter_context, proxy)
                found[name] = await doctor(proxy.url, cafile=proxy.certificate if proxy.tls else None)

        one, two, three, four = (f"sqlite:///{folder}/{number}.db" for number in range(4))
        nginx = partial(Proxy, "nginx")
        await asyncio.gather(
            look([shared_redis.url] * 2, {name: partial(Proxy, name) for name in NAMES}),
            look([one], {"buffers": partial(nginx, locations=BUFFERED)}),
            look([two, three], {"shares nothing": partial(nginx, tls=False)}),
            look(
                [four],
                {
                    "compresses and cuts": partial(nginx, locations=COMPRESSED_AND_CUT),
                    "nginx as it comes": partial(nginx, plain=True),
                    "haproxy as it comes": partial(Proxy, "haproxy", plain=True),
                },
            ),
        )
        yield found


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wrong_with_what_we_deploy(name: str, diagnoses: dict[str, Diagnosis]) -> None:
    code, found = diagnoses[name]
    assert {subject: verdict for subject, (verdict, _) in found.items()} == {"SSE": "ok", "WebSocket": "ok"}, found
    assert code == 0


def test_a_proxy_that_buffers(diagnoses: dict[str, Diagnosis]) -> None:
    code, found = diagnoses["buffers"]
    assert code == 1
    verdict, told = found["SSE"]
    assert verdict == "failure"
    assert "proxy_buffering off" in told
    assert found["WebSocket"][0] == "ok"


def test_a_proxy_that_compresses_and_cuts(diagnoses: dict[str, Diagnosis]) -> None:
    """Its time-out is below the heartbeat, as the default of 60 s is below nobody's patience."""
    code, found = diagnoses["compresses and cuts"]
    assert code == 1
    assert found["SSE compression"][0] == "warning"
    assert "gzip_types" in found["SSE compression"][1]
    for subject in ("SSE time-out", "WebSocket time-out"):
        assert found[subject][0] == "failure"
        assert "proxy_read_timeout" in found[subject][1]


def test_row_27_nginx_as_it_comes_lets_no_websocket_through(diagnoses: dict[str, Diagnosis]) -> None:
    code, found = diagnoses["nginx as it comes"]
    assert code == 1
    assert found["SSE"][0] == "ok"
    assert "proxy_set_header Upgrade" in found["WebSocket"][1]


def test_row_27_haproxy_as_it_comes_collects_tokens(diagnoses: dict[str, Diagnosis]) -> None:
    code, found = diagnoses["haproxy as it comes"]
    assert code == 1
    assert any("http-no-delay" in told for verdict, told in found.values() if verdict == "failure")


def test_two_servers_that_share_nothing(diagnoses: dict[str, Diagnosis]) -> None:
    code, found = diagnoses["shares nothing"]
    assert code == 1
    assert any("share a store" in told for _, told in found.values())


async def test_an_address_where_nobody_is(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tokentape", "doctor", "--only-url", "--url", "http://127.0.0.1:9",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    _, err = await process.communicate()
    assert process.returncode == 3
    assert b"Cannot reach http://127.0.0.1:9" in err


async def test_a_server_that_dies_meanwhile(instances: Instances, tmp_path: Path) -> None:
    """Said in a line, as by any other command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tokentape", "doctor", "--only-url", "--url", f"http://127.0.0.1:{instances[0].port}",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while b"alone" not in await process.stderr.readline():
            pass
        await instances[0].kill()
        _, err = await process.communicate()
    assert process.returncode == 3
    assert b"Cannot reach" in err
    assert b"Traceback" not in err
