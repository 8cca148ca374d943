"""The examples for the AI SDK run with each version, and change little."""

import asyncio

import pytest
from ai_sdk_chats import Gate, record, watched_by
from client_examples import EXAMPLES, MAX_CHANGED, changed, run_node

pytestmark = pytest.mark.asyncio(loop_scope="session")

AFTER = EXAMPLES / "ai_sdk" / "after.mjs"


async def test_little_changes_and_a_chat_is_answered_or_resumed(tape, url, tmp_path):
    assert changed("ai_sdk", "mjs") <= MAX_CHANGED
    env = {"TOKENTAPE_URL": url.rstrip("/")}
    # Nothing is being answered: it is sent.
    sent = tmp_path / "sent"
    sent.mkdir()
    printed = await run_node(AFTER, sent, {"ai": "ai7"}, env)
    [run, *_] = tape.runs.list(limit=1)
    assert run.metadata == {"chat": "my-chat"}
    assert printed == await tape.run(run.id).text() + "\n"

    # Something is: all versions show it at once.
    gate = Gate()
    run = await record(tape, "my-chat", "as it ", gate, "is written")
    watching = []
    for version in ("5", "6", "7"):
        folder = tmp_path / version
        folder.mkdir()
        watching.append(asyncio.create_task(run_node(AFTER, folder, {"ai": f"ai{version}"}, env)))
    await watched_by(tape, run.stream, len(watching))
    gate.open()
    assert await asyncio.gather(*watching) == ["as it is written\n"] * 3
