"""What a store should do, as plainly as it can be said: lists and dictionaries, and no shared code with any store."""

from __future__ import annotations

from dataclasses import dataclass, field

from tokentape.stores.base import Append, StreamConfig


@dataclass
class ModelLease:
    """The one lease of a name."""

    token: int
    live: bool = True


@dataclass
class ModelStream:
    """A stream as the list of all records that it ever accepted; those before `first` are trimmed."""

    epoch: str
    config: StreamConfig
    records: list[bytes] = field(default_factory=list)
    first: int = 1
    keys: dict[str, int] = field(default_factory=dict)
    producers: dict[str, tuple[int, int]] = field(default_factory=dict)
    sequence: str | None = None
    closed: bool = False

    @property
    def retained(self) -> list[bytes]:
        """The records from `first` on."""
        return self.records[self.first - 1 :]

    def known(self, key: str | None) -> int:
        """The offset of a retained record with this key, or 0."""
        offset = self.keys.get(key, 0) if key is not None else 0
        return offset if offset >= self.first else 0


@dataclass(frozen=True)
class Expected:
    """What an accepted append reports."""

    first: int
    last: int
    closed: bool
    offsets: list[int]
    duplicate: bool = False


@dataclass
class Model:
    """All streams and leases. An append answers with `Expected`, or with the code of its refusal."""

    streams: dict[str, ModelStream] = field(default_factory=dict)
    leases: dict[str, ModelLease] = field(default_factory=dict)

    def append(self, entry: Append) -> Expected | str:
        """Does what `Store.append` says, check by check."""
        stream = self.streams.get(entry.stream)
        if stream is None:
            return "stream_not_found"
        if entry.epoch is not None and entry.epoch != stream.epoch:
            return "gone"
        if entry.fence is not None:
            lease = self.leases.get(entry.fence.lease)
            if lease is None or lease.token != entry.fence.token:
                return "fenced"
        if (verdict := self._judge_producer(stream, entry)) not in ("new", "duplicate"):
            return verdict
        end = len(stream.records)
        if verdict == "duplicate":
            return Expected(end + 1, end, stream.closed, [0] * len(entry.records), duplicate=True)
        keys = entry.keys or [None] * len(entry.records)
        only_known = entry.keys is not None and len(keys) > 0 and all(stream.known(key) for key in keys)
        if stream.closed and not (only_known or (entry.close and not entry.records)):
            return "stream_closed"
        if entry.sequence is not None and stream.sequence is not None and entry.sequence <= stream.sequence:
            return "sequence_conflict"
        return self._accept(stream, entry)

    def _judge_producer(self, stream: ModelStream, entry: Append) -> str:
        if entry.producer is None:
            return "new"
        name, epoch, seq = entry.producer
        known_epoch, known_seq = stream.producers.get(name, (-1, -1))
        if epoch < known_epoch:
            return "stale_producer"
        if epoch == known_epoch and seq <= known_seq:
            return "duplicate"
        return "new" if seq == (known_seq + 1 if epoch == known_epoch else 0) else "sequence_conflict"

    def _accept(self, stream: ModelStream, entry: Append) -> Expected:
        begin = len(stream.records)
        offsets = []
        for record, key in zip(entry.records, entry.keys or [None] * len(entry.records), strict=True):
            offset = stream.known(key)
            if not offset:
                stream.records.append(record)
                offset = len(stream.records)
                if key is not None:
                    stream.keys[key] = offset
            offsets.append(offset)
        if entry.producer is not None:
            stream.producers[entry.producer.id] = (entry.producer.epoch, entry.producer.seq)
        if entry.sequence is not None:
            stream.sequence = entry.sequence
        stream.closed = stream.closed or entry.close
        return Expected(begin + 1, len(stream.records), stream.closed, offsets)
