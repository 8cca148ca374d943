"""What OpenAI's clients see of a server that was killed, through the next one on the same store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sdks import openai
from served import Served


def simulated(**options: Any) -> dict[str, Any]:
    return {"tokentape": {"simulated": {"rate": 0, "tokens": 12, **options}}}


def comparable(events: list[Any]) -> dict[int, Any]:
    return {event.sequence_number: event.to_dict() for event in events if not event.type.endswith(".delta")}


async def test_a_killed_server_is_an_error_and_the_next_one_knows_all(tmp_path: Path) -> None:
    async with (
        Served(tmp_path / "tape.db") as served,
        openai.AsyncOpenAI(base_url=f"{served.url}v1", api_key="x") as client,
    ):
        ask: dict[str, Any] = {"model": "simulated", "input": "Hello", "stream": True}
        whole = [event async for event in await client.responses.create(**ask, extra_body=simulated())]
        done = whole[0].response.id  # type: ignore[union-attr]

        cut: list[Any] = []
        stalled = simulated(fault="stall@5:50s")
        with pytest.raises(openai.APIConnectionError):  # noqa: PT012 - in mid-stream
            async for event in await client.responses.create(**ask, background=True, extra_body=stalled):
                cut.append(event)
                if event.type == "response.output_text.delta":
                    await served.kill()
        await served.start()

        # What was complete is so, with the same numbers.
        again = [event async for event in await client.responses.retrieve(done, stream=True)]
        assert comparable(again) == comparable(whole)
        after = await client.responses.retrieve(done, stream=True, starting_after=5)
        assert comparable([event async for event in after]) == {k: v for k, v in comparable(whole).items() if k > 5}

        # What was not says so, to whoever comes back and to whoever looks.
        identity = cut[0].response.id
        rest: list[Any] = []
        with pytest.raises(openai.APIError, match="not complete"):  # noqa: PT012 - as above
            async for event in await client.responses.retrieve(
                identity, stream=True, starting_after=cut[-1].sequence_number
            ):
                rest += [event]
        assert rest[-1].type == "response.failed"
        known = await client.responses.retrieve(identity)
        assert known.error is not None
        text = "".join(e.delta for e in [*cut, *rest] if e.type == "response.output_text.delta")
        assert (known.status, known.error.code, known.output_text) == ("failed", "interrupted", text)
        items = await client.responses.input_items.list(identity)
        assert items.data[0].content[0].text == "Hello"  # type: ignore[union-attr]
        with pytest.raises(openai.InternalServerError, match="not complete"):
            await client.chat.completions.retrieve(identity.removeprefix("resp_"))
