"""The examples: few lines change, and what they gain is real."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from client_examples import EXAMPLES, MAX_CHANGED, changed, run_node
from served import composed

from tokentape.cli.relay import Relay
from tokentape.client import Client
from tokentape.tape import Tape


@pytest.mark.parametrize("folder", ["ag_ui", "tanstack"])
def test_few_lines_change(folder: str) -> None:
    assert 0 < changed(folder, "mjs") <= MAX_CHANGED


async def test_the_answers_survive_a_cut(tmp_path: Path) -> None:
    async with (
        composed() as (tape, url),
        Relay("127.0.0.1", int(url.rstrip("/").rpartition(":")[2])) as relay,
        Client(url) as client,
    ):
        env = {"TOKENTAPE_URL": f"http://127.0.0.1:{relay.port}"}
        packages = {name: name for name in ("@ag-ui/client", "@tanstack/ai-client")}
        programs = {}
        for folder in ("ag_ui", "tanstack"):
            (tmp_path / folder).mkdir()
            path = EXAMPLES / folder / "after.mjs"
            programs[folder] = asyncio.create_task(run_node(path, tmp_path / folder, packages, env))
        await _speaking(tape, client, 2)
        assert relay.cut() >= 2
        printed = {(await program).strip() for program in programs.values()}
        runs = await client.runs()
        # One for each: the cut has not cost a second one.
        assert len(runs) == 2
        texts = set()
        for run in runs:
            events = [item.event async for item in client.watch(f"runs/{run.id}")]
            texts.add("".join(event.data for event in events if event.type == "token").strip())
        assert printed == texts != {""}


async def _speaking(tape: Tape, client: Client, count: int) -> None:
    """Waits until so many runs have said a few words, which their watchers have by now."""
    async with asyncio.timeout(40):
        heard: set[str] = set()
        while len(heard) < count:
            for run in await client.runs():
                if run.id not in heard and run.state == "running":
                    async for item in tape.read(f"runs/{run.id}"):
                        if item.cursor is not None and item.cursor.offset > 10:
                            heard.add(run.id)
                            break
            await asyncio.sleep(0.02)
