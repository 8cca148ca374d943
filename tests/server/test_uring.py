"""Many sends in one system call are what as many calls of `send(2)` would be, whatever the sockets take."""

import errno
import logging
import random
import socket
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentape.hub.sending import OneByOne
from tokentape.server import uring
from tokentape.server.uring import ENTRIES, FEWEST, STAGE, Ring, RingSender


def has_io_uring() -> bool:
    try:
        Ring().close()
    except OSError:
        return False
    return True


# The kernel's, and switched off in many containers: nothing that an installation could add.
needs_ring = pytest.mark.skipif(not has_io_uring(), reason="io_uring is switched off on this machine")


@pytest.fixture
def pairs():
    """Makes connected sockets: ours, which do not block, and the other ends."""
    with ExitStack() as stack:

        def make(count: int, *, room: int = 0) -> list[SimpleNamespace]:
            made = []
            for _ in range(count):
                ours, theirs = map(stack.enter_context, socket.socketpair())
                for end in (ours, theirs):
                    end.setblocking(False)
                if room:
                    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
                made.append(SimpleNamespace(ours=ours, theirs=theirs))
            return made

        yield make


@pytest.fixture(params=[OneByOne, RingSender])
def sender(request):
    sender = request.param()
    yield sender
    sender.close()


def arrived(pair) -> bytes:
    data = b""
    while True:
        try:
            piece = pair.theirs.recv(1 << 20)
        except BlockingIOError:
            return data
        if not piece:
            return data
        data += piece


def test_all_get_the_same_bytes(sender, pairs) -> None:
    some = pairs(FEWEST)
    assert sender.send([(b"hello", [pair.ours for pair in some])]) is None
    assert [arrived(pair) for pair in some] == [b"hello"] * FEWEST


def test_each_gets_its_own_bytes(sender, pairs) -> None:
    some = pairs(100)
    assert sender.send([(b"%d" % place, [pair.ours]) for place, pair in enumerate(some)]) is None
    assert [arrived(pair) for pair in some] == [b"%d" % place for place in range(100)]


def test_a_content_for_nobody_shifts_nothing(sender, pairs) -> None:
    some = pairs(FEWEST)
    jobs = [(b"none", []), *((b"one", [pair.ours]) for pair in some[2:]), (b"two", [pair.ours for pair in some[:2]])]
    assert sender.send(jobs) is None
    assert [arrived(pair) for pair in some] == [b"two"] * 2 + [b"one"] * (FEWEST - 2)


def test_more_than_fit_into_one_system_call(sender, pairs) -> None:
    some = pairs(2 * ENTRIES + 44)
    jobs = [(b"one", [pair.ours for pair in some[:200]]), (b"two", [pair.ours for pair in some[200:]])]
    assert sender.send(jobs) is None
    assert [arrived(pair) for pair in some] == [b"one"] * 200 + [b"two"] * (len(some) - 200)


def test_many_rounds_of_any_length(sender, pairs) -> None:
    """The places in the ring go round, and past its end."""
    some = pairs(ENTRIES)
    sent = [b""] * ENTRIES
    for turn in range(100):
        count = 1 + turn * 37 % ENTRIES
        assert sender.send([(b"%d;" % turn, [pair.ours for pair in some[:count]])]) is None
        for place in range(count):
            sent[place] += b"%d;" % turn
    assert [arrived(pair) for pair in some] == sent


def test_who_is_full_or_gone_takes_less_and_the_others_all(sender, pairs) -> None:
    some = pairs(FEWEST + 4, room=4096)
    full, gone, shut = some[1], some[3], some[5]
    while True:
        try:
            full.ours.send(b"x" * 1000)
        except BlockingIOError:
            break
    gone.theirs.close()
    shut.ours.close()
    taken = sender.send([(b"hello", [pair.ours for pair in some])])
    assert taken == [0 if pair in (full, gone, shut) else 5 for pair in some]
    assert all(arrived(pair) == b"hello" for pair in some if pair not in (full, gone, shut))


