"""What was asked for, kept on a stream of its own while somebody else may have to execute it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from tokentape.core.errors import StreamNotFound, TokentapeError
from tokentape.runs.request import RunRequest
from tokentape.stores.base import Append, Retention, Store, StreamConfig

_log = logging.getLogger(__name__)

PREFIX: Final = "$requests/"
KEPT_SECONDS: Final = 7 * 86_400
"""Should a run's end fail to delete it."""


class Orders:
    """The requests of runs that wait for a worker, or that may be restarted."""

    def __init__(self, store: Store, *, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now

    async def keep(self, run_id: str, request: RunRequest) -> None:
        """Writes a request down; raises what the store refuses."""
        name = PREFIX + run_id
        until = int((self._now() + KEPT_SECONDS) * 1000)
        await self._store.create(name, StreamConfig(retention=Retention(expires_at=until)))
        [answer] = await self._store.append([Append(stream=name, records=[msgspec.json.encode(request)], close=True)])
        if isinstance(answer, TokentapeError):
            raise answer

    async def find(self, run_id: str) -> RunRequest | None:
        """What was asked for; None when it is not kept, or was written by another version and cannot be read."""
        try:
            page = await self._store.read(PREFIX + run_id, 0, max_records=1)
            return msgspec.json.decode(page.records[0][1], type=RunRequest)
        except StreamNotFound:
            return None
        except (IndexError, msgspec.DecodeError) as error:
            _log.warning("the request of run %s cannot be read: %s", run_id, error)
            return None

    async def drop(self, run_id: str) -> None:
        """The run has ended; without effect when nothing is kept."""
        try:
            await self._store.delete(PREFIX + run_id)
        except StreamNotFound:
            pass
        except TokentapeError as error:
            # Its retention will see to it.
            _log.warning("the request of run %s was not deleted: %s", run_id, error)
