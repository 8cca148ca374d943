"""What Linux says of a process and its children: which they are, their CPU time, their memory."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class Stat:
    """The fields of `/proc/PID/stat` that are used here; times in clock ticks (proc_pid_stat(5))."""

    pid: int
    parent: int
    own_ticks: int
    """utime + stime, of all threads, also those that have ended."""
    reaped_ticks: int
    """cutime + cstime: of children that have ended and were waited for."""
    started: int
    """Ticks since boot: with the pid it names one process for good."""


def parse_stat(text: str) -> Stat:
    """One line of `/proc/PID/stat`. The name is in parentheses and may hold any character, parentheses too."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Stat(
        pid=int(head.split(" ", 1)[0]),
        parent=int(fields[1]),
        own_ticks=int(fields[11]) + int(fields[12]),
        reaped_ticks=int(fields[13]) + int(fields[14]),
        started=int(fields[19]),
    )


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of user-space memory; buffers of sockets are the kernel's and not in here."""

    rss: int
    anonymous: int
    """Not backed by a file: heap and stacks, which is what a watcher can cost."""

    def __sub__(self, other: Memory) -> Memory:
        return Memory(rss=self.rss - other.rss, anonymous=self.anonymous - other.anonymous)


def parse_rollup(text: str) -> Memory:
    """`/proc/PID/smaps_rollup`, whose figures are in KiB."""
    fields: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            fields[name] = int(rest[:-3]) * 1024
    return Memory(rss=fields["Rss"], anonymous=fields["Anonymous"])


def parse_tcp_pages(text: str) -> int:
    """The pages that all TCP sockets of the machine hold, from `/proc/net/sockstat`."""
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == "TCP:":
            return int(words[words.index("mem") + 1])
    raise ValueError("no line for TCP in sockstat")


def descendants(root: int, stats: Iterable[Stat]) -> list[Stat]:
    """A process and all that descend from it, parents first."""
    children: dict[int, list[Stat]] = {}
    found: list[Stat] = []
    for stat in stats:
        children.setdefault(stat.parent, []).append(stat)
        if stat.pid == root:
            found.append(stat)
    for stat in found:
        found.extend(children.get(stat.pid, ()))
    return found


def every_stat() -> list[Stat]:
    """All processes that can be seen; those that end meanwhile are left out."""
    stats = []
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                stats.append(parse_stat((entry / "stat").read_text("utf-8", "replace")))
    return stats


def tree(root: int) -> list[Stat]:
    return descendants(root, every_stat())


def own_seconds(stat: Stat) -> float:
    """User and system time of one process: what /proc shows in steps of 10 ms, from its CPU clock in ns.

    The clock's number is how clock_getcpuclockid(3) makes it on Linux: the pid inverted, and 2 for the scheduler's
    clock. Over a window of a second and a half the steps alone would be an error of some percent.
    """
    try:
        return time.clock_gettime((~stat.pid << 3) | 2)
    except OSError:
        return stat.own_ticks / TICKS_PER_SECOND


def cpu_seconds(root: int) -> float:
    """User and system time of a process, its children, and the children that have ended."""
    return sum(own_seconds(stat) + stat.reaped_ticks / TICKS_PER_SECOND for stat in tree(root))


def memory(root: int) -> Memory:
    """Memory of a process and its children together."""
    rss = anonymous = 0
    for stat in tree(root):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, KeyError):
            one = parse_rollup((PROC / str(stat.pid) / "smaps_rollup").read_text())
            rss += one.rss
            anonymous += one.anonymous
    return Memory(rss=rss, anonymous=anonymous)


def tcp_bytes() -> int:
    """What the kernel holds in the buffers of all TCP sockets."""
    return parse_tcp_pages((PROC / "net" / "sockstat").read_text()) * PAGE


def pin(root: int, core: int) -> None:
    """Puts all threads of a process and its children on one core, also those that chose another for themselves."""
    for stat in tree(root):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for thread in (PROC / str(stat.pid) / "task").iterdir():
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread.name), {core})
