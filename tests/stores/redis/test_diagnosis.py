"""What `tokentape doctor` tells of a Redis: its persistence, its memory, its distance."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis_server import RedisServer

from tokentape.core.findings import Finding
from tokentape.stores.redis import RedisStore, diagnosis
from tokentape.stores.redis.diagnosis import diagnose


async def findings(url: str) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    async with RedisStore(url) as store:
        for finding in await store.diagnose():
            found.setdefault(finding.subject, []).append(finding)
    return found


async def test_a_server_as_it_should_be(tmp_path: Path) -> None:
    options = ("--appendonly", "yes", "--maxmemory", "256mb")
    with RedisServer(tmp_path, *options) as server:
        found = await findings(server.url)
    assert {finding.verdict for some in found.values() for finding in some} == {"ok"}
    assert "kept in an append-only file, replicas: 0." in found["store"][0].found
    assert "of 256 MiB" in found["store memory"][0].found


async def test_a_server_that_loses_and_drops_streams(tmp_path: Path) -> None:
    options = ("--save", "", "--appendonly", "no", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
    with RedisServer(tmp_path, *options) as server:
        found = await findings(server.url)
    said = [(finding.verdict, finding.found) for finding in found["store"][1:]]
    assert [verdict for verdict, _ in said] == ["warning", "warning"]
    assert "noeviction" in said[0][1]
    assert "persistence is off" in said[1][1]


async def test_memory_without_a_bound_and_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer(tmp_path) as server:
        [finding] = (await findings(server.url))["store memory"]
        assert finding.verdict == "warning"
        assert "no `maxmemory`" in finding.found
        server.command("CONFIG", "SET", "maxmemory", "64mb")
        monkeypatch.setattr(diagnosis, "FULL", 0.0)
        [finding] = (await findings(server.url))["store memory"]
        assert finding.verdict == "warning"
        assert "of 64 MiB" in finding.found


async def test_small_buffers_for_wake_ups(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--client-output-buffer-limit", "pubsub 1mb 512kb 60") as server:
        [finding] = (await findings(server.url))["store wake-ups"]
    assert finding.verdict == "warning"
    assert "524,288 bytes" in finding.found


async def test_a_server_that_is_far_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "FAR_SECONDS", 0.0)
    with RedisServer(tmp_path) as server:
        [finding] = (await findings(server.url))["store distance"]
    assert finding.verdict == "warning"


async def test_a_server_that_goes_while_it_is_looked_at(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with RedisStore(server.url) as store:
            server.stop()
            [finding] = await diagnose(store._link)
    assert finding.verdict == "failure"


async def test_a_user_who_may_not_see_the_configuration(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        rights = ("~tape:*", "&tape:*", "+@all", "-config")
        server.command("ACL", "SETUSER", "app", "on", ">pw", *rights)
        found = await findings(server.url.replace("redis://", "redis://app:pw@"))
    assert found["store"][0].verdict == "ok"
    assert "store wake-ups" not in found
