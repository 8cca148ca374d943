"""The protocol's own server suite, on each store: `@durable-streams/server-conformance-tests`, all core tests.

The three runs wait most of their time (for streams to expire), so they go side by side, a few seconds apart: each has
a busy second, and a script that is busy for longer than a connection is kept fails on that.
"""

import asyncio
import json
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from fleet import Program
from node import CLIENTS, node
from redis_server import RedisServer

CORE_TESTS = 332
OPTIONAL = "Reserved subscription APIs"
SUITE = "durable/conformance.test.mjs"
APART = 4.0
TEST_TIMEOUT = 30_000
"""Milliseconds of one test, where the suite says nothing: vitest's own 5 s are for machines that do nothing else."""

RETRIES = 2
"""Its tests of lifetimes write half a second of real time before an end, which a busy machine misses now and then."""


async def run_suite(url: str, report: Path, *, later: float) -> tuple[list[str], list[str]]:
    """Runs the suite against a server; returns the names of the tests that passed, and what became of the others."""
    await asyncio.sleep(later)
    suite = await asyncio.create_subprocess_exec(
        node(), "node_modules/vitest/vitest.mjs", "run", "--root", ".", SUITE, f"--testTimeout={TEST_TIMEOUT}",
        f"--retry={RETRIES}", "--reporter=json", f"--outputFile={report}",
        cwd=CLIENTS,
        env={"PATH": os.environ["PATH"], "NO_COLOR": "1", "TOKENTAPE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await suite.communicate()
    return read_report(report, said)


def read_report(report: Path, said: bytes) -> tuple[list[str], list[str]]:
    assert report.exists(), said.decode()[-4000:]
    [file] = json.loads(report.read_text())["testResults"]
    passed, others = [], []
    for test in file["assertionResults"]:
        if test["status"] == "passed":
            passed.append(test["fullName"])
        elif not test["fullName"].startswith(OPTIONAL):
            others.append(f"{test['status']}: {test['fullName']}\n{''.join(test['failureMessages'])[:1000]}")
    return passed, others


@pytest.mark.timeout(300)
async def test_all_core_tests_pass_on_each_store(tmp_path):
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer(tmp_path))
        stores = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/tape.db", "redis": redis.url}
        servers = {
            name: Program(
                tmp_path / f"{name}.log", "serve", "--port", "0", "--store", store,
                env={
                    "TOKENTAPE_DURABLE_STREAMS_LONG_POLL": "500ms",
                    # The suite asks once as a web page of this origin.
                    "TOKENTAPE_CORS_ORIGINS": "https://example.com",
                },
            )
            for name, store in stores.items()
        }  # fmt: skip
        for server in servers.values():
            stack.push_async_callback(server.kill)
        await asyncio.gather(*[server.start() for server in servers.values()])
        runs = [
            run_suite(server.told["url"], tmp_path / f"{name}.json", later=APART * place)
            for place, (name, server) in enumerate(servers.items())
        ]
        found = await asyncio.gather(*runs)
    for name, (passed, others) in zip(servers, found, strict=True):
        assert not others, f"on {name}: {len(others)} of the suite failed:\n" + "\n".join(others)
        assert len(set(passed)) == CORE_TESTS, f"on {name}: {len(passed)} tests of the suite passed"
