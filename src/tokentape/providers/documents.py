"""From the bytes of a provider's stream to the documents in it: the data of each server-sent event.

Law (tests/providers/test_documents.py): what comes out is what `core.sse` alone would read, however the bytes are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tokentape.core.errors import ProtocolError
from tokentape.core.sse import SseDecoder

Document = bytes | str
"""The JSON of one event, or an end mark. Bytes need not be UTF-8."""

_CR: Final = 0x0D


class Documents:
    """Reads an event stream incrementally, with a short cut for what nearly every read from a provider is: whole
    events, each with one line of data, or each with its name before that.

    `max_line` and `max_event` are in bytes; what is held, and when it raises `ProtocolError`, is as with `SseDecoder`.
    """

    __slots__ = ("_between", "_decoder", "_small")

    def __init__(self, max_line: int, max_event: int) -> None:
        self._decoder = SseDecoder(max_line, max_event)
        self._small = min(max_line, max_event)
        self._between = False
        """Whether the decoder stands between two events. The first bytes are always its: they may have a BOM."""

    def receive_data(self, data: bytes) -> Sequence[Document]:
        """Takes the next bytes; returns the documents that they complete. Raises `ProtocolError` past a cap."""
        if (
            self._between
            and _CR not in data
            and len(data) <= self._small
            and (documents := _whole(data) or _whole_named(data))
        ):
            return documents
        self._between = False
        documents = [event.data for event in self._decoder.receive_data(data)]
        self._between = data.endswith(b"\n\n") and self._alive()
        return documents

    def receive_eof(self) -> None:
        """Ends the stream; what was begun is discarded."""
        self._decoder.receive_eof()

    def _alive(self) -> bool:
        # Past a cap it raises at the call after the one that still had documents.
        try:
            self._decoder.receive_data(b"")
        except ProtocolError:
            return False
        return True


# Asked with methods that take just one argument: `startswith`, `find` and `endswith` parse theirs from a tuple, which
# costs as much as the splitting.


def _whole(data: bytes) -> Sequence[Document] | None:
    """The documents of whole events that are each `data: …`; None when any is more than that."""
    inner = data.removeprefix(b"data: ").removesuffix(b"\n\n")
    if len(inner) != len(data) - 8:
        return None
    documents = inner.split(b"\n\ndata: ")
    return documents if data.count(b"\n") == 2 * len(documents) else None


def _whole_named(data: bytes) -> Sequence[Document] | None:
    """The documents of whole events that are each `event: …` and then `data: …`; None when any is not just that."""
    inner = data.removeprefix(b"event: ").removesuffix(b"\n\n")
    if len(inner) != len(data) - 9:
        return None
    documents = [event.partition(b"\ndata: ")[2] for event in inner.split(b"\n\nevent: ")]
    # A line end more in one event, and one less in another, is a document that is empty.
    return documents if data.count(b"\n") == 3 * len(documents) and all(documents) else None
