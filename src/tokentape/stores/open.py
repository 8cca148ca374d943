"""From a URL to a store."""

from __future__ import annotations

from typing import get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from tokentape.core.errors import SetupError
from tokentape.stores.base import Store
from tokentape.stores.memory import MemoryStore
from tokentape.stores.sqlite import Durability, SqliteStore

KNOWN = "memory://, sqlite:///relative.db, sqlite:////absolute.db or redis://host:6379/0"
REDIS = frozenset(
    f"{name}{suffix}" for name in ("redis", "rediss", "valkey", "valkeys") for suffix in ("", "+sentinel", "+cluster")
) | {"unix"}


def open_store(url: str) -> Store:
    """The store that a URL names, to be entered with `async with`; raises `SetupError` for a URL that names none.

    `memory://`; `sqlite:///relative.db` and `sqlite:////absolute.db`, with the option
    `?durability=normal|full`; `redis://…` and its kin, see `tokentape.stores.redis.url`.
    """
    parts = urlsplit(url)
    if parts.scheme == "memory":
        if parts.netloc or parts.path or parts.query:
            raise SetupError(f"{url!r} says too much: the store in memory is 'memory://'.")
        return MemoryStore()
    if parts.scheme == "sqlite":
        if parts.fragment:
            raise SetupError(f"{url!r} names no file: a '#' in a path is written %23.")
        return _open_sqlite(
            url, parts.netloc, unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True))
        )
    if parts.scheme in REDIS:
        return _open_redis(url)
    login, at, rest = url.rpartition("@")
    shown = f"…@{rest}" if at and login else url  # a login is nobody's business
    raise SetupError(f"{shown[:200]!r} is not the URL of a store. Use {KNOWN}.")


def is_shared(url: str) -> bool:
    """Whether several processes can use this store at once."""
    return urlsplit(url).scheme in REDIS


def _open_sqlite(url: str, host: str, path: str, options: dict[str, str]) -> SqliteStore:
    if host or len(path) < 2 or path.endswith("/"):
        raise SetupError(f"{url!r} names no file. Use {KNOWN}: after sqlite:// comes another / and then the path.")
    durability = options.pop("durability", "normal")
    if options:
        raise SetupError(f"The store's URL has the unknown option {min(options)!r}. Known: durability.")
    if durability not in get_args(Durability):
        raise SetupError(f"durability={durability!r} in the store's URL is neither 'normal' nor 'full'.")
    # The path of sqlite:///tape.db is /tape.db, and that of sqlite:////var/tape.db is //var/tape.db.
    return SqliteStore(path.removeprefix("/"), durability="full" if durability == "full" else "normal")


def _open_redis(url: str) -> Store:
    try:
        from tokentape.stores.redis import RedisStore  # noqa: PLC0415 - redis-py is an extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("redis", "hiredis"):
            raise
        raise SetupError("The store on Redis needs redis-py: pip install 'tokentape[redis]'.") from None
    return RedisStore(url)
