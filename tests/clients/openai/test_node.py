"""The `openai` package for Node.js, unmodified, against our server: one process, led through scene after scene."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from http_rig import Rig, running_server
from node import NodeScript, script
from scripted import FINISH, overloaded
from shortening import shortened

from tokentape.core.transcript import Transcript
from tokentape.hub.channels import RUN_STREAMS
from tokentape.providers.base import Part

SCRIPT = Path(__file__).with_name("use.mjs")
CALL = [
    Part("tool_call_delta", {"id": "call_1", "name": "look", "arguments": '{"at":'}),
    Part("tool_call_delta", {"id": "call_1", "arguments": '"東京"}'}),
    Part("tool_call", {"id": "call_1", "name": "look", "arguments": '{"at":"東京"}'}),
    Part("finish", {"reason": "tool_calls"}),
    None,
]
THOUGHT = [Part("reasoning", "Let me "), Part("reasoning", "see.")]
USAGE = Part("usage", {"input_tokens": 3, "output_tokens": 7})
WORDS = ["Once ", "upon ", "a ", "time, ", "in 京都…"]
TEXT = "".join(WORDS)


class Stage:
    """The script, and the server it plays against."""

    def __init__(self, rig: Rig, actor: NodeScript) -> None:
        self.rig = rig
        self._actor = actor

    async def ask(self, scene: str, *steps: Any, url: str | None = None, **given: Any) -> None:
        self.rig.provider.say(*steps)
        await self._actor.tell({"scene": scene, "url": url or self.rig.url, **given})

    async def answer(self) -> Any:
        return await self._actor.line()

    async def play(self, scene: str, *steps: Any, url: str | None = None, **given: Any) -> Any:
        await self.ask(scene, *steps, url=url, **given)
        return await self.answer()

    async def recorded(self, identity: str) -> str:
        """The text on the tape."""
        run = identity.removeprefix("chatcmpl-").removeprefix("resp_")
        transcript = Transcript()
        async with self.rig.services.hub.reading(RUN_STREAMS + run, "start", merge=False, run=run) as reader:
            async for item in reader:
                transcript.apply(item.event)
        return transcript.text(run)


async def test_the_sdk_for_node() -> None:
    async with running_server(limits__heartbeat=0.2) as rig, script(SCRIPT) as actor:
        stage = Stage(rig, actor)
        for scene in (_chat, _chat_tools, _pause, _chat_errors, _chat_stop_and_cut, _responses, _response_ends, _both):
            await scene(stage)


async def _chat(stage: Stage) -> None:
    seen = await stage.play("chat", *THOUGHT, *WORDS, USAGE, FINISH)
    assert (seen["text"], seen["reason"], seen["usage"]["total_tokens"]) == (TEXT, "stop", 10)
    assert await stage.recorded(seen["id"]) == TEXT
    assert await stage.play("chatHelper", *WORDS, FINISH) == {"text": TEXT}
    whole = await stage.play("chatWhole", *WORDS, FINISH)
    assert whole["text"] == whole["again"] == TEXT
    assert whole["id"] == f"chatcmpl-{whole['requestId']}"


async def _chat_tools(stage: Stage) -> None:
    for stream in (True, False):
        seen = await stage.play("chatRunTools", *CALL, "It ", "rains.", FINISH, stream=stream)
        assert seen == {"text": "It rains.", "places": ["東京"], "roles": ["user", "assistant", "tool", "assistant"]}
        assert stage.rig.provider.generations[-1].messages[-1]["content"] == "rain in 東京"


async def _pause(stage: Stage) -> None:
    beating = asyncio.Event()

    def look(brought: bytes) -> bool:
        if brought.count(b": hb") >= 2:
            beating.set()
        return False

    async with shortened(stage.rig.port, look) as port:
        for scene in ("chat", "respond"):
            beating.clear()
            await stage.ask(scene, "Once ", url=f"http://127.0.0.1:{port}")
            await beating.wait()
            stage.rig.provider.say("upon", FINISH)
            assert (await stage.answer())["text"] == "Once upon"


async def _chat_errors(stage: Stage) -> None:
    seen = await stage.play("chatError", "Once ", overloaded())
    assert (seen["text"], seen["error"], seen["code"]) == ("Once ", "APIError", "provider_overloaded")
    before = len(stage.rig.provider.generations)
    assert (await stage.play("chatWholeError", "Once ", overloaded()))["error"] == "InternalServerError"
    assert len(stage.rig.provider.generations) == before + 1


async def _chat_stop_and_cut(stage: Stage) -> None:
    stopped = await stage.play("chatStop", "Once ")
    assert (stopped["text"], stopped["reason"]) == ("Once ", "stop")
    assert stopped["stopped"] == ["Once ", "Once "]
    async with shortened(stage.rig.port, lambda brought: b"upon" in brought) as port:
        cut = await stage.play("chatCut", *WORDS[:2], url=f"http://127.0.0.1:{port}")
    assert (cut["text"], cut.get("reason")) == ("Once upon ", None)
    assert "error" in cut, "a cut answer was taken for a whole one"
    again = await stage.play("chatAgain", *WORDS[2:], FINISH, id=cut["id"])
    assert (again["text"], again["reason"]) == (TEXT, "stop")


async def _responses(stage: Stage) -> None:
    seen = await stage.play("respond", *THOUGHT, *WORDS, USAGE, FINISH)
    assert (seen["text"], seen["status"], seen["types"][-1]) == (TEXT, "completed", "response.completed")
    assert seen["numbers"] == list(range(len(seen["numbers"])))
    assert await stage.recorded(seen["id"]) == TEXT
    helped = await stage.play("respondHelper", *THOUGHT, "Looking.", *CALL)
    assert helped["text"] == helped["known"] == "Looking."
    assert [item["type"] for item in helped["output"]] == ["reasoning", "message", "function_call"]
    assert helped["output"][2]["arguments"] == '{"at":"東京"}'
    assert helped["items"][0]["content"] == [{"type": "input_text", "text": "Hello"}]
    whole = await stage.play("respondWhole", *WORDS, FINISH, previous=helped["id"])
    assert (whole["text"], whole["status"]) == (TEXT, "completed")
    asked = stage.rig.provider.generations[-1].messages
    assert [message["role"] for message in asked] == ["user", "assistant", "user"]
    background = await stage.play("respondBackground", *WORDS, FINISH)
    assert background["text"] == TEXT
    assert background["first"] > 2


async def _response_ends(stage: Stage) -> None:
    failed = await stage.play("respond", "Once ", overloaded())
    assert (failed["types"][-1], failed["status"]) == ("response.failed", "failed")
    assert (failed["text"], failed["error"], failed["code"]) == ("Once ", "APIError", "provider_overloaded")
    assert (await stage.play("respondHelperError", "Once ", overloaded()))["error"] == "APIError"
    cancelled = await stage.play("respondCancel", "Once ")
    assert (cancelled["text"], cancelled["status"]) == ("Once ", "cancelled")
    assert cancelled["cancelled"] == ["cancelled", "cancelled"]
    async with shortened(stage.rig.port, lambda brought: b"upon" in brought) as port:
        cut = await stage.play("respond", *WORDS[:2], url=f"http://127.0.0.1:{port}")
    assert "error" in cut, "a cut answer was taken for a whole one"
    assert (cut["text"], cut["status"]) == ("Once upon ", "in_progress")
    rest = await stage.play("respondAfter", *WORDS[2:], FINISH, id=cut["id"], after=cut["numbers"][-1])
    assert cut["text"] + rest["text"] == TEXT
    numbers = cut["numbers"] + rest["numbers"]
    assert numbers == sorted(set(numbers))
    nothing = await stage.play("respondAfter", id=cut["id"], after=numbers[-1])
    assert nothing == {"types": [], "numbers": []}
    assert (await stage.play("respondDelete", id=cut["id"]))["error"] == "NotFoundError"


async def _both(stage: Stage) -> None:
    assert await stage.play("models") == {"listed": ["scripted"], "one": "scripted", "unknown": "NotFoundError"}
    before = len(stage.rig.provider.generations)
    await stage.ask("impatient")
    await stage.rig.somebody_watches()
    await stage.rig.nobody_watches()
    stage.rig.provider.say("Once ", FINISH)
    assert await stage.answer() == {"text": "Once "}
    assert len(stage.rig.provider.generations) == before + 1, "a lost answer was paid for twice"
