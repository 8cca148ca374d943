"""`tokentape doctor --url`, through real proxies: what is wrong on the way is found, and its setting named."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from proxies import NAMES, Proxy

from tokentape.cli.child import ServerProcess

Instances = tuple[ServerProcess, ServerProcess]
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


async def doctor(url: str, *, cafile: Path | None = None) -> tuple[int, dict[str, tuple[str, str]]]:
    """Its exit code, and for each subject the verdict and what is told."""
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


@pytest.mark.parametrize("name", NAMES)
async def test_nothing_is_wrong_with_what_we_deploy(name: str, instances: Instances, tmp_path: Path) -> None:
    with Proxy(name, tmp_path, (instances[0].port, instances[1].port)) as proxy:
        code, found = await doctor(proxy.url, cafile=proxy.certificate)
    assert {subject: verdict for subject, (verdict, _) in found.items()} == {"SSE": "ok", "WebSocket": "ok"}
    assert code == 0


async def test_a_proxy_that_buffers(instances: Instances, tmp_path: Path) -> None:
    with Proxy("nginx", tmp_path, (instances[0].port, instances[1].port), locations=BUFFERED) as proxy:
        code, found = await doctor(proxy.url)
    assert code == 1
    verdict, told = found["SSE"]
    assert verdict == "failure"
    assert "proxy_buffering off" in told
    assert found["WebSocket"][0] == "ok"


async def test_a_proxy_that_compresses_and_cuts(instances: Instances, tmp_path: Path) -> None:
    """Its time-out is below the heartbeat, as the default of 60 s is below nobody's patience."""
    with Proxy("nginx", tmp_path, (instances[0].port, instances[1].port), locations=COMPRESSED_AND_CUT) as proxy:
        code, found = await doctor(proxy.url)
    assert code == 1
    assert found["SSE compression"][0] == "warning"
    assert "gzip_types" in found["SSE compression"][1]
    for subject in ("SSE time-out", "WebSocket time-out"):
        assert found[subject][0] == "failure"
        assert "proxy_read_timeout" in found[subject][1]


async def test_row_27_nginx_as_it_comes_lets_no_websocket_through(instances: Instances, tmp_path: Path) -> None:
    with Proxy("nginx", tmp_path, (instances[0].port, instances[1].port), plain=True) as proxy:
        code, found = await doctor(proxy.url)
    assert code == 1
    assert found["SSE"][0] == "ok"
    assert "proxy_set_header Upgrade" in found["WebSocket"][1]


async def test_row_27_haproxy_as_it_comes_collects_tokens(instances: Instances, tmp_path: Path) -> None:
    with Proxy("haproxy", tmp_path, (instances[0].port, instances[1].port), plain=True) as proxy:
        code, found = await doctor(proxy.url)
    assert code == 1
    assert any("http-no-delay" in told for verdict, told in found.values() if verdict == "failure")


async def test_two_servers_that_share_nothing(tmp_path: Path) -> None:
    one, two = (ServerProcess(f"sqlite:///{tmp_path}/{name}.db", tmp_path / f"{name}.log") for name in ("one", "two"))
    async with one, two:
        with Proxy("nginx", tmp_path, (one.port, two.port), tls=False) as proxy:
            code, found = await doctor(proxy.url)
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
