"""The store: whether it can be opened, what it says of itself, and how long an append takes."""

from __future__ import annotations

import secrets
import time
from typing import Final

from tokentape.core.errors import TokentapeError
from tokentape.core.findings import Finding
from tokentape.stores.base import Append, Diagnosing, Notifying, Retention, Store, StreamConfig
from tokentape.stores.open import open_store

ROUNDS: Final = 50
SLOW_SECONDS: Final = 0.01
"""Half of all appends take longer: on a tape that is as if each token came so much later."""


async def examine_store(url: str) -> list[Finding]:
    """Opens the store as a server would, and writes to a stream of its own that it then deletes."""
    try:
        store = open_store(url)
        async with store:
            findings = await store.diagnose() if isinstance(store, Diagnosing) else []
            return [*findings, await _appends(store), *_sharing(store)]
    except TokentapeError as error:
        if url.startswith("sqlite:") and "in use by process" in error.message:
            return [
                Finding(
                    "store",
                    "ok",
                    "A server has the SQLite file open, so it works; what else there is to see, it alone can see.",
                )
            ]
        return [Finding("store", "failure", error.message)]


async def _appends(store: Store) -> Finding:
    name = f"$doctor/{secrets.token_hex(8)}"
    await store.create(name, StreamConfig(retention=Retention(idle=60)))
    try:
        times = []
        for number in range(ROUNDS):
            began = time.perf_counter()
            [answer] = await store.append([Append(stream=name, records=[b'{"number":%d}' % number])])
            times.append(time.perf_counter() - began)
            if isinstance(answer, TokentapeError):
                return Finding("store latency", "failure", answer.message)
    finally:
        await store.delete(name)
    times.sort()
    median, worst = times[ROUNDS // 2], times[-1]
    shown = f"An append takes {median * 1000:.2f} ms, the slowest of {ROUNDS} {worst * 1000:.1f} ms."
    if median <= SLOW_SECONDS:
        return Finding("store latency", "ok", shown)
    return Finding("store latency", "warning", shown, "Put the store nearer: the same zone, or a faster disk.")


def _sharing(store: Store) -> list[Finding]:
    if isinstance(store, Notifying):
        return [Finding("sharing", "ok", "Several processes and machines can use this store together.")]
    return [
        Finding("sharing", "ok", "This store belongs to one process: more of them need Redis (docs/configuration.md).")
    ]
