"""A state machine that does anything to a store, in any order, and compares it with a model."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine, Sequence
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tokentape.core.errors import CursorGone, StreamExists, StreamNotFound
from tokentape.stores.base import (
    Append,
    Appended,
    Fence,
    Leasing,
    Listing,
    Producer,
    Retention,
    Store,
    StreamConfig,
)
from tokentape.testing.store_model import Expected, Model, ModelLease, ModelStream

Result = TypeVar("Result")

NAMES = st.sampled_from(["a", "a/b", "b"])
LEASES = st.sampled_from(["l1", "l2"])
CONFIGS = st.sampled_from([
    StreamConfig(),
    StreamConfig(content_type="text/plain"),
    StreamConfig(retention=Retention(max_bytes=40)),
])  # fmt: skip
RECORDS = st.binary(max_size=12)
SEQUENCES = st.none() | st.sampled_from(["1", "10", "2", "3"])
PRODUCERS = st.none() | st.builds(Producer, st.sampled_from("pq"), st.integers(0, 1), st.integers(0, 2))
ENTRIES = st.fixed_dictionaries({
    "stream": NAMES,
    "pairs": st.lists(st.tuples(RECORDS, st.sampled_from(["k1", "k2", None])), max_size=4),
    "keyed": st.booleans(),
    "epoch": st.sampled_from(["any", "any", "right", "wrong"]),
    "producer": PRODUCERS,
    "sequence": SEQUENCES,
    "fence": st.sampled_from(["none", "none", "none", "held", "stale"]),
    "lease": LEASES,
    "close": st.sampled_from([False, False, False, True]),
})  # fmt: skip


class StoreMachine(RuleBasedStateMachine):
    """Subclass it, say how to `open` a store, and let its `TestCase` run.

    `reopens` names the ways in which the store can be closed, or killed, and opened again with all it had
    accepted; `reopen` does so.
    """

    reopens: ClassVar[Sequence[str]] = ()

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._model = Model()
        self.store: Store = self.run(self.open())

    @abstractmethod
    async def open(self) -> Store:
        """An entered, empty store."""

    async def reopen(self, way: str) -> Store:
        """Closes or abandons `self.store` in one of the `reopens` ways, and opens it again."""
        raise NotImplementedError(way)

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Runs one call of the store."""
        return self._runner.run(coroutine)

    def teardown(self) -> None:
        self.run(self.store.__aexit__(None, None, None))
        self._runner.close()

    @initialize(name=NAMES, config=CONFIGS)
    def begin(self, name: str, config: StreamConfig) -> None:
        self.create(name, config)

    @rule(name=NAMES, config=CONFIGS)
    def create(self, name: str, config: StreamConfig) -> None:
        known = self._model.streams.get(name)
        if known is not None and known.config != config:
            self._raises(StreamExists, self.store.create(name, config))
            return
        info, new = self.run(self.store.create(name, config))
        assert new == (known is None)
        if known is None:
            assert info.epoch not in {stream.epoch for stream in self._model.streams.values()}
            self._model.streams[name] = ModelStream(info.epoch, config)
        else:
            assert info.epoch == known.epoch

    @rule(drawn=st.lists(ENTRIES, min_size=1, max_size=5))
    def append(self, drawn: list[dict[str, Any]]) -> None:
        entries: list[Append] = []
        bounded: set[str] = set()
        for fields in drawn:
            entry = self._entry(fields)
            # Whether an earlier entry of the same batch has trimmed already is the store's own affair.
            if entry.stream not in bounded:
                entries.append(entry)
            stream = self._model.streams.get(entry.stream)
            if stream is not None and stream.config.retention.max_bytes:
                bounded.add(entry.stream)
        results = self.run(self.store.append(entries))
        assert len(results) == len(entries)
        for entry, result in zip(entries, results, strict=True):
            expected = self._model.append(entry)
            if isinstance(result, Appended):
                got = Expected(result.first, result.last, result.closed, list(result.offsets), result.duplicate)
                assert got == expected
                assert result.epoch == self._model.streams[entry.stream].epoch
            else:
                assert result.code == expected

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if self._model.streams.pop(name, None) is None:
            self._raises(StreamNotFound, self.store.delete(name))
        else:
            self.run(self.store.delete(name))

    @rule(name=NAMES, after=st.integers(0, 30), max_bytes=st.integers(1, 60), max_records=st.integers(1, 8))
    def read(self, name: str, after: int, max_bytes: int, max_records: int) -> None:
        call = self.store.read(name, after, max_bytes=max_bytes, max_records=max_records)
        stream = self._model.streams.get(name)
        if stream is None:
            self._raises(StreamNotFound, call)
            return
        last = len(stream.records)
        if after > last or after + 1 < stream.first:
            gone = self._raises(CursorGone, call)
            assert gone.details["reason"] == ("future" if after > last else "trimmed")
            return
        page = self.run(call)
        assert (page.epoch, page.last, page.closed) == (stream.epoch, last, stream.closed)
        count = len(page.records)
        assert page.records == list(enumerate(stream.records[after : after + count], after + 1))
        size = sum(len(record) for _, record in page.records)
        assert count <= max_records
        assert size <= max_bytes or count == 1
        if after + count < last and count < max_records:
            assert size + len(stream.records[after + count]) > max_bytes, "there was room for one more"

    @rule(name=LEASES, holder=st.sampled_from(["me", "you"]))
    def acquire(self, name: str, holder: str) -> None:
        if not isinstance(self.store, Leasing):
            return
        held = self._model.leases.get(name)
        lease = self.run(self.store.acquire(name, f"{holder}/{name}", seconds=3600))
        if lease is not None:
            assert held is None or lease.token > held.token
            self._model.leases[name] = ModelLease(lease.token)
        else:
            assert held is not None
            assert held.live

    @rule(name=LEASES)
    def release(self, name: str) -> None:
        if not isinstance(self.store, Leasing):
            return
        lease = self._model.leases.get(name)
        self.run(self.store.release(name, lease.token if lease is not None else 1))
        if lease is not None:
            del self._model.leases[name]

    @precondition(lambda self: bool(self.reopens))
    @rule(data=st.data())
    def close_and_open(self, data: st.DataObject) -> None:
        self.store = self.run(self.reopen(data.draw(st.sampled_from(list(self.reopens)))))
        for lease in self._model.leases.values():
            lease.live = False
        for stream in self._model.streams.values():
            stream.first = 1  # a killed store may have forgotten how far it had trimmed; see the invariant

    @invariant()
    def everything_is_as_in_the_model(self) -> None:
        for name, stream in self._model.streams.items():
            info = self.run(self.store.info(name))
            assert (info.epoch, info.config, info.last) == (stream.epoch, stream.config, len(stream.records))
            assert (info.closed, info.sequence) == (stream.closed, stream.sequence)
            self._check_trimmed(stream, info.first)
            assert info.bytes == sum(map(len, stream.retained))
        if isinstance(self.store, Listing):
            listed = self.run(self.store.list())
            assert [info.name for info in listed] == sorted(self._model.streams)
        if isinstance(self.store, Leasing):
            leases = {lease.name: ModelLease(lease.token, lease.live) for lease in self.run(self.store.leases())}
            assert leases == self._model.leases

    def _check_trimmed(self, stream: ModelStream, first: int) -> None:
        """Trimming is up to the store within bounds; the model follows it."""
        bound = stream.config.retention.max_bytes
        assert first >= stream.first, "a trimmed record came back"
        assert first <= max(1, len(stream.records)), "the newest record was trimmed"
        was = stream.first
        stream.first = first
        if not bound:
            assert first == 1
        elif len(stream.retained) > 1:
            assert sum(map(len, stream.retained)) <= bound
        if first > was:
            assert sum(map(len, stream.records[was - 1 :])) > bound, "trimmed without need"

    def _entry(self, fields: dict[str, Any]) -> Append:
        stream = self._model.streams.get(fields["stream"])
        lease = self._model.leases.get(fields["lease"])
        epoch = {"any": None, "right": stream.epoch if stream is not None else None, "wrong": "wrong"}
        token = lease.token if lease is not None else 1
        fence = {"none": None, "held": Fence(fields["lease"], token), "stale": Fence(fields["lease"], token - 1)}
        return Append(
            stream=fields["stream"],
            records=[record for record, _ in fields["pairs"]],
            keys=[key for _, key in fields["pairs"]] if fields["keyed"] else None,
            epoch=epoch[fields["epoch"]],
            producer=fields["producer"],
            sequence=fields["sequence"],
            fence=fence[fields["fence"]] if isinstance(self.store, Leasing) else None,
            close=fields["close"],
        )

    def _raises(self, kind: type[Exception], call: Coroutine[Any, Any, Any]) -> Any:
        try:
            self.run(call)
        except kind as error:
            return error
        raise AssertionError(f"{kind.__name__} was expected")
