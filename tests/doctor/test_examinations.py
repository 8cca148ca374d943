"""The configuration, the machine and the store, looked at from here."""

import resource
from pathlib import Path

import pytest

from tokentape.core.errors import StoreUnavailable
from tokentape.core.findings import Finding
from tokentape.doctor import examine_machine, examine_setup, examine_store, storage
from tokentape.doctor import machine as machines
from tokentape.server.config import ServerConfig, load_config
from tokentape.stores.memory import MemoryStore
from tokentape.stores.sqlite import SqliteStore, diagnosis
from tokentape.stores.sqlite.diagnosis import diagnose, file_system


def configured(**settings) -> ServerConfig:
    env = settings.pop("env", {})
    return load_config(None, env, settings)


def of(findings: list[Finding], subject: str) -> Finding:
    [finding] = [each for each in findings if each.subject == subject]
    return finding


@pytest.mark.parametrize(
    ("settings", "verdict"),
    [
        ({}, "ok"),
        ({"host": "localhost"}, "ok"),
        ({"host": "0.0.0.0"}, "failure"),
        ({"host": "tape.example.org"}, "failure"),
        ({"host": "0.0.0.0", "env": {"TOKENTAPE_AUTH_API_KEYS": "k1-secret"}}, "ok"),
        ({"host": "0.0.0.0", "auth.delegated": True}, "warning"),
    ],
)
def test_who_could_get_in(settings, verdict) -> None:
    finding = of(examine_setup(configured(**settings)), "access")
    assert finding.verdict == verdict
    assert bool(finding.advice) == (verdict != "ok")
    assert "k1-secret" not in finding.found


def test_a_key_that_travels_in_the_open_is_named_and_not_shown() -> None:
    env = {"OPENAI_API_KEY": "sk-hidden-hidden", "OPENAI_BASE_URL": "http://gateway.example.org/v1"}
    finding = of(examine_setup(configured(env=env)), "models")
    assert finding.verdict == "warning"
    assert "openai" in finding.found
    assert "sk-hidden" not in str(finding)
    env["OPENAI_BASE_URL"] = "http://127.0.0.1:9000/v1"
    assert of(examine_setup(configured(env=env)), "models").verdict == "ok"
    assert of(examine_setup(configured()), "models").verdict == "warning", "there is only the simulated one"


def test_too_few_descriptors(monkeypatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    finding = of(examine_machine(configured()), "descriptors")
    assert finding.verdict == "warning"
    assert "LimitNOFILE=" in finding.advice
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, resource.RLIM_INFINITY))
    assert of(examine_machine(configured()), "descriptors").verdict == "ok"


def test_a_short_backlog(monkeypatch, tmp_path: Path) -> None:
    file = tmp_path / "somaxconn"
    monkeypatch.setattr(machines, "_SOMAXCONN", file)
    assert not [each for each in examine_machine(configured()) if each.subject == "backlog"]
    for length, verdict in ((128, "warning"), (4096, "ok")):
        file.write_text(f"{length}\n")
        assert of(examine_machine(configured()), "backlog").verdict == verdict


def test_io_uring(monkeypatch) -> None:
    assert of(examine_machine(configured(io_uring=False)), "io_uring").found.startswith("Switched off")

    def refused():
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(machines, "Ring", refused)
    finding = of(examine_machine(configured()), "io_uring")
    assert finding.verdict == "ok"
    assert "Operation not permitted" in finding.found


async def test_a_sqlite_file_is_opened_tried_and_left_as_it_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tape.db"
    found = await examine_store(url)
    assert {finding.verdict for finding in found} == {"ok"}
    assert "An append takes" in of(found, "store latency").found
    async with SqliteStore(tmp_path / "tape.db") as store:
        assert await store.list() == []
        [finding] = await examine_store(url)
    assert finding.verdict == "ok"
    assert "has the SQLite file open" in finding.found


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "sqlite:////no/such/folder/tape.db", "tape://"])
async def test_a_store_that_cannot_be_had(url: str) -> None:
    [finding] = await examine_store(url)
    assert finding.verdict == "failure"


async def test_a_store_that_is_slow_or_refuses(monkeypatch) -> None:
    monkeypatch.setattr(storage, "SLOW_SECONDS", 0.0)
    finding = of(await examine_store("memory://"), "store latency")
    assert finding.verdict == "warning"

    async def refuse(*_):
        return [StoreUnavailable("not today")]

    monkeypatch.setattr(MemoryStore, "append", refuse)
    assert of(await examine_store("memory://"), "store latency").found == "not today"


def test_the_disk_of_a_sqlite_file(monkeypatch, tmp_path: Path) -> None:
    file = tmp_path / "tape.db"
    file.write_bytes(b"")
    monkeypatch.setattr(diagnosis, "LITTLE_SPACE", 1 << 60)
    monkeypatch.setattr(diagnosis, "_mounts", lambda: f"server:/x {tmp_path} nfs4 rw 0 0\n")
    found = diagnose(file, "full")
    assert [finding.verdict for finding in found] == ["ok", "warning", "failure"]
    assert "a loss of power" in found[0].found
    assert "nfs4" in found[2].found


def test_the_file_system_of_a_folder() -> None:
    mounts = "/dev/a / ext4 rw 0 0\nx /srv\\040data cifs rw 0 0\nx /srv xfs rw 0 0\nbroken\n"
    assert file_system(Path("/home"), mounts) == "ext4"
    assert file_system(Path("/srv data/tape"), mounts) == "cifs"
    assert file_system(Path("/srv/tape"), mounts) == "xfs"
    assert file_system(Path("/home"), "") == ""