def test_part_of_it_may_be_taken(sender, tcp_pairs) -> None:
    content = random.Random(1).randbytes(STAGE)
    taken = sender.send([(content, [pair.ours for pair in tcp_pairs])])
    assert taken is not None
    assert all(0 < count < len(content) for count in taken)
    for pair, count in zip(tcp_pairs, taken, strict=True):
        assert arrived(pair) == content[:count]


@pytest.fixture
def tcp_pairs():
    """TCP with small buffers, which takes a part of what is too much."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        made = []
        for _ in range(FEWEST):
            ours = stack.enter_context(socket.create_connection(listener.getsockname()))
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            ours.setblocking(False)
            theirs = stack.enter_context(listener.accept()[0])
            theirs.settimeout(0.2)
            made.append(SimpleNamespace(ours=ours, theirs=_Patient(theirs)))
        yield made


class _Patient:
    """Reads until nothing has come for a moment: over TCP bytes are on their way."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def recv(self, size: int) -> bytes:
        try:
            return self._socket.recv(size)
        except TimeoutError:
            raise BlockingIOError from None


def test_content_larger_than_the_stage(sender, pairs) -> None:
    some = pairs(FEWEST, room=2 * STAGE)
    large = b"x" * (STAGE + 1)
    taken = sender.send([(b"a", [some[0].ours]), (large, [pair.ours for pair in some[1:]])])
    counts = [1, *[len(large)] * (FEWEST - 1)] if taken is None else taken
    assert [len(arrived(pair)) for pair in some] == counts


def test_a_connection_that_gets_two_contents_gets_the_second_after_the_whole_first(sender, pairs) -> None:
    some = pairs(FEWEST, room=4096)
    twice = some[0].ours
    first, second = b"1" * 100_000, b"2" * 10
    taken = sender.send([(first, [twice]), (second, [twice]), (b"x", [pair.ours for pair in some[1:]])])
    assert taken is not None
    assert taken[0] < len(first)
    assert taken[1] == 0
    assert taken[2:] == [1] * (FEWEST - 1)
    assert arrived(some[0]) == first[: taken[0]]
    assert sender.send([(second, [twice]), (b"3", [twice]), (b"x", [pair.ours for pair in some[1:]])]) is None
    assert arrived(some[0]) == second + b"3"


@needs_ring
def test_nor_does_it_where_that_takes_two_system_calls(pairs, monkeypatch) -> None:
    """What goes at once is bounded; a connection that is full in the first call may have room in the second."""
    some = pairs(FEWEST, room=4096)
    twice, came = some[0], []
    send = Ring.send

    def then_read(ring, jobs):
        answer = send(ring, jobs)
        came.append(arrived(twice))
        return answer

    monkeypatch.setattr(Ring, "send", then_read)
    first, between, second = b"1" * 200_000, b"x" * 100_000, b"2" * 10
    sender = RingSender()
    taken = sender.send([(first, [twice.ours]), (between, [pair.ours for pair in some[1:]]), (second, [twice.ours])])
    assert taken is not None
    assert 0 < taken[0] < len(first)
    assert taken[-1] == 0
    assert b"".join(came) + arrived(twice) == first[: taken[0]]
    sender.close()


@given(
    st.lists(
        st.tuples(st.integers(0, 60_000), st.lists(st.integers(0, 19), min_size=1, max_size=20, unique=True)),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=60, deadline=None)
def test_what_arrives_is_what_was_said_to_be_taken(jobs) -> None:
    for kind in (OneByOne, RingSender):
        sender = kind()
        with ExitStack() as stack:
            pairs = [[stack.enter_context(end) for end in socket.socketpair()] for _ in range(20)]
            for ours, theirs in pairs:
                ours.setblocking(False)
                theirs.setblocking(False)
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 30_000)
            contents = [bytes([65 + place]) * size for place, (size, _) in enumerate(jobs)]
            given_out = [
                (content, [pairs[number][0] for number in numbers])
                for content, (_, numbers) in zip(contents, jobs, strict=True)
            ]
            taken = sender.send(given_out)
            everybody = [
                (number, content) for content, (_, some) in zip(contents, jobs, strict=True) for number in some
            ]
            counts = [len(content) for _, content in everybody] if taken is None else taken
            expected = [b""] * 20
            full = set()
            for (number, content), count in zip(everybody, counts, strict=True):
                assert not (count and number in full), "nothing follows a part"
                expected[number] += content[:count]
                if count < len(content):
                    full.add(number)
            assert [arrived(SimpleNamespace(theirs=theirs)) for _, theirs in pairs] == expected
        sender.close()


