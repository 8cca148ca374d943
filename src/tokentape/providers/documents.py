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

_LF: Final = 0x0A
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
        # Bytes are asked with what is cheap in C: `startswith`, `find` and their like parse their arguments from a
        # tuple, which is dearer than a copy; and `count` looks at each byte, where `in` has whole vectors of them.
        if self._between and len(data) <= self._small and _CR not in data:
            inner = data.removeprefix(b"data: ").removesuffix(b"\n\n")
            if len(inner) == len(data) - 8:
                documents = inner.split(b"\n\ndata: ")
                for document in documents:
                    if _LF in document:
                        break
                else:
                    return documents
            elif (named := _whole_named(data)) is not None:
                return named
        self._between = False
        read = [event.data for event in self._decoder.receive_data(data)]
        self._between = data.endswith(b"\n\n") and self._alive()
        return read

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


def _whole_named(data: bytes) -> Sequence[Document] | None:
    """The documents of whole events, each `data: …` after `event: …`; None when any is more than that."""
    inner = data.removeprefix(b"event: ").removesuffix(b"\n\n")
    if len(inner) != len(data) - 9:
        return None
    documents = []
    for event in inner.split(b"\n\nevent: "):
        name, has_data, document = event.partition(b"\ndata: ")
        if not has_data or _LF in name or _LF in document:
            return None
        documents.append(document)
    return documents
