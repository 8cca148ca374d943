"""What is checked when the store is opened: whether this Redis can hold it, and what about it deserves a warning."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

from redis import exceptions as redis

from tokentape.core.errors import SetupError
from tokentape.stores.redis.errors import explain, first_words
from tokentape.stores.redis.link import Link

log = logging.getLogger("tokentape.store")

OLDEST: Final = (7, 0)
"""Scripts with flags, which append.lua relies on when memory is full, came with Redis 7.0; Valkey began as 7.2."""


async def check_server(link: Link) -> None:
    """Raises `SetupError` when the server cannot hold a store; logs what its operator should know."""
    info, save = await link.ask_any(("INFO",), ("CONFIG", "GET", "save"))
    if isinstance(info, BaseException):
        raise refused(info, link.where)
    facts = dict(re.findall(r"^(\w+):(.*?)\r?$", info.decode(), re.MULTILINE))
    version = facts.get("redis_version", "0")
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        raise SetupError(f"Redis at {link.where} is version {version}; tokentape needs 7.0 or later, or Valkey.")
    if facts.get("role") == "slave":
        raise SetupError(f"Redis at {link.where} is a replica: name its master, or use redis+sentinel://.")
    errors = await link.load_scripts()
    if errors:
        raise refused(errors[0], link.where)
    for warning in warnings(facts, save):
        log.warning("Redis at %s: %s", link.where, warning)


def warnings(facts: dict[str, str], save: Any) -> list[str]:
    """What puts streams at risk. `save` is what CONFIG GET answered, or an error where that is forbidden."""
    found = []
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(f"maxmemory-policy is {policy}: it drops streams when memory is full. Set it to noeviction.")
    if facts.get("aof_enabled") == "0" and save == [b"save", b""]:
        found.append("persistence is off: a restart loses all streams. Set appendonly yes, or save.")
    return found


def refused(error: BaseException, where: str) -> SetupError:
    """Why the store cannot be opened, and what to do."""
    if isinstance(error, redis.NoPermissionError | redis.AuthenticationError | redis.AuthorizationError):
        return SetupError(
            f"Redis at {where} refuses this user: look at its name, its password and its rights: tokentape needs "
            "+@read +@write +@scripting +@pubsub +@connection +info +time, "
            "its keys (~tape:*) and its channel (&tape:*)."
        )
    if isinstance(error, redis.ResponseError):
        return SetupError(f"Redis at {where} cannot be used: {first_words(error)}")
    return SetupError(f"{explain(error, where).message} Is it running, and is the URL right?")
