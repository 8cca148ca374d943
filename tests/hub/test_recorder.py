"""The write side: one batch in each turn, one under way at a time, and an answer to everybody, whatever fails."""

import asyncio

import pytest

from tokentape.core.errors import StoreFull, StoreUnavailable
from tokentape.core.events import Event
from tokentape.hub import recorder
from tokentape.hub.recorder import COMMIT_BURST, COMMIT_SHARE, MAX_REST, Recorder
from tokentape.stores.base import Append, StreamConfig
from tokentape.stores.memory import MemoryStore
from tokentape.testing import ManualClock


def token(text: str) -> Event:
    return Event(type="token", run="r_1", data=text)


class Disk(MemoryStore):
    """Notes each batch; takes its time, and fails, as a test says."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock
        self.batches: list[list[str]] = []
        """The streams of each."""
        self.seconds = 0.0
        """What a commit takes, by the clock."""
        self.under_way = 0
        self.quick = asyncio.Event()
        """Else a batch is answered when this is set."""
        self.quick.set()
        self.failing = None

    def submit(self, batch):
        self.batches.append([item.stream for item in batch])
        self.clock.advance(self.seconds)
        if self.failing is not None:
            return self.failing(batch)
        if self.quick.is_set():
            return super().submit(batch)
        return asyncio.ensure_future(self._later(batch))

    async def _later(self, batch):
        self.under_way += 1
        assert self.under_way == 1, "one batch at a time"
        await self.quick.wait()
        self.under_way -= 1
        return self._append_all(batch)


class Plain(MemoryStore):
    """A store that has appends alone."""

    submit = None


@pytest.fixture
def clock(monkeypatch) -> ManualClock:
    """What a commit takes is not for the machine to say."""
    clock = ManualClock()
    monkeypatch.setattr(recorder, "monotonic", clock.monotonic)
    return clock


@pytest.fixture
async def disk(clock) -> Disk:
    disk = Disk(clock)
    for name in ("a", "b", *map(str, range(10))):
        await disk.create(name, StreamConfig())
    return disk


class Pen:
    """A recorder, and what it has told."""

    def __init__(self, store) -> None:
        self.accepted: list[tuple[str, str]] = []
        self.batches = 0
        self.recorder = Recorder(store, self._accept, self._commit)

    def _accept(self, stream, appended, placed, size) -> None:
        assert size == sum(len(entry.record) for entry in placed)
        self.accepted += [(stream, entry.event.data) for entry in placed]

    def _commit(self) -> None:
        self.batches += 1

    def append(self, stream: str, *texts: str) -> asyncio.Task:
        return asyncio.ensure_future(self.recorder.append(Append(stream=stream), [token(text) for text in texts]))


async def turns(count: int = 1) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_comes_in_one_turn_is_one_batch(disk):
    pen = Pen(disk)
    writers = [pen.recorder.writer(str(number)) for number in range(5)]
    for turn in range(3):
        for writer in writers * 2:
            writer.put([token(f"{turn}")])
        assert len(disk.batches) == pen.batches == turn
        await turns()
        assert len(disk.batches) == pen.batches == turn + 1
    assert disk.batches == [["0", "1", "2", "3", "4"]] * 3
    assert pen.accepted[:4] == [("0", "0"), ("0", "0"), ("1", "0"), ("1", "0")]
    answers = [pen.append("a", "x"), pen.append("a", "y"), pen.append("b", "z")]
    await asyncio.gather(*answers)
    assert disk.batches[3:] == [["a", "a", "b"]]


async def test_enough_writers_do_not_wait_for_the_end_of_the_turn(disk, monkeypatch):
    monkeypatch.setattr(recorder, "FULL_BATCH", 4)
    pen = Pen(disk)
    for number in range(10):
        pen.recorder.writer(str(number)).put([token("x")])
    assert disk.batches == [["0", "1", "2", "3"], ["4", "5", "6", "7"]]
    assert len(pen.accepted) == 8
    await turns()
    assert disk.batches[2:] == [["8", "9"]]
    await turns(5)
    assert len(disk.batches) == 3


async def test_what_comes_during_a_commit_is_the_next_batch_in_the_order_of_the_calls(disk, monkeypatch):
    monkeypatch.setattr(recorder, "FULL_BATCH", 4)
    pen = Pen(disk)
    disk.quick.clear()
    writers = [pen.recorder.writer("a"), *(pen.recorder.writer(str(number)) for number in range(8))]
    writers[0].put([token("0")])
    await turns(2)
    for number in range(1, 50):
        for writer in writers if number == 20 else writers[:1]:
            writer.put([token(f"{number}")])
        await turns(number % 3)
    assert disk.batches == [["a"]]
    disk.quick.set()
    await writers[0].flush()
    assert disk.batches == [["a"], ["a", *"01234567"]]
    assert [text for stream, text in pen.accepted if stream == "a"] == [f"{number}" for number in range(50)]


async def test_appends_keep_the_order_of_their_calls_when_the_store_is_slow(disk):
    pen = Pen(disk)
    disk.quick.clear()
    answers = []
    for number in range(30):
        answers.append(pen.append("a", f"{number}"))
        await turns(number % 3)
        if number % 10 == 9:
            disk.quick.set()
            await turns()
            disk.quick.clear()
    disk.quick.set()
    assert [answer.last for answer in await asyncio.gather(*answers)] == [*range(1, 31)]
    assert pen.accepted == [("a", f"{number}") for number in range(30)]
    assert pen.batches == len(disk.batches) < 30


async def test_a_caller_who_is_cancelled_takes_nothing_back(disk):
    pen = Pen(disk)
    disk.quick.clear()
    first, second = pen.append("a", "x"), pen.append("a", "y")
    await turns(2)
    first.cancel()
    await turns()
    disk.quick.set()
    assert (await second).last == 2
    assert pen.accepted == [("a", "x"), ("a", "y")]


# Rests


@pytest.fixture
async def rests(clock, monkeypatch) -> list[float]:
    """How long it has rested, by the clock: no time passes otherwise."""
    found: list[float] = []
    loop = asyncio.get_running_loop()

    def call_later(delay, callback, *args):
        def go() -> None:
            clock.advance(delay)
            callback(*args)

        found.append(delay)
        return loop.call_soon(go)

    monkeypatch.setattr(loop, "call_later", call_later)
    return found


@pytest.mark.parametrize("seconds", [0.0002, 0.001])
async def test_commits_take_a_share_of_the_time_and_no_more(disk, clock, rests, seconds):
    pen = Pen(disk)
    disk.seconds = seconds
    began = clock.monotonic()
    for _ in range(500):
        await pen.append("a", "x")
    elapsed = clock.monotonic() - began
    assert len(disk.batches) == 500
    spent = 500 * seconds
    assert spent <= COMMIT_SHARE * elapsed + COMMIT_BURST + seconds
    assert spent >= COMMIT_SHARE * elapsed * 0.95, "it has rested for longer than it owed"
    assert max(rests) <= MAX_REST


async def test_a_burst_needs_no_rest_and_time_pays_for_it(disk, clock, rests):
    pen = Pen(disk)
    disk.seconds = COMMIT_BURST / 4
    for _ in range(5):
        for _ in range(4):
            await pen.append("a", "x")
        assert rests == []
        clock.advance(1)


async def test_a_slow_commit_is_not_made_up_for_by_a_long_rest(disk, rests):
    pen = Pen(disk)
    disk.seconds = 1.0
    for _ in range(3):
        await pen.append("a", "x")
    assert rests == pytest.approx([MAX_REST] * 2)


# A store that fails


def raises(error):
    def fail(_batch):
        raise error

    return fail


def gives(settle):
    def give(batch):
        answer = asyncio.get_running_loop().create_future()
        settle(answer, len(batch))
        return answer

    return give


def later(fail):
    async def do(batch):
        await turns(3)
        return await fail(batch)

    return lambda batch: asyncio.ensure_future(do(batch))


FULL = StoreFull("The disk is full.")
UNKNOWN = RuntimeError("no")
FAULTS = {
    "refuses": (gives(lambda answer, count: answer.set_result([FULL] * count)), StoreFull),
    "raises": (raises(FULL), StoreFull),
    "raises anything": (raises(UNKNOWN), StoreUnavailable),
    "fails": (gives(lambda answer, _: answer.set_exception(FULL)), StoreFull),
    "fails with anything": (gives(lambda answer, _: answer.set_exception(UNKNOWN)), StoreUnavailable),
    "fails later": (later(gives(lambda answer, _: answer.set_exception(UNKNOWN))), StoreUnavailable),
    "cancels": (gives(lambda answer, _: answer.cancel()), StoreUnavailable),
    "cancels later": (later(gives(lambda answer, _: answer.cancel())), StoreUnavailable),
    "answers too little": (gives(lambda answer, count: answer.set_result([FULL] * (count - 1))), StoreUnavailable),
    "answers too much": (gives(lambda answer, count: answer.set_result([FULL] * (count + 1))), StoreUnavailable),
}


@pytest.mark.parametrize("plain", [False, True], ids=["submit", "append"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_fails_everybody_is_answered_and_it_goes_on(disk, monkeypatch, fault, plain):
    fail, error = FAULTS[fault]
    store = disk
    if plain:
        store = Plain()
        await store.create("a", StreamConfig())

        async def append(batch):
            return await fail(batch)

        good = store.append
        monkeypatch.setattr(store, "append", append)
    disk.failing = fail
    pen = Pen(store)
    writer = pen.recorder.writer("a")
    for _ in range(2):
        writer.put([token("w")])
        answered = await asyncio.wait_for(
            asyncio.gather(pen.append("a", "x"), pen.append("a", "y"), return_exceptions=True), 5
        )
        assert [type(answer) for answer in answered] == [error, error]
        with pytest.raises(error):
            await asyncio.wait_for(writer.flush(), 5)
    assert pen.accepted == []
    disk.failing = None
    if plain:
        monkeypatch.setattr(store, "append", good)
    assert (await asyncio.wait_for(pen.append("a", "z"), 5)).last == 1
    assert pen.accepted == [("a", "z")]
    await asyncio.wait_for(pen.recorder.aclose(), 5)


async def test_a_store_that_takes_no_batches_without_a_task(clock):
    store = Plain()
    await store.create("a", StreamConfig())
    pen = Pen(store)
    writer = pen.recorder.writer("a")
    for number in range(20):
        writer.put([token(f"{number}")])
        await turns(number % 3)
    await writer.flush()
    assert pen.accepted == [("a", f"{number}") for number in range(20)]
    assert pen.batches < 20


@pytest.mark.parametrize("full", [1, 64])
async def test_a_writer_keeps_count_of_what_is_not_settled_however_it_comes(disk, monkeypatch, full):
    monkeypatch.setattr(recorder, "FULL_BATCH", full)
    pen = Pen(disk)
    writers = [pen.recorder.writer(name, max_bytes=1000) for name in "ab"]
    expected = []
    for number in range(60):
        for writer in writers:
            texts = [f"{number}.{part}" for part in range(number * 7 % 4)]
            expected += [(writer.stream, text) for text in texts]
            assert writer.put([token(text) for text in texts]) is not writer.full
        await turns(number % 3)
        if number % 10 == 9:
            for writer in writers:
                await asyncio.wait_for(writer.flush(), 5)
    for stream in "ab":
        assert [text for name, text in pen.accepted if name == stream] == [t for name, t in expected if name == stream]
    for writer in writers:
        assert writer.put([token("x" * 990)]) is not writer.full
        await asyncio.wait_for(writer.flush(), 5)
        assert writer.put([token("y")])
        await asyncio.wait_for(writer.flush(), 5)


# The end


async def test_the_end_waits_for_what_was_handed_in(disk):
    pen = Pen(disk)
    await asyncio.wait_for(pen.recorder.aclose(), 5)  # there was nothing
    disk.quick.clear()
    first = pen.append("a", "x")
    await turns(2)
    second = pen.append("a", "y")
    closing = [asyncio.ensure_future(pen.recorder.aclose()) for _ in range(2)]
    await turns(3)
    closing[0].cancel()
    await turns(3)
    assert not closing[1].done()
    disk.quick.set()
    await asyncio.wait_for(closing[1], 5)
    assert pen.batches == len(disk.batches) == 2
    assert ((await first).last, (await second).last) == (1, 2)


async def test_the_end_waits_also_while_it_rests(disk):
    pen = Pen(disk)
    disk.seconds = 1.0
    await pen.append("a", "x")
    pen.recorder.writer("a").put([token("y")])
    await asyncio.wait_for(pen.recorder.aclose(), 5)
    assert pen.accepted == [("a", "x"), ("a", "y")]
