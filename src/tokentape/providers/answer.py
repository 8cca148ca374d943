"""One answer being read: bytes in from an exchange, parts out to a sink, all within the callback that read them.

Laws (tests/providers/test_http.py, tests/providers/test_answer.py):
- no task is woken per token: whoever waits in `turn` wakes when the sink is full, and when it is over;
- while the sink is full nothing is taken from it but the total: what is read already is held, within a bound;
- what was read before a connection broke is handed on before that is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from tokentape.core.errors import ProtocolError
from tokentape.providers.base import (
    PROVIDER_CUT,
    PROVIDER_PROTOCOL,
    PROVIDER_TIMEOUT,
    PROVIDER_UNREACHABLE,
    Pair,
    ProviderError,
    Timeouts,
)
from tokentape.providers.deadline import Deadline
from tokentape.providers.decoding import AnswerDecoder
from tokentape.providers.documents import Documents
from tokentape.providers.exchange import NOT_HTTP, Exchange, Head
from tokentape.providers.failures import Failures

if TYPE_CHECKING:
    from aiohttp.connector import Connection

    from tokentape.providers.intake import Intake

_log = logging.getLogger(__name__)

MAX_LINE: Final = 1_048_576
"""Bytes of one line, and of one event, of a stream."""
MAX_HELD: Final = 65_536
"""Bytes that are held for a sink that is full; beyond them the connection is not read (what is under way still comes:
a read of the transport at most)."""
MAX_COMPLAINT: Final = 65_536
"""Bytes that are read of the body of a refusal."""
COMPLAINT_WAIT: Final = 5.0
"""Seconds for that body."""
TRAILER_WAIT: Final = 5.0
"""Seconds to wait, when the answer is complete, for the usage and the end mark that should follow."""
DRAIN_WAIT: Final = 0.25
"""Seconds to wait, after the end mark, for the end of the response: with it the connection can be used again."""


class Putting(Protocol):
    """The half of a sink that is called from here; the other half is the caller's of `turn`."""

    def put(self, parts: Sequence[Pair]) -> bool:
        """See `base.Sink`."""
        ...


