"""An agent of Pydantic AI as an iterator: what it says, and what it thinks."""

import os
from collections.abc import AsyncIterator

from pydantic_ai import Agent, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta, ThinkingPart, ThinkingPartDelta

# OPENAI_BASE_URL and OPENAI_API_KEY say where, as for OpenAI's own SDK.
agent = Agent(f"openai-chat:{os.environ.get('MODEL', 'gpt-5-mini')}", instructions="Be brief.", defer_model_check=True)


async def answer(question: str) -> AsyncIterator[str | dict[str, str]]:
    async with agent.run_stream_events(question) as events:
        async for event in events:
            match event:
                case (
                    PartStartEvent(part=TextPart(content=text))
                    | PartDeltaEvent(delta=TextPartDelta(content_delta=text))
                ):
                    yield text
                case (
                    PartStartEvent(part=ThinkingPart(content=str(thought)))
                    | PartDeltaEvent(delta=ThinkingPartDelta(content_delta=str(thought)))
                ):
                    yield {"type": "reasoning", "data": thought}
