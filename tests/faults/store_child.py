"""Processes for test_store_faults.py: run as `python store_child.py kill|limit PATH`."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from typing import Any

from tokentape.core.errors import TokentapeError
from tokentape.stores.base import Append, Appended, Retention, StreamConfig
from tokentape.stores.sqlite import SqliteStore, Tuning

STREAMS = ("a", "b", "c")
# So small that flushes and checkpoints come every few commits, and kills hit them too.
TINY = Tuning(journal_rows=15, checkpoint_bytes=200_000, max_heads=4)


def record(stream: str, offset: int) -> bytes:
    return f"{stream}/{offset}:".encode() + b"." * (offset * 37 % 300)


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def kill_target(path: str) -> None:
    """For each line of input, forks a process that appends until it is killed, and tells when it is gone.

    Forked from this one, which has everything imported, it starts in milliseconds.
    """
    for _ in sys.stdin:
        pid = os.fork()
        if not pid:
            asyncio.run(append_for_ever(path))
        say(f"pid {pid}")
        os.waitpid(pid, 0)
        say("dead")


async def append_for_ever(path: str) -> None:
    async with SqliteStore(path, tuning=TINY) as store:
        for name in STREAMS:
            await store.create(name, StreamConfig())
        ends = [(await store.info(name)).last for name in STREAMS]
        await asyncio.gather(churn(store), *[follow(store, *start) for start in zip(STREAMS, ends, strict=True)])


async def follow(store: SqliteStore, name: str, last: int) -> None:
    """Appends one to five records at a time, and says so once they are accepted."""
    while True:
        count = last % 5 + 1
        records = [record(name, offset) for offset in range(last + 1, last + count + 1)]
        keys = [f"{offset}" for offset in range(last + 1, last + count + 1)]
        [result] = await store.append([Append(stream=name, records=records, keys=keys)])
        assert isinstance(result, Appended), result
        assert result.last == last + count
        last = result.last
        say(f"ack {name} {last}")


async def churn(store: SqliteStore) -> None:
    """Meanwhile other streams come, are trimmed, and go."""
    turn = 0
    while True:
        name = f"churn/{turn % 7}"
        await store.create(name, StreamConfig(retention=Retention(max_bytes=500)))
        await store.append([Append(stream=name, records=[b"x" * 200] * 5)])
        lease = await store.acquire(name, "me", seconds=60)
        await store.delete(name)
        if lease is not None:
            await store.release(name, lease.token)
        turn += 1


async def hit_the_limit(path: str) -> dict[str, Any]:
    """Appends until the system refuses to let the files grow, and again when it has relented; what happened."""
    report: dict[str, Any] = {"accepted": 0, "refusals": []}
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with SqliteStore(path) as store:
        await store.create("a", StreamConfig())
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, hard))
        while len(report["refusals"]) < 5:
            try:
                [result] = await store.append([Append(stream="a", records=[record("a", report["accepted"] + 1) * 50])])
            except TokentapeError as error:
                report["refusals"].append(error.code)
            else:
                assert isinstance(result, Appended), result
                report["accepted"] = result.last
        report["before"] = report["accepted"]
        page = await store.read("a", 0, max_bytes=2**30)
        report["readable"] = [len(page.records), page.last]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        for _ in range(100):
            [result] = await store.append([Append(stream="a", records=[record("a", report["accepted"] + 1) * 50])])
            assert isinstance(result, Appended), result
            report["accepted"] = result.last
    return report


if __name__ == "__main__":
    if sys.argv[1] == "kill":
        kill_target(sys.argv[2])
    else:
        say(json.dumps(asyncio.run(hit_the_limit(sys.argv[2]))))