class Answer:
    """Reads one answer (see `exchange.Receiver`). Times are the loop's, which is monotonic; `inf` is no bound."""

    __slots__ = (
        "_aside",
        "_begun",
        "_between",
        "_complaint",
        "_complete",
        "_deadline",
        "_decoder",
        "_documents",
        "_ending",
        "_error",
        "_exchange",
        "_failures",
        "_full",
        "_head",
        "_held",
        "_held_bytes",
        "_loop",
        "_sink",
        "_timeouts",
        "_total",
        "_waiter",
        "first",
        "over",
    )

    def __init__(self, decoder: AnswerDecoder, sink: Putting, timeouts: Timeouts, failures: Failures) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._decoder = decoder
        self._sink = sink
        self._timeouts = timeouts
        self._failures = failures
        self._documents = Documents(MAX_LINE, MAX_LINE)
        self._total = now + (timeouts.total or inf)
        self.first = min(now + (timeouts.first_token or inf), self._total)
        """Until when there must be a part."""
        self._between = timeouts.between_tokens or inf
        self._deadline = Deadline(self._expired, self._total)
        self._exchange: Exchange | None = None
        self._head: Head | None = None
        self._begun = False
        self._complete = False
        self._complaint: bytearray | None = None
        self._full = False
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._ending: Callable[[], None] | None = None
        self._aside = False
        """Whether bytes are not for the decoder now: a complaint, or a full sink."""
        self._waiter: asyncio.Future[None] | None = None
        self.over = False
        self._error: Exception | None = None

    # The side of the task that waits

    def ask(self, connection: Connection, request: bytes, intake: Intake | None = None) -> None:
        """Sends the request; raises `aiohttp.ClientConnectionError` when that cannot be."""
        self._exchange = Exchange(connection, self, intake)
        self._deadline.set(self.first)
        self._exchange.send(request)

    async def turn(self) -> None:
        """Waits until the sink is full, or the answer over."""
        while not self._full and not self.over:
            self._waiter = self._loop.create_future()
            await self._waiter

    def resume(self) -> None:
        """The sink has room again."""
        if not self._full or self.over or self._exchange is None:
            return
        self._full = self._aside = False
        self._move_deadline()
        while self._held:
            data = self._held.popleft()
            self._held_bytes -= len(data)
            self.body_received(data)
            if self._full or self.over:
                return
        if self._ending is not None:
            self._ending()
        else:
            self._exchange.resume()

    def check(self) -> None:
        """Raises what the answer ended with, if that was an error."""
        if self._error is not None:
            raise self._error

    def abort(self) -> None:
        """Cuts the connection at once, unless the answer is over."""
        if not self.over:
            self._finish(None, cut=True)

    # The exchange's side

    def head_received(self, head: Head) -> None:
        """Decides whether this can be an answer."""
        self._head = head
        encoding = head.headers.get("Content-Encoding", "identity").lower()
        plain = encoding == "identity"
        kind = head.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if head.status != 200 or (plain and kind == "application/json"):
            self._complaint = bytearray()
            self._aside = True
            self._deadline.set(self._loop.time() + COMPLAINT_WAIT)
            if not plain:
                self._refuse()
        elif not plain:
            what = f"compressed its answer ({encoding[:20]!r}), which it was asked to send as it is"
            self._finish(self._failures.error(what, PROVIDER_PROTOCOL))

    def body_received(self, data: bytes) -> None:
        """Hands on what it brings. This is done for each token: what is rarer has methods of its own."""
        if self._aside:
            self._put_aside(data)
            return
        decoder = self._decoder
        try:
            parts = decoder.receive(self._documents.receive_data(data))
        except ProtocolError as error:
            self._finish(self._failures.error(f"went past a limit: {error.message}", PROVIDER_PROTOCOL))
            return
        if not parts or decoder.complete or decoder.ended:
            self._hand_on(parts)
            return
        try:
            has_room = self._sink.put(parts)
        except Exception as error:  # noqa: BLE001 - it is raised where the sink's owner waits
            self._finish(error)
            return
        self._begun = True
        if has_room:
            self._deadline.when = self._loop.time() + self._between
        else:
            self._wait_for_room()

    def end_received(self) -> None:
        """Says what came of it."""
        if self._complaint is not None:
            self._refuse()
        elif self._full:
            self._ending = self.end_received
        elif not self.over:
            self._end()

    def lost(self, error: Exception | None) -> None:
        """Says what that means for the answer."""
        if self._complaint is not None:
            self._refuse()
        elif self._full:
            self._ending = lambda: self.lost(error)
        elif self._complete:
            self._end()
        elif not self.over:
            self._finish(self._breach(error))

    # Reading

    def _hand_on(self, parts: Sequence[Pair]) -> None:
        decoder = self._decoder
        has_room = True
        if parts:
            try:
                has_room = self._sink.put(parts)
            except Exception as error:  # noqa: BLE001 - as above
                self._finish(error)
                return
        progress = bool(parts) or decoder.complete is not self._complete
        self._complete = decoder.complete
        if decoder.ended:
            self._finish(decoder.error)
        elif not has_room:
            self._wait_for_room()
        elif progress:
            self._move_deadline()

    def _wait_for_room(self) -> None:
        self._full = self._aside = True
        self._deadline.set(inf)  # no time counts against the provider but the total
        self._wake()

    def _move_deadline(self) -> None:
        self._begun = True
        self._deadline.set(self._loop.time() + (min(self._between, TRAILER_WAIT) if self._complete else self._between))

    def _put_aside(self, data: bytes) -> None:
        if self._complaint is not None:
            self._complaint += data
            if len(self._complaint) >= MAX_COMPLAINT:
                self._refuse()
        elif self._exchange is not None:
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes > MAX_HELD:
                self._exchange.pause()

    # Ending

    def _end(self) -> None:
        self._documents.receive_eof()
        self._hand_on(self._decoder.receive_eof())

    def _expired(self) -> None:
        if self._complaint is not None:
            self._refuse()
        elif self._complete:
            self._end()  # what is missing is only the trailer
        else:
            total = self._loop.time() >= self._total
            self._finish(too_late(self._failures, self._timeouts, begun=self._begun, total=total))

    def _refuse(self) -> None:
        if self.over or self._head is None or self._complaint is None:
            return
        said = bytes(self._complaint[:MAX_COMPLAINT])
        if self._head.status == 200:
            self._finish(self._failures.document(said))
        else:
            self._finish(self._failures.refused(self._head.status, self._head.headers, said))

    def _breach(self, error: Exception | None) -> ProviderError:
        what = "the connection was closed" if error is None else f"{type(error).__name__}: {error}"
        _log.warning("a provider's stream broke: %s", self._failures.clean(what))
        if self._head is not None:
            return self._failures.error("broke the connection before its answer was complete", PROVIDER_CUT)
        if isinstance(error, NOT_HTTP):
            return self._failures.error("did not answer in HTTP", PROVIDER_PROTOCOL)
        return self._failures.error("cannot be reached", PROVIDER_UNREACHABLE)

    def _finish(self, error: Exception | None, *, cut: bool = False) -> None:
        self.over = True
        self._error = error
        self._deadline.cancel()
        self._held.clear()
        # They hold each other: let go, they are freed without the collector.
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            if cut or error is not None:
                exchange.abort()
            else:
                exchange.drain(DRAIN_WAIT)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def too_late(failures: Failures, timeouts: Timeouts, *, begun: bool, total: bool) -> ProviderError:
    """Says which time-out has run out."""
    if total:
        what = f"did not finish its answer within {timeouts.total:g} s"
    elif begun:
        what = f"sent no further token within {timeouts.between_tokens:g} s"
    else:
        what = f"sent no token within {timeouts.first_token:g} s"
    return failures.error(what, PROVIDER_TIMEOUT)
