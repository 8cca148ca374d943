"""OpenAI's Responses through two servers on one Redis: what one began, the other goes on with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from http_rig import running_server
from redis_server import RedisServer
from scripted import FINISH
from sdks import openai

from tokentape.server import retries
from tokentape.stores.open import open_store

WORDS = ["Once ", "upon ", "a ", "time."]


async def test_what_one_instance_began_another_goes_on_with(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis:
        async with (
            running_server(store=open_store(redis.url)) as here,
            running_server(store=open_store(redis.url)) as there,
            openai.AsyncOpenAI(base_url=f"{here.url}/v1", api_key="x") as first,
            openai.AsyncOpenAI(base_url=f"{there.url}/v1", api_key="x") as second,
        ):
            here.provider.say(*WORDS[:2])
            seen: list[Any] = []
            ask: dict[str, Any] = {"model": "scripted", "input": "Hello", "background": True}
            stream = await first.responses.create(**ask, stream=True)
            async for event in stream:
                seen += [event]
                if event.type == "response.output_text.delta" and event.delta.endswith("upon "):
                    break
            await stream.close()
            identity = seen[0].response.id
            assert (await second.responses.input_items.list(identity)).data[0].content[0].text == "Hello"  # type: ignore[union-attr]
            rest = await second.responses.retrieve(identity, stream=True, starting_after=seen[-1].sequence_number)
            here.provider.say(*WORDS[2:], FINISH)
            seen += [event async for event in rest]
            assert "".join(e.delta for e in seen if e.type == "response.output_text.delta") == "".join(WORDS)
            numbers = [event.sequence_number for event in seen]
            assert numbers == sorted(set(numbers))
            # The same numbers to whoever reads it whole, wherever.
            for client in (first, second):
                whole = [event async for event in await client.responses.retrieve(identity, stream=True)]
                assert whole[-1].sequence_number == numbers[-1]

            there.provider.say("Yes.", FINISH)
            follow = await second.responses.create(model="scripted", input="Sure?", previous_response_id=identity)
            assert follow.output_text == "Yes."
            said = [message["content"] for message in there.provider.generations[-1].messages]
            assert said == ["Hello", "".join(WORDS), "Sure?"]

            running = await first.responses.create(**ask)
            await second.responses.cancel(running.id)
            assert (await first.responses.retrieve(running.id)).status == "cancelled"

            # An answer that was lost here is found there, by the SDK's own repeat.
            impatient = first.with_options(timeout=0.5, max_retries=0)
            with pytest.raises(openai.APITimeoutError):
                await impatient.responses.create(model="scripted", input="Lost?")
            async with asyncio.timeout(30):
                while not await there.services.store.list(retries.PREFIX):  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.01)
            here.provider.say("Found.", FINISH)
            repeat = {"x-stainless-retry-count": "1"}
            found = await second.responses.create(model="scripted", input="Lost?", extra_headers=repeat)
            assert found.output_text == "Found."
