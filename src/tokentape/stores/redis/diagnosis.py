"""What an operator should know of the Redis behind a store."""

from __future__ import annotations

import re
import time
from typing import Any, Final

from tokentape.core.findings import Finding
from tokentape.stores.redis.errors import explain
from tokentape.stores.redis.link import Link
from tokentape.stores.redis.opening import warnings

PINGS: Final = 20
FAR_SECONDS: Final = 0.003
"""A round trip that says: this Redis is not next to the servers."""
FULL: Final = 0.8
"""Of `maxmemory`, from which on somebody should look after it."""
PUBSUB_BYTES: Final = 8_388_608
"""Of wake-ups that may wait for one server process: below that a short pause of it costs it its connection."""


async def diagnose(link: Link) -> list[Finding]:
    """The findings; a server that does not tell its configuration (ACL) is taken at its word."""
    info, save, buffers = await link.ask_any(
        ("INFO",), ("CONFIG", "GET", "save"), ("CONFIG", "GET", "client-output-buffer-limit")
    )
    if isinstance(info, BaseException):
        return [Finding("store", "failure", explain(info, link.where).message)]
    facts = dict(re.findall(r"^(\w+):(.*?)\r?$", info.decode(), re.MULTILINE))
    found = [_server(link, facts), *(Finding("store", "warning", text) for text in warnings(facts, save))]
    found += [*_memory(facts), *_buffers(buffers), await _distance(link)]
    return found


def _server(link: Link, facts: dict[str, str]) -> Finding:
    name = f"Valkey {facts['valkey_version']}" if "valkey_version" in facts else f"Redis {facts.get('redis_version')}"
    kept = {"1": "an append-only file"}.get(facts.get("aof_enabled", ""), "snapshots, if any")
    copies = facts.get("connected_slaves", "0")
    return Finding("store", "ok", f"{name} at {link.where}, kept in {kept}, replicas: {copies}.")


def _memory(facts: dict[str, str]) -> list[Finding]:
    used, most = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
    if not most:
        return [
            Finding(
                "store memory",
                "warning",
                f"{used >> 20:,} MiB in use, and no `maxmemory`: when the machine is full, its kernel ends Redis.",
                "Set maxmemory below what the machine has, with maxmemory-policy noeviction.",
            )
        ]
    shown = f"{used >> 20:,} of {most >> 20:,} MiB in use."
    if used > FULL * most:
        return [
            Finding(
                "store memory", "warning", shown, "Raise maxmemory, or keep streams for a shorter time (`retention`)."
            )
        ]
    return [Finding("store memory", "ok", shown)]


def _buffers(answer: Any) -> list[Finding]:
    # "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
    words = answer[1].decode().split() if isinstance(answer, list) and len(answer) > 1 else []
    if "pubsub" not in words:
        return []
    hard, soft = (int(word) for word in words[words.index("pubsub") + 1 :][:2])
    least = min((limit for limit in (hard, soft) if limit), default=PUBSUB_BYTES)
    if least >= PUBSUB_BYTES:
        return []
    return [
        Finding(
            "store wake-ups",
            "warning",
            f"Redis cuts a server process off once {least:,} bytes of wake-ups wait for it.",
            f'Set client-output-buffer-limit to "pubsub {4 * PUBSUB_BYTES} {PUBSUB_BYTES} 60".',
        )
    ]


async def _distance(link: Link) -> Finding:
    times = []
    for _ in range(PINGS):
        began = time.perf_counter()
        [answer] = await link.ask_any(("PING",))
        if isinstance(answer, BaseException):
            return Finding("store distance", "failure", explain(answer, link.where).message)
        times.append(time.perf_counter() - began)
    times.sort()
    shown = f"A round trip takes {times[PINGS // 2] * 1000:.2f} ms, the slowest of {PINGS} {times[-1] * 1000:.1f} ms."
    if times[PINGS // 2] > FAR_SECONDS:
        return Finding("store distance", "warning", shown, "Put Redis into the zone of the servers.")
    return Finding("store distance", "ok", shown)
