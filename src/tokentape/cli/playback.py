"""How a command shows the events of a watch: as text for people, or as JSON lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from tokentape.cli.console import Console
from tokentape.client.session import Item, Wait
from tokentape.client.watch import Notice
from tokentape.core.events import Event


class Playback(Protocol):
    """Takes the items of a watch in order. `reason` is that of the last `done`, None before."""

    reason: str | None

    def show(self, item: Item) -> None: ...

    def close(self) -> None:
        """The watch is over, or was left."""
        ...


class JsonLines:
    """One line for each item: `{"cursor", "event"}`, or with `bare` the event alone, as the server sent it."""

    def __init__(self, console: Console, *, bare: bool = False) -> None:
        self._console = console
        self._bare = bare
        self.reason: str | None = None

    def show(self, item: Item) -> None:
        if item.event.type == "done":
            self.reason = _field(item.event.data, "reason")
        if self._bare:
            self._console.raw(item.record)
        else:
            cursor = msgspec.json.encode(str(item.cursor) if item.cursor is not None else None)
            self._console.raw(b'{"cursor":%b,"event":%b}' % (cursor, item.record))

    def close(self) -> None:
        pass


class Text:
    """The answer on stdout as it comes; everything else on stderr."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = False
        self._thinking = False
        self.reason: str | None = None

    def show(self, item: Item) -> None:
        event = item.event
        if event.type == "reasoning":
            self._thinking = True
            self._console.aside(_plain(event.data))
            return
        self._end_thinking()
        if event.type == "token":
            self._shown = True
            self._console.text(_plain(event.data))
        else:
            self._tell(event)

    def close(self) -> None:
        self._end_thinking()
        self._console.end_line()

    def _end_thinking(self) -> None:
        if self._thinking:
            self._thinking = False
            self._console.aside("\n")

    def _tell(self, event: Event) -> None:
        console, data = self._console, event.data
        match event.type:
            case "ready":
                if self._shown and _field(data, "outcome") in ("gone", "snapshot"):
                    console.note(f"from the beginning again ({_field(data, 'reason')}):", colour="yellow")
            case "start" | "tool_call_delta" | "usage":
                pass  # said by `done` and by the whole call
            case "reset":
                console.note(f"the answer starts anew ({_field(data, 'reason')}):", colour="yellow")
            case "done":
                self.reason = _field(data, "reason")
                console.note(_ending(data), dim=True)
            case "error":
                console.note(f"error: {_field(data, 'message')} ({_field(data, 'code')})", colour="red")
            case "message":
                console.line(f"{_field(data, 'role')}: {_field(data, 'content')}")
            case "tool_call":
                console.note(f"calls {_field(data, 'name')}({_field(data, 'arguments')})", colour="cyan")
            case "tool_result":
                console.note(f"result: {_field(data, 'output')}", colour="cyan")
            case "status" | "metadata" | "presence":
                console.note(f"{event.type}: {_plain(data)}", dim=True)
            case _:
                console.line(f"{event.type}: {_plain(data)}")


def _ending(data: Any) -> str:
    """`stop · 9 tokens in, 120 out`: the reason, and what the provider counted."""
    usage = data.get("usage") if isinstance(data, dict) else None
    if not isinstance(usage, dict) or "output_tokens" not in usage:
        return _field(data, "reason")
    about = "about " if usage.get("estimated") else ""
    counts = f"{about}{usage.get('input_tokens', '?')} tokens in, {usage['output_tokens']} out"
    return f"{_field(data, 'reason')} · {counts}"


def _field(data: Any, name: str) -> str:
    return _plain(data.get(name, "")) if isinstance(data, dict) else ""


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def playback(console: Console, *, bare: bool = False) -> Playback:
    """What the options ask for."""
    return JsonLines(console, bare=bare) if bare or console.as_json else Text(console)


def tell_connection(console: Console) -> Callable[[Notice], None]:
    """Says on stderr when the connection is lost, and when it is back."""
    lost = False

    def tell(notice: Notice) -> None:
        nonlocal lost
        if isinstance(notice, Wait):
            lost = True
            console.note(f"{notice.error.message} Trying again in {notice.seconds:.1f} s.", colour="yellow")
        elif lost:
            lost = False
            console.note("Connected again.", colour="green")

    return tell
