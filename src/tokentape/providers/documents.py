"""From the bytes of a provider's stream to the documents in it: the data of each server-sent event.

Law (tests/providers/test_documents.py): what comes out is what `core.sse` alone would read, however the bytes are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tokentape.core.errors import ProtocolError
from tokentape.core.sse import SseDecoder

Document = bytes | str
"""The JSON of one event, or an end mark. Bytes need not be UTF-8, and may have the event's line ends after them."""

_LF: Final = 0x0A
_CR: Final = 0x0D


class Documents:
    """Reads an event stream incrementally, with a short cut for what nearly every read from a provider is: whole
    events, each with one line of data and maybe its name before it.

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
        if self._between and data.endswith(b"}\n\n") and len(data) <= self._small and _CR not in data:
            start = data.find(_LF) + 1 if data.startswith(b"event: ") else 0
            if data.startswith(b"data: {", start) and data.find(_LF, start) == len(data) - 2:
                return (data[start + 6 :],)
            if (found := _whole(data)) is not None:
                return found
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


def _whole(data: bytes) -> list[Document] | None:
    """The documents of whole events, each `data: …` or that after `event: …`; None when any is more than that."""
    documents: list[Document] = []
    if data.startswith(b"data: "):
        documents += data[6:-2].split(b"\n\ndata: ")
        if data.count(b"\n") == 2 * len(documents):
            return documents
        documents.clear()
    for block in data[:-2].split(b"\n\n"):
        name, _, line = block.rpartition(b"\n")
        if not line.startswith(b"data: ") or (name and (not name.startswith(b"event: ") or _LF in name)):
            return None
        documents.append(line[6:])
    return documents
