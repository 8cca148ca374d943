"""Sending over io_uring: one system call for a hundred sockets (Linux 5.6; see io_uring(7)).

A thousand calls of `send(2)` spend a fifth of their time on the way into the kernel and back, and on what the
interpreter does around each (docs/adr/0007). Here the calls are written into memory that the kernel shares, and one
`io_uring_enter(2)` carries them out. It returns when all are done: each is asked not to wait (MSG_DONTWAIT), so
nothing is ever under way between two flushes, and what a call says is what `send(2)` would have said.

Many systems have io_uring switched off (containers under Docker's default seccomp profile, for instance). Then it is a
system call for each socket, and nothing else changes.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import mmap
import os
import socket
import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate, chain
from struct import unpack_from
from typing import Final

from tokentape.hub.sending import Job, OneByOne

_log = logging.getLogger(__name__)

FEWEST: Final = 4
"""Sockets from which on the ring is the shorter way: it costs about as much as two system calls."""
ENTRIES: Final = 128
"""Calls in one system call; some 600 µs."""
STAGE: Final = 262_144
"""Bytes that one system call sends from; what is larger by itself is sent without the ring."""

# <linux/io_uring.h>; the numbers of the system calls are the same on all machines that Python supports.
_SETUP: Final = 425
_ENTER: Final = 426
_OFF_SQES: Final = 0x10000000
_GETEVENTS: Final = 1
_OP_SEND: Final = 26
_SEND_FLAGS: Final = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL if sys.platform == "linux" else 0
_SQE_BYTES: Final = 64
"""Opcode and descriptor, offset, address, length and flags of send(2), user_data, and more."""
_SQE_ADDRESS, _SQE_USER_DATA, _SQE_LONGS = 2, 4, 8
"""The places of these in words of 64 bits, and how many such words there are."""
_SQE_DESCRIPTOR, _SQE_LENGTH, _SQE_FLAGS, _SQE_INTS = 1, 6, 7, 16
"""The same in words of 32 bits."""
_CQE_WORDS: Final = 4
"""Words of 32 bits: user_data in two, the result, flags."""
_PASSING: Final = frozenset({errno.EINTR, errno.EAGAIN, errno.EBUSY})


class RingSender:
    """A `Sender` over io_uring where there is one, else one system call for each socket."""

    def __init__(self) -> None:
        self._plain = OneByOne()
        self._ring: Ring | None = None
        self._tried = False

    def send(self, jobs: Sequence[Job]) -> list[int] | None:
        if not jobs:
            return None
        contents, groups = zip(*jobs, strict=True)
        sockets = list(chain.from_iterable(groups))
        # Asked of all of it: also from one system call to the next, nothing may overtake the rest of a content.
        twice = len(jobs) > 1 and len(set(sockets)) < len(sockets)
        if twice or len(sockets) < FEWEST or not self._opened():
            return self._plain.send(jobs)
        if len(sockets) <= ENTRIES and sum(map(len, contents)) <= STAGE:
            return self._part(jobs)
        parts = _parts(jobs)
        taken: list[int] = []
        whole = True
        for part in parts:
            some = self._part(part)
            whole = whole and some is None
            taken += [len(content) for content, sockets in part for _ in sockets] if some is None else some
        return None if whole else taken

    def close(self) -> None:
        if self._ring is not None:
            self._ring.close()
            self._ring = None

    def _opened(self) -> bool:
        if not self._tried:
            self._tried = True
            try:
                self._ring = Ring()
            except OSError as error:
                _log.info("io_uring cannot be used here (%s): one system call for each write", error)
        return self._ring is not None

    def _part(self, jobs: Sequence[Job]) -> list[int] | None:
        ring = self._ring
        if ring is None or len(jobs[0][0]) > STAGE:
            return self._plain.send(jobs)
        taken, error = ring.send(jobs)
        if error is not None:
            _log.error("io_uring failed (%s): one system call for each write from now on", error)
            self.close()
        return taken


def _parts(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs in pieces that fit into one system call; content that is larger than the stage stands alone."""
    parts: list[list[Job]] = [[]]
    count = size = 0
    for content, sockets in jobs:
        start = 0
        while start < len(sockets):
            if count == ENTRIES or (count and size + len(content) > STAGE):
                parts.append([])
                count = size = 0
            some = sockets[start : start + ENTRIES - count]
            parts[-1].append((content, some))
            start += len(some)
            count += len(some)
            size += len(content)
    return parts


