"""The agent and its terminal, as processes: interrupted in mid-answer, cut off, killed, and begun again."""

from __future__ import annotations

import re
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from example_builds import EXAMPLES
from programs import Program, program
from served import Served

from tokentape.cli.relay import Relay
from tokentape.core.transcript import Message

FOLDER = EXAMPLES / "agent"
SOME = r".{60}"


def spoken(talk: Program) -> str:
    """What the terminal has shown of the answers, all of them."""
    return re.sub(r"\n(> [^\n]*|\[[^\]\n]*\])\n", "", talk.text)


async def test_who_speaks_in_mid_answer_interrupts_and_nothing_said_is_lost(tmp_path: Path) -> None:
    async with Served(tmp_path / "tape.db") as server, Relay("127.0.0.1", server.port) as relay:
        url = f"http://127.0.0.1:{relay.port}"
        async with AsyncExitStack() as stack:
            talk = await stack.enter_async_context(program(sys.executable, "talk.py", cwd=FOLDER, TOKENTAPE_URL=url))
            await talk.says(r"\[connected\]")
            agent = await stack.enter_async_context(program(sys.executable, "agent.py", cwd=FOLDER, TOKENTAPE_URL=url))
            await talk.says(r"\[here\]")
            await talk.tell("Why are there tides?")
            await talk.says(r"\[thinking 1\]\n" + SOME)
            # Both lose their connections; both come back to where they were.
            assert relay.cut() >= 2
            await talk.says("connection lost")
            before = len(spoken(talk))
            await talk.says(rf"tides\?\n.{{{before + 100},}}")
            await talk.tell("In one sentence?")
            await talk.says(r"> In one sentence\?\n.*\[interrupting r_\w+\]\n.*\[stopped\]\n.*" + SOME)

            async with server.client() as client:
                first, second = [message for message in await _said(client) if message.role == "assistant"]
                assert (first.state, second.state) == ("stopped", "running")
                assert len(str(first.content)) > before

                # Killed in mid-answer, the agent takes nothing with it. The next one answers what it has missed.
                await agent.end(signal.SIGKILL)
                await client.stop(second.run or "")
                await talk.tell("Are you there?")
                await talk.says(r"> Are you there\?")
                async with program(sys.executable, "agent.py", cwd=FOLDER, TOKENTAPE_URL=url):
                    await talk.says(r"> Are you there\?\n.*\[thinking 5\]\n" + SOME)
                    messages = await _said(client)
        assert [message.role for message in messages] == ["user", "assistant"] * 3
        assert spoken(talk).startswith(f"{messages[1].content}{messages[3].content}")


async def _said(client) -> list[Message]:
    return (await client.messages("talk", order="oldest")).items
