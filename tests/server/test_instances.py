"""Instances on one store notice each other, and what they do not agree on."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from commands import running
from redis_server import RedisServer

from tokentape import Tape
from tokentape.server.config import load_config
from tokentape.stores.memory import MemoryStore

KEY = "sk-live-0123456789"
MODELS = f"""
[providers.far]
kind = "openai"
base_url = "http://far.invalid/v1"
api_key = "{KEY}"

[models.quick]
provider = "far"
model = "quick-1"
"""


def config(toml: str = "", **settings):
    return load_config(toml.encode(), {}, settings)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "tokentape.server.instances"]


@pytest.fixture
async def store():
    async with MemoryStore() as store:
        yield store


async def test_instances_that_are_set_alike_say_nothing(store, caplog):
    # Their own address, limits and log are nobody else's business.
    one = Tape(store, config=config(MODELS))
    two = Tape(store, config=config(MODELS, port=1, shutdown_grace=1, **{"log.level": "error", "limits.live_runs": 5}))
    async with one, two:
        await until(lambda: one.instances.count == two.instances.count == 2)
        assert one.instances.agree
        assert two.instances.agree
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    ("toml", "settings", "names"),
    [
        (MODELS, {"retention.runs_after_close": "1d"}, ["retention.runs_after_close"]),
        (MODELS.replace("quick-1", "quick-2"), {}, ["models.quick"]),
        ("", {}, ["models.default", "models.quick", "providers.far"]),
        (
            MODELS + 'fallback = ["simulated"]',
            {"retention.channels_idle": 5},
            ["models.quick", "retention.channels_idle"],
        ),
    ],
)
async def test_what_differs_is_named_on_both_sides_and_only_named(store, caplog, toml, settings, names):
    one = Tape(store, config=config(MODELS))
    two = Tape(store, config=config(toml, **settings))
    async with one:
        async with two:
            await until(lambda: not one.instances.agree and not two.instances.agree)
            said = warnings(caplog)
            assert len(said) == 2
            assert all(f"otherwise than this one: {', '.join(names)}. " in text for text in said)
            assert KEY not in caplog.text
            told = json.dumps([member.data for member in await store.members("$instances")])
            assert not any(secret in told for secret in (KEY, "far.invalid", "quick-1"))
        await until(lambda: one.instances.agree)
        assert one.instances.count == 1


async def test_a_server_shows_it(tmp_path):
    with RedisServer(tmp_path) as redis:
        async with AsyncExitStack() as stack:
            log = tmp_path / "log"
            serve = ("serve", "--store", redis.url)
            one = await stack.enter_async_context(running(*serve, log=log))
            two = await stack.enter_async_context(running(*serve, log=log, TOKENTAPE_RETENTION_CHANNELS_IDLE="1d"))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            for url in (one, two):
                async with asyncio.timeout(20):
                    while True:
                        async with session.get(f"{url}/readyz") as reply:
                            ready = await reply.json()
                        if ready == {"status": "ready", "instances": 2, "agree": False}:
                            break
                        await asyncio.sleep(0.05)
        assert log.read_text().count("this one: retention.channels_idle.") == 2