class Ring:
    """The memory that is shared with the kernel. Raises `OSError` where there is no io_uring, or it may not be used."""

    def __init__(self) -> None:
        if sys.platform != "linux" or sys.maxsize < 2**32:
            raise OSError(errno.ENOSYS, "only on 64-bit Linux")
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._call.argtypes = [ctypes.c_long] * 7
        self._call.restype = ctypes.c_long
        params = ctypes.create_string_buffer(120)
        self._fd = self._call(_SETUP, ENTRIES, ctypes.addressof(params), 0, 0, 0, 0)
        if self._fd < 0:
            raise _os_error()
        self._open = True
        try:
            self._map(params)
            self._probe()
        except BaseException:
            self.close()
            raise

    def _map(self, params: ctypes.Array[ctypes.c_char]) -> None:
        submit_entries, done_entries = unpack_from("<II", params, 0)
        # struct io_sqring_offsets at 40 and io_cqring_offsets at 80: head, tail, mask, entries, …
        _, submit_tail, *_, submit_array = unpack_from("<7I", params, 40)
        done_head, done_tail, _, _, _, done_entries_at = unpack_from("<6I", params, 80)
        size = max(submit_array + 4 * submit_entries, done_entries_at + 16 * done_entries)
        # One mapping has both rings since Linux 5.4 (IORING_FEAT_SINGLE_MMAP).
        rings = memoryview(mmap.mmap(self._fd, size, offset=0))
        calls = memoryview(mmap.mmap(self._fd, _SQE_BYTES * submit_entries, offset=_OFF_SQES))
        self._submit_tail = rings[submit_tail : submit_tail + 4].cast("I")
        self._submit_array = rings[submit_array : submit_array + 4 * submit_entries].cast("I")
        self._done_head = rings[done_head : done_head + 4].cast("I")
        self._done_tail = rings[done_tail : done_tail + 4].cast("I")
        self._done = rings[done_entries_at : done_entries_at + 16 * done_entries].cast("i")
        self._done_entries = done_entries
        self._longs, self._ints = calls.cast("q"), calls.cast("i")
        self._order = array("I", range(submit_entries))
        # What never changes of each call: what it does, and which one it is.
        calls[::_SQE_BYTES] = bytes([_OP_SEND]) * submit_entries
        self._ints[_SQE_FLAGS::_SQE_INTS] = array("i", [_SEND_FLAGS]) * submit_entries
        self._longs[_SQE_USER_DATA::_SQE_LONGS] = array("q", range(submit_entries))
        self._stage = mmap.mmap(-1, STAGE)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._stage))

    def _probe(self) -> None:
        """Sends once, since some systems let the ring be made and refuse what is asked of it."""
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            taken, error = self.send([(b"probe", [here])])
            if error is not None:
                raise error
            if taken is not None or there.recv(5) != b"probe":
                raise OSError(errno.EOPNOTSUPP, "it does not send")

    def send(self, jobs: Sequence[Job]) -> tuple[list[int] | None, OSError | None]:
        """What each socket took, as a `Sender` says it; the error is the ring's own, and it must not be used again.

        At most `ENTRIES` different sockets, and contents of `STAGE` bytes.
        """
        contents, groups = zip(*jobs, strict=True)
        staged = b"".join(contents)
        self._stage[: len(staged)] = staged
        sockets = list(chain.from_iterable(groups))
        sizes = list(map(len, contents))
        addresses = list(accumulate(sizes[:-1], initial=self._address))
        count = len(sockets)
        if set(map(len, groups)) != {1}:  # not each with a content of its own, as private streams have it
            sizes = [size for size, some in zip(sizes, groups, strict=True) for _ in some]
            addresses = [address for address, some in zip(addresses, groups, strict=True) for _ in some]
        self._ints[_SQE_DESCRIPTOR : count * _SQE_INTS : _SQE_INTS] = array("i", map(socket.socket.fileno, sockets))
        self._ints[_SQE_LENGTH : count * _SQE_INTS : _SQE_INTS] = array("i", sizes)
        self._longs[_SQE_ADDRESS : count * _SQE_LONGS : _SQE_LONGS] = array("q", addresses)
        error = self._enter(count)
        which, results = self._reap()
        if results == sizes:
            return None, error
        taken = [0] * count
        for call, result in zip(which, results, strict=True):
            taken[call] = max(result, 0)
        return taken, error

    def _enter(self, count: int) -> OSError | None:
        """Has the kernel carry out the first `count` calls; returns when all are done, or the ring has failed."""
        tail = self._submit_tail[0]
        # The calls stand at the beginning of their memory; which of them are meant goes round in the ring.
        at = tail % ENTRIES
        first = min(count, ENTRIES - at)
        self._submit_array[at : at + first] = self._order[:first]
        self._submit_array[: count - first] = self._order[first:count]
        self._submit_tail[0] = (tail + count) & 0xFFFFFFFF
        left = count
        while left or self._finished() < count:
            accepted = self._call(_ENTER, self._fd, left, count - self._finished(), _GETEVENTS, 0, 0)
            if accepted >= 0:
                left -= accepted
            elif ctypes.get_errno() not in _PASSING:
                return _os_error()
        return None

    def _finished(self) -> int:
        return (self._done_tail[0] - self._done_head[0]) & 0xFFFFFFFF

    def _reap(self) -> tuple[list[int], list[int]]:
        """Which calls are done, and what came of each."""
        head, count = self._done_head[0], self._finished()
        at = head % self._done_entries
        first = min(count, self._done_entries - at)
        done = self._done[at * _CQE_WORDS : (at + first) * _CQE_WORDS].tolist()
        done += self._done[: (count - first) * _CQE_WORDS].tolist()
        self._done_head[0] = (head + count) & 0xFFFFFFFF
        return done[0::_CQE_WORDS], done[2::_CQE_WORDS]

    def close(self) -> None:
        """Gives the descriptor back. The memory goes with the last view on it."""
        if self._open:
            self._open = False
            os.close(self._fd)


def _os_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, errno.errorcode.get(number, "error"))
