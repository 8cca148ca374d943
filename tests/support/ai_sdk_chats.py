"""Chats of the AI SDK in a Node.js process, and what a test decides of the answers that they get."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from node import CLIENTS, Calls, calling

from tokentape.tape import Run, Tape

KINDS: Final = ("5", "6", "7", "7-socket")
"""The version, and whether over a WebSocket."""


class Chats:
    """The process, through which any number of chats may be under way."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._names = itertools.count()

    async def open(self, url: str, kind: str, chat: str, *, messages: Sequence[Any] = (), **options: Any) -> Chat:
        """A chat object; another one of the same chat is what a reload, or a second tab, would make."""
        version, _, socket = kind.partition("-")
        path = "api/chat" if socket else f"api/v{version}/chat"
        made = Chat(self, str(next(self._names)))
        await made.call(
            "open", id=chat, version=version, url=url + path, socket=bool(socket), messages=list(messages), **options
        )
        return made

    async def call(self, **order: Any) -> Any:
        answer = await self._calls.call(**order)
        assert "failed" not in answer, answer["failed"]
        return answer


class Chat:
    """One chat object of the SDK."""

    def __init__(self, chats: Chats, name: str) -> None:
        self._chats = chats
        self._name = name

    async def call(self, op: str, **order: Any) -> dict[str, Any]:
        return await self._chats.call(chat=self._name, op=op, **order)


@asynccontextmanager
async def chatting() -> AsyncIterator[Chats]:
    """The process."""
    async with calling(CLIENTS / "ai_sdk" / "chat.mjs") as calls:
        yield Chats(calls)


def answer(seen: Mapping[str, Any]) -> dict[str, Any]:
    """The last message, which is the assistant's."""
    message = seen["messages"][-1]
    assert message["role"] == "assistant", seen
    return message


def parts(seen: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return [part for part in answer(seen)["parts"] if part["type"] == kind]


def text(seen: Mapping[str, Any]) -> str:
    return "".join(part["text"] for part in parts(seen, "text"))


class Gate:
    """Holds what an iterator yields until the test opens it."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self.open = self._open.set
        self.wait = self._open.wait


async def said(items: Sequence[Any]) -> AsyncIterator[Any]:
    """Yields what an application would; waits at each gate."""
    for item in items:
        if isinstance(item, Gate):
            await item.wait()
        else:
            yield item


async def record(tape: Tape, chat: str, *items: Any) -> Run:
    """A run of the application's own, as the answer to a chat."""
    return await tape.record(said(items), metadata={"chat": chat})


async def told(tape: Tape, run: str, kind: str = "token") -> str:
    """What is on the tape."""
    found = [item.event.data async for item in tape.read(f"runs/{run}") if item.event.type == kind]
    return "".join(found)


async def watched_by(tape: Tape, stream: str, count: int) -> None:
    """Waits until so many watch a stream."""
    async with asyncio.timeout(60):
        while tape.hub.audience(stream) < count:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)
