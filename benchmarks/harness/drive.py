"""The programs of one measurement, typed: the server under test, the watchers, the provider."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from harness import proc
from harness.child import Answer, Child, ChildError
from harness.place import Place
from systems.system import System

STARTUP_SECONDS: Final = 40
"""LiteLLM's proxy needs more than ten of them on one core."""
ANSWER_SECONDS: Final = 10
CONNECT_SECONDS: Final = 30
"""In which all watchers must be connected; then the load client gives up and says how many there are."""


def number(answer: Answer, name: str) -> float:
    """A number out of an answer; an answer without it is an error, not a zero."""
    value = answer.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ChildError(f"{name} is missing in the answer {answer}")
    return float(value)


class Server:
    """A system under test, started alone on the server's core, and the publisher beside it when it needs one."""

    def __init__(self, place: Place, system: System, *, upstream: str = "") -> None:
        self.system = system
        self.emitted = 0
        """The sequence number of the last event that was asked for."""
        self._workdir = place.workdir()
        self._publisher: Child | None = None
        self._child: Child | None = None
        try:
            context = place.context(port=place.ports.free(), workdir=self._workdir, upstream=upstream)
            self._child = Child(
                system.name,
                system.command(context),
                core=place.cores.server,
                log=place.logs / f"{system.name}.log",
                cwd=self._workdir,
            )
            ready = self._child.answer(seconds=STARTUP_SECONDS, what="being ready", key="ready")
            self.port = int(number(ready, "port"))
            self.pid = int(number(ready, "pid"))
            if system.publisher is not None:
                self._publisher = Child(
                    f"{system.name}'s publisher",
                    system.publisher(context),
                    core=place.cores.client,
                    log=place.logs / f"{system.name}.publisher.log",
                    cwd=self._workdir,
                )
            self._core = place.cores.server
            self.pin()
        except BaseException:
            self.end()
            raise

    def pin(self) -> None:
        """Once more, for whatever was started since: nginx's workers, a thread pool."""
        assert self._child is not None
        proc.pin(self._child.pid, self._core)
        proc.pin(self.pid, self._core)

    def emit(self, rate: int, count: int) -> None:
        """Begins to make `count` events, `rate` per second; 0 is as fast as the system does it."""
        source = self._publisher or self._child
        assert source is not None
        answer = source.ask(f"start {rate} {count}", seconds=ANSWER_SECONDS)
        if answer.get("ok") is not True:
            raise ChildError(f"{source.name} refused to start: {answer}")
        self.emitted += count

    def all_out(self, *, seconds: float) -> None:
        """Waits until the server has been handed, or has handed over, the last event."""
        if self._publisher is not None:
            answer = self._publisher.ask(f"done {max(1, round(seconds))}", seconds=seconds + ANSWER_SECONDS)
            if answer.get("failed"):
                raise ChildError(f"{self._publisher.name} could not publish all: {answer.get('error', answer)}")
        else:
            assert self._child is not None
            self._child.answer(seconds=seconds, what="the last event being handed over", key="emitted")

    def cpu(self) -> float:
        return proc.cpu_seconds(self.pid)

    def client_cpu(self) -> float:
        """What the publisher took of the client's core."""
        return proc.cpu_seconds(self._publisher.pid) if self._publisher else 0.0

    def memory(self) -> proc.Memory:
        return proc.memory(self.pid)

    def end(self) -> None:
        for child in (self._publisher, self._child):
            if child is not None:
                child.end()
        shutil.rmtree(self._workdir, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Target(Protocol):
    """What watchers connect to."""

    @property
    def system(self) -> System: ...
    @property
    def port(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Provider:
    """The provider itself in a proxy's place: what the harness alone can do."""

    system: System
    port: int


@dataclass(frozen=True, kw_only=True)
class Connected:
    connected: int
    seconds: float
    p99_ms: float
    """Of one connection: from the first packet to the answer."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the watchers have seen since `measure`."""

    deliveries: int
    reads: int
    p50_us: float
    p90_us: float
    p99_us: float
    max_us: float
    gaps: int
    duplicates: int
    disconnected: int
    ended: int


class Watchers:
    """`load watch`: some thousand watchers in one process on the client's core."""

    def __init__(
        self,
        place: Place,
        target: Target,
        watchers: int,
        *,
        stalled: int = 0,
        slow: int = 0,
        window: int = 512,
        connect_seconds: int = CONNECT_SECONDS,
    ) -> None:
        self.watchers = watchers
        self._connect_seconds = connect_seconds
        self.good = watchers - stalled - slow
        system = target.system
        command = [str(place.bin / "load"), "watch", "--port", str(target.port), "--transport", system.transport]
        command += ["--path", system.path, "--watchers", str(watchers), "--window", str(window)]
        command += ["--connect-seconds", str(connect_seconds)]
        command += ["--stalled", str(stalled)] if stalled else []
        command += ["--slow", str(slow)] if slow else []
        self._workdir = place.workdir()
        try:
            if system.kind == "proxy":
                body = self._workdir / "body"
                body.write_bytes(system.body)
                command += ["--method", "POST", "--body", str(body)]
            command += options(system)
            self._child = Child("load", command, core=place.cores.client, log=place.logs / "load.log")
        except BaseException:
            shutil.rmtree(self._workdir, ignore_errors=True)
            raise

    def connect(self) -> Connected:
        """Connects all; fewer than all is an error that says how many there are."""
        self.begin("connect")
        return self.connected()

    def resume(self) -> Connected:
        """All connect again, each from where it was."""
        self.begin("resume")
        return self.connected()

    def begin(self, command: Literal["connect", "resume"]) -> None:
        """The first half of `connect` or `resume`: `connected` is the second."""
        self._child.tell(command)

    def has_answered(self) -> bool:
        return self._child.has_answered()

    def connected(self) -> Connected:
        seconds = self._connect_seconds + ANSWER_SECONDS
        answer = self._child.answer(seconds=seconds, what=f"{self.watchers:,} watchers being connected")
        connected = int(number(answer, "connected"))
        if connected < self.watchers:
            why = f": {answer['error']}" if answer.get("error") else ""
            raise ChildError(f"only {connected:,} of {self.watchers:,} watchers could connect{why}")
        return Connected(connected=connected, seconds=number(answer, "seconds"), p99_ms=number(answer, "p99_ms"))

    def cut(self) -> None:
        self._child.ask("cut", seconds=ANSWER_SECONDS)

    def measure(self) -> None:
        self._child.ask("measure", seconds=ANSWER_SECONDS)

    def missing(self, seq: int, *, seconds: float) -> int:
        """How many good watchers have not seen event `seq` when they have, or the time is over."""
        answer = self._child.ask(f"wait {seq} {seconds:.3f}", seconds=seconds + ANSWER_SECONDS)
        return int(number(answer, "missing"))

    def report(self) -> Report:
        answer = self._child.ask("report", seconds=ANSWER_SECONDS)
        latency = answer.get("latency_us")
        if not isinstance(latency, dict):
            raise ChildError(f"latency_us is missing in the answer {answer}")
        return Report(
            deliveries=int(number(answer, "deliveries")),
            reads=int(number(answer, "reads")),
            p50_us=number(latency, "p50"),
            p90_us=number(latency, "p90"),
            p99_us=number(latency, "p99"),
            max_us=number(latency, "max"),
            gaps=int(number(answer, "gaps")),
            duplicates=int(number(answer, "duplicates")),
            disconnected=int(number(answer, "disconnected")),
            ended=int(number(answer, "ended")),
        )

    def cpu(self) -> float:
        return proc.cpu_seconds(self._child.pid)

    def end(self) -> None:
        self._child.end()
        shutil.rmtree(self._workdir, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def options(system: System) -> list[str]:
    """How a system wants to be spoken to, as arguments of `load watch`."""
    arguments: list[str] = []
    for header in system.headers:
        arguments += ["--header", header]
    for message in system.hello:
        arguments += ["--hello", message]
    if system.subprotocol is not None:
        arguments += ["--subprotocol", system.subprotocol]
    if system.hello_binary:
        arguments.append("--hello-binary")
    if system.engineio:
        arguments.append("--engineio")
    if system.resume is not None:
        arguments += ["--resume", system.resume]
    return arguments


class Upstream:
    """`upstream`: a provider on the client's core that answers any POST with `rate` tokens per second."""

    def __init__(self, place: Place, *, rate: int, tokens: int) -> None:
        command: Sequence[str] = [str(place.bin / "upstream"), "--port", str(place.ports.free())]
        command = [*command, "--rate", str(rate), "--tokens", str(tokens)]
        self._child = Child("upstream", command, core=place.cores.client, log=place.logs / "upstream.log")
        try:
            ready = self._child.answer(seconds=ANSWER_SECONDS, what="being ready", key="port")
            self.port = int(number(ready, "port"))
        except BaseException:
            self.end()
            raise

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def late_p99_us(self) -> float:
        """By how much the provider itself was late with its tokens."""
        return number(self._child.ask("stats", seconds=ANSWER_SECONDS), "late_p99_us")

    def cpu(self) -> float:
        return proc.cpu_seconds(self._child.pid)

    def end(self) -> None:
        self._child.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
