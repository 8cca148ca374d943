"""The examples for Anthropic's SDKs run, and change little."""

import pytest
from client_examples import EXAMPLES, MAX_CHANGED, changed, run_node, run_python

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("kind", ["py", "mjs"])
async def test_little_changes_and_the_answer_is_the_tapes(tape, url, tmp_path, kind):
    assert changed("anthropic", kind) <= MAX_CHANGED
    env = {"TOKENTAPE_URL": url, "TOKENTAPE_KEY": "none", "MODEL": "quick"}
    path = EXAMPLES / "anthropic" / f"after.{kind}"
    if kind == "py":
        printed = await run_python(path, env)
        assert printed.startswith("Watch it at http")
        printed = printed.split("\n", 1)[1]
    else:
        printed = await run_node(path, tmp_path, {"@anthropic-ai/sdk": "@anthropic-ai/sdk"}, env)
    [run, *_] = tape.runs.list(limit=1)
    assert printed == await tape.run(run.id).text() + "\n"
