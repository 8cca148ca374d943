"""Redis's errors in our words, and which of them are worth another attempt."""

from __future__ import annotations

import logging
from typing import Final

from redis import exceptions as redis
from redis.asyncio.sentinel import MasterNotFoundError

from tokentape.core.errors import StoreFull, StoreUnavailable, TokentapeError

log = logging.getLogger("tokentape.store")

_REFUSED: Final = (
    redis.NoScriptError,
    redis.AskError,  # and MovedError
    redis.TryAgainError,
    redis.ClusterDownError,  # and MasterDownError
    redis.ReadOnlyError,
    redis.BusyLoadingError,
)
_PERMANENT: Final = (redis.AuthenticationError, redis.AuthorizationError, redis.MaxConnectionsError)


def was_refused(error: object) -> bool:
    """Whether the command was certainly not done, and may be at the next attempt."""
    return isinstance(error, _REFUSED)


def may_pass(error: object) -> bool:
    """Whether another attempt may succeed soon. A server that is silent is not asked again: it may be busy."""
    if was_refused(error):
        return True
    return isinstance(error, redis.ConnectionError | redis.SlotNotCoveredError) and not isinstance(error, _PERMANENT)


def explain(error: BaseException, where: str) -> TokentapeError:
    """What a failed call raises. Messages of a server may quote what was written to it, so they are not passed on."""
    if isinstance(error, TokentapeError):
        return error
    if isinstance(error, redis.OutOfMemoryError):
        return StoreFull(f"Redis at {where} is out of memory (maxmemory): delete streams, or give it more.")
    if isinstance(error, redis.TimeoutError | TimeoutError):
        return StoreUnavailable(f"Redis at {where} did not answer in time. Whether it did the work is not known.")
    if isinstance(error, redis.BusyLoadingError):
        return StoreUnavailable(f"Redis at {where} is loading its data. Try again in a moment.")
    if isinstance(error, redis.AuthenticationError | redis.AuthorizationError | redis.NoPermissionError):
        return StoreUnavailable(f"Redis at {where} refuses this user: look at its password and its rights (ACL).")
    if isinstance(error, redis.MaxConnectionsError):
        return StoreUnavailable(f"All connections to Redis at {where} are in use. Try again in a moment.")
    if isinstance(error, redis.ReadOnlyError):
        return StoreUnavailable(f"Redis at {where} is a replica, which takes no writes: name its master, or Sentinel.")
    if isinstance(error, redis.ClusterDownError | redis.SlotNotCoveredError | redis.AskError | redis.TryAgainError):
        return StoreUnavailable(f"The Redis cluster at {where} is being rearranged, or a part is down. Try again.")
    if isinstance(error, redis.ResponseError):
        text = first_words(error)
        if text.startswith("MISCONF"):
            return StoreUnavailable(f"Redis at {where} takes no writes because it cannot save to its disk (MISCONF).")
        log.error("Redis at %s refused a command: %s", where, text)
        return StoreUnavailable(f"Redis at {where} refused a command: the operator finds more in the log.")
    if isinstance(error, MasterNotFoundError):
        return StoreUnavailable(
            f"No Sentinel at {where} can be reached and names its master: look at the name of the service, and at "
            "sentinel_user and sentinel_password where Sentinel asks for them."
        )
    if isinstance(error, redis.RedisError | OSError | redis.RedisClusterException):
        return StoreUnavailable(f"Redis at {where} cannot be reached. Try again later.")
    raise error


def first_words(error: BaseException) -> str:
    """The server's own message, without the command that redis-py quotes before it: that may hold anybody's text."""
    return str(error).rpartition("caused error: ")[2][:200]