@needs_ring
def test_it_is_one_system_call(pairs, monkeypatch) -> None:
    sender = RingSender()
    some = pairs(100)
    sender.send([(b"a", [pair.ours for pair in some])])
    calls = []
    enter = sender._ring._call  # type: ignore[union-attr]
    monkeypatch.setattr(sender._ring, "_call", lambda *args: calls.append(args) or enter(*args))
    assert sender.send([(b"b", [pair.ours for pair in some])]) is None
    assert len(calls) == 1
    assert [arrived(pair) for pair in some] == [b"ab"] * 100
    sender.close()


@needs_ring
def test_an_interrupted_call_is_made_again(pairs, monkeypatch) -> None:
    sender = RingSender()
    some = pairs(10)
    sender.send([(b"a", [pair.ours for pair in some])])
    enter = sender._ring._call  # type: ignore[union-attr]
    troubles = [errno.EINTR, errno.EAGAIN, 0]

    def interrupted(*args):
        number = troubles.pop(0)
        if number:
            uring.ctypes.set_errno(number)
            return -1
        return enter(*args)

    monkeypatch.setattr(sender._ring, "_call", interrupted)
    assert sender.send([(b"b", [pair.ours for pair in some])]) is None
    assert troubles == []
    assert [arrived(pair) for pair in some] == [b"ab"] * 10
    sender.close()


@needs_ring
def test_a_ring_that_fails_is_not_used_again_and_nothing_is_lost_or_sent_twice(pairs, monkeypatch, caplog) -> None:
    sender = RingSender()
    some = pairs(10)
    sender.send([(b"a", [pair.ours for pair in some])])

    def broken(*_):
        uring.ctypes.set_errno(errno.ENXIO)
        return -1

    monkeypatch.setattr(sender._ring, "_call", broken)
    assert sender.send([(b"b", [pair.ours for pair in some])]) == [0] * 10
    assert "io_uring failed" in caplog.text
    assert sender.send([(b"c", [pair.ours for pair in some])]) is None
    assert [arrived(pair) for pair in some] == [b"ac"] * 10
    sender.close()


@pytest.mark.parametrize("refusal", [errno.ENOSYS, errno.EPERM, errno.ENOMEM])
def test_without_io_uring_it_works_all_the_same_and_says_so_once(pairs, monkeypatch, caplog, refusal) -> None:
    def refused():
        raise OSError(refusal, "refused")

    monkeypatch.setattr(uring, "Ring", refused)
    caplog.set_level(logging.INFO)
    sender = RingSender()
    some = pairs(10)
    for _ in range(3):
        assert sender.send([(b"a", [pair.ours for pair in some])]) is None
    assert [arrived(pair) for pair in some] == [b"aaa"] * 10
    assert len([record for record in caplog.records if "io_uring" in record.message]) == 1


@needs_ring
def test_a_kernel_that_takes_no_sends_is_one_without_io_uring(monkeypatch) -> None:
    monkeypatch.setattr(uring, "_OP_SEND", 255)
    with pytest.raises(OSError, match="does not send"):
        Ring()


@needs_ring
def test_it_leaves_no_descriptor(pairs) -> None:
    import os  # noqa: PLC0415

    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    sender = RingSender()
    some = pairs(0) or [socket.socketpair() for _ in range(FEWEST)]
    assert sender.send([(b"a", [ours for ours, _ in some])]) is None
    for ours, theirs in some:
        ours.close()
        theirs.close()
    sender.close()
    sender.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
