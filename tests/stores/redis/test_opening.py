"""Opening: which Redis will do, what deserves a warning, and what is said when it cannot be reached."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from certificates import SELF_SIGNED
from ports import free_port
from redis_server import RedisServer

from tokentape.core.errors import SetupError, StoreUnavailable
from tokentape.stores.base import StreamConfig
from tokentape.stores.open import open_store
from tokentape.stores.redis import RedisStore
from tokentape.stores.redis.opening import warnings
from tokentape.testing.contract_log import everything, put


async def cannot_open(url: str) -> str:
    with pytest.raises(SetupError) as refused:
        async with RedisStore(url):
            pass
    return refused.value.message


async def test_a_url_opens_a_store(redis: RedisServer) -> None:
    async with open_store(redis.url) as store:
        assert isinstance(store, RedisStore)
        await store.create("a", StreamConfig())


async def test_a_server_that_is_not_there() -> None:
    message = await cannot_open(f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    assert "cannot be reached. Try again later. Is it running, and is the URL right?" in message
    assert "hunter2" not in message


async def test_a_server_that_wants_another_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(tmp_path, "--requirepass", "right", "--save", "", ready=b"-NOAUTH") as server:
        for login in ("", ":hunter2@"):
            message = await cannot_open(f"redis://{login}127.0.0.1:{server.port}")
            assert "refuses this user" in message
            assert "hunter2" not in message + caplog.text
        async with RedisStore(f"redis://:right@127.0.0.1:{server.port}") as store:
            await store.create("a", StreamConfig())
            await put(store, "a", b"x")


async def test_the_rights_that_a_refusal_names_are_enough(own_redis: RedisServer) -> None:
    own_redis.command("ACL", "SETUSER", "tape", "on", ">pw", "+@read", "~tape:*")
    url = f"redis://tape:pw@127.0.0.1:{own_redis.port}"
    message = await cannot_open(url)
    rights = message.partition("tokentape needs ")[2].partition(",")[0].split(" ")
    assert "+@scripting" in rights
    own_redis.command("ACL", "SETUSER", "tape", "reset", "on", ">pw", *rights, "~tape:*", "&tape:*")
    async with RedisStore(url) as store:
        await store._reader.connected.wait()
        await store.create("a", StreamConfig())
        await put(store, "a", b"x")
        assert await everything(store, "a") == [b"x"]
        assert [info.name for info in await store.list()] == ["a"]
        assert await store.acquire("lease", "me", seconds=1) is not None
        await store.put_job("q", "a")
        job = await store.take_job("q", seconds=1, again=60)
        assert job is not None
        await store.finish_job("q", job)
        await store.delete("a")


async def test_a_replica_is_refused(own_redis: RedisServer, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--save", "", "--replicaof", "127.0.0.1", str(own_redis.port)) as replica:
        assert "is a replica: name its master" in await cannot_open(replica.url)


@pytest.mark.parametrize("version", ["6.2.14", "5.0.3"])
async def test_an_old_server_is_refused(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    async def answers(*_: object) -> list[object]:
        return [f"# Server\r\nredis_version:{version}\r\nrole:master\r\n".encode(), []]

    monkeypatch.setattr("tokentape.stores.redis.link.Link.ask_any", answers)
    message = await cannot_open(own_redis.url)
    assert f"is version {version}; tokentape needs 7.0 or later, or Valkey" in message


async def test_what_puts_streams_at_risk_is_logged(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    own_redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with caplog.at_level(logging.WARNING, logger="tokentape.store"):
        async with RedisStore(own_redis.url):
            pass
    assert "maxmemory-policy is allkeys-lru" in caplog.text
    assert "persistence is off" in caplog.text


def test_a_server_that_keeps_its_data_deserves_no_warning() -> None:
    assert warnings({"aof_enabled": "1", "maxmemory_policy": "noeviction"}, [b"save", b""]) == []
    assert warnings({"aof_enabled": "0"}, [b"save", b"3600 1"]) == []
    assert warnings({"aof_enabled": "0"}, PermissionError()) == [], "what may not be asked is not guessed"


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with RedisServer(tmp_path, "--save", "", "--unixsocket", str(path)):
        async with RedisStore(f"unix://{path}?db=1") as one, RedisStore(f"unix://{path}?db=2") as two:
            await one.create("a", StreamConfig())
            await put(one, "a", b"x")
            assert await everything(one, "a") == [b"x"]
            assert await two.list() == []


async def test_tls_with_a_certificate_to_trust_and_not_without(tmp_path: Path) -> None:
    pem = tmp_path / "server.pem"
    pem.write_text(SELF_SIGNED)
    port = free_port()
    options = (
        "--save", "", "--tls-port", str(port), "--tls-auth-clients", "no",
        "--tls-cert-file", str(pem), "--tls-key-file", str(pem), "--tls-ca-cert-file", str(pem),
    )  # fmt: skip
    with RedisServer(tmp_path, *options):
        async with RedisStore(f"rediss://127.0.0.1:{port}?ca={pem}") as store:
            await store._reader.connected.wait()
            await store.create("a", StreamConfig())
            await put(store, "a", b"x")
            assert await everything(store, "a") == [b"x"]
        assert "cannot be reached" in await cannot_open(f"rediss://127.0.0.1:{port}?timeout=1")


async def test_a_closed_store_takes_nothing_and_leaves_no_connection(own_redis: RedisServer) -> None:
    async with RedisStore(own_redis.url) as store:
        await store.create("a", StreamConfig())
        last = [store.submit([]) for _ in range(3)]
    assert [answer.result() for answer in last] == [[], [], []]
    with pytest.raises(StoreUnavailable, match="is closed"):
        await put(store, "a", b"x")
    assert b"name=tokentape" not in own_redis.command("CLIENT", "LIST")
