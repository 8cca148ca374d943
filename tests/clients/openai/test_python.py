"""The `openai` package for Python, unmodified, against our server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from http_rig import Rig, running_server
from scripted import FINISH, overloaded
from sdks import openai
from shortening import shortened

from tokentape.core.transcript import Transcript
from tokentape.hub.channels import RUN_STREAMS
from tokentape.providers.base import Part

ASK: dict[str, Any] = {"model": "scripted", "messages": [{"role": "user", "content": "Hello"}]}
ASK_RESPONSE: dict[str, Any] = {"model": "scripted", "input": "Hello"}
TOOL = {"name": "look", "description": "Looks", "parameters": {"type": "object", "properties": {}}}
CALL = [
    Part("tool_call_delta", {"id": "call_1", "name": "look", "arguments": '{"at":'}),
    Part("tool_call_delta", {"id": "call_1", "arguments": '"東京"}'}),
    Part("tool_call", {"id": "call_1", "name": "look", "arguments": '{"at":"東京"}'}),
]
THOUGHT = [Part("reasoning", "Let me "), Part("reasoning", "see.")]
CALLED = Part("finish", {"reason": "tool_calls"})
USAGE = Part("usage", {"input_tokens": 3, "output_tokens": 7, "reasoning_tokens": 2})
WORDS = ["Once ", "upon ", "a ", "time, ", "in 京都…"]
TEXT = "".join(WORDS)


def client_of(url: str, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", **options)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running_server() as running:
        yield running


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(rig.url) as made:
        yield made


async def recorded(rig: Rig, run: str) -> str:
    """The text on the tape."""
    transcript = Transcript()
    async with rig.services.hub.reading(RUN_STREAMS + run, "start", merge=False, run=run) as reader:
        async for item in reader:
            transcript.apply(item.event)
    return transcript.text(run)


def reattach(client: openai.AsyncOpenAI, identity: str, **query: Any) -> Any:
    """There is no method for it: the SDK's own way to call what it has none for."""
    return client.get(
        f"/chat/completions/{identity}/stream",
        cast_to=openai.types.chat.ChatCompletionChunk,
        options={"params": query},
        stream=True,
        stream_cls=openai.AsyncStream[openai.types.chat.ChatCompletionChunk],
    )


def content_of(chunk: openai.types.chat.ChatCompletionChunk) -> str:
    return "".join(choice.delta.content or "" for choice in chunk.choices)


# Chat Completions


async def test_a_chat_completion_streamed_whole_and_by_the_helper(rig: Rig, client: openai.AsyncOpenAI) -> None:
    texts = []
    rig.provider.say(*WORDS, USAGE, FINISH)
    stream = await client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    texts.append("".join(map(content_of, chunks)))
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (3, 7)
    assert chunks[-2].choices[0].finish_reason == "stop"
    run = stream.response.headers["tokentape-run"]
    assert {chunk.id for chunk in chunks} == {f"chatcmpl-{run}"}
    assert await recorded(rig, run) == TEXT

    rig.provider.say(*WORDS, FINISH)
    async with client.chat.completions.stream(**ASK) as helped:
        final = await helped.get_final_completion()
    texts.append(final.choices[0].message.content or "")

    rig.provider.say(*WORDS, FINISH)
    whole = await client.chat.completions.create(**ASK)
    texts.append(whole.choices[0].message.content or "")
    assert whole.id == f"chatcmpl-{whole._request_id}"
    # The same thing again, and as it was streamed.
    assert await client.chat.completions.retrieve(whole.id) == whole
    again = [chunk async for chunk in await reattach(client, whole.id)]
    assert (again[0].created, again[0].id) == (whole.created, whole.id)
    texts.append("".join(map(content_of, again)))
    assert texts == [TEXT] * 4


async def test_tools_and_reasoning_in_a_chat(rig: Rig, client: openai.AsyncOpenAI) -> None:
    tools: Any = [{"type": "function", "function": TOOL}]
    rig.provider.say(*THOUGHT, "Looking.", *CALL, CALLED, None)
    async with client.chat.completions.stream(**ASK, tools=tools, reasoning_effort="low") as helped:
        thought = ""
        async for event in helped:
            if event.type == "chunk" and event.chunk.choices:
                thought += getattr(event.chunk.choices[0].delta, "reasoning_content", None) or ""
        final = await helped.get_final_completion()
    rig.provider.say(*THOUGHT, "Looking.", *CALL, CALLED, None)
    whole = await client.chat.completions.create(**ASK, tools=tools)
    for choice in (final.choices[0], whole.choices[0]):
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content == "Looking."
        [call] = choice.message.tool_calls or []
        assert call.type == "function"
        assert (call.id, call.function.name, call.function.arguments) == ("call_1", "look", '{"at":"東京"}')
    assert thought == whole.choices[0].message.reasoning_content == "Let me see."  # type: ignore[attr-defined]
    asked = rig.provider.generations[0]
    assert asked.parameters == {"tools": tools, "reasoning_effort": "low"}


async def test_what_fails_is_the_sdks_own_error(rig: Rig, client: openai.AsyncOpenAI) -> None:
    rig.provider.say("Once ", overloaded())
    text = ""
    with pytest.raises(openai.APIError, match="busy") as raised:  # noqa: PT012 - it is raised in mid-stream
        async for chunk in await client.chat.completions.create(**ASK, stream=True):
            text += content_of(chunk)
    assert (text, raised.value.code) == ("Once ", "provider_overloaded")

    events: list[Any] = []
    rig.provider.say("Once ", overloaded())
    with pytest.raises(openai.APIError, match="busy"):  # noqa: PT012 - as above
        async for event in await client.responses.create(**ASK_RESPONSE, stream=True):
            events += [event]  # those before the error, too
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.code == "provider_overloaded"
    assert events[-1].response.output_text == "Once "
    known = await client.responses.retrieve(events[0].response.id)
    assert (known.status, known.output_text) == ("failed", "Once ")

    # A whole answer that fails is asked for once: what could be retried here was.
    for ask in (lambda: client.chat.completions.create(**ASK), lambda: client.responses.create(**ASK_RESPONSE)):
        before = len(rig.provider.generations)
        rig.provider.say("Once ", overloaded())
        with pytest.raises(openai.InternalServerError, match="busy"):
            await ask()
        assert len(rig.provider.generations) == before + 1


async def test_a_refusal_is_the_sdks_own_error(rig: Rig, client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.create(**{**ASK, "model": "unknown"})
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as many:
        await client.chat.completions.create(**ASK, n=3)
    assert many.value.param == "n"
    with pytest.raises(openai.BadRequestError) as wrong:
        await client.responses.create(**ASK_RESPONSE, temperature="hot")  # type: ignore[arg-type]
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve("resp_r_nothing")
    with pytest.raises(openai.BadRequestError) as builtin:
        await client.responses.create(**ASK_RESPONSE, tools=[{"type": "web_search"}])
    assert builtin.value.param == "tools[0].type"
    assert not rig.provider.generations


async def test_a_key_is_asked_for() -> None:
    async with running_server(auth__api_keys=["secret-of-16-chars"]) as rig:
        async with client_of(rig.url) as stranger:
            for ask in (stranger.models.list(), stranger.chat.completions.create(**ASK)):
                with pytest.raises(openai.AuthenticationError):
                    await ask
        async with openai.AsyncOpenAI(base_url=f"{rig.url}/v1", api_key="secret-of-16-chars") as known:
            assert (await known.models.list()).data[0].id == "scripted"
            assert (await known.models.retrieve("scripted")).owned_by == "scripted"


async def test_a_chat_is_stopped_and_keeps_its_text(rig: Rig, client: openai.AsyncOpenAI) -> None:
    rig.provider.say("Once ")
    stream = await client.chat.completions.create(**ASK, stream=True)
    text, reason = "", None
    async for chunk in stream:
        text += content_of(chunk)
        reason = chunk.choices[0].finish_reason or reason
        if text == "Once " and reason is None:
            for _ in range(2):
                stopped = await client.post(
                    f"/chat/completions/{chunk.id}/stop", cast_to=openai.types.chat.ChatCompletion
                )
                assert stopped.choices[0].message.content == "Once "
    assert (text, reason) == ("Once ", "stop")
    assert (await rig.services.runs.find(stream.response.headers["tokentape-run"])).reason == "stopped"


async def test_a_chat_that_was_cut_raises_and_is_taken_up_again(rig: Rig, client: openai.AsyncOpenAI) -> None:
    rig.provider.say(*WORDS[:2])
    text, identity = "", ""
    async with (
        shortened(rig.port, lambda brought: b"upon" in brought) as port,
        client_of(f"http://127.0.0.1:{port}") as unlucky,
    ):
        with pytest.raises(openai.APIConnectionError):  # noqa: PT012 - in mid-stream
            async for chunk in await unlucky.chat.completions.create(**ASK, stream=True):
                text += content_of(chunk)
                identity = chunk.id
    assert text == "Once upon "
    again = await reattach(client, identity)
    rig.provider.say(*WORDS[2:], FINISH)
    assert "".join([content_of(chunk) async for chunk in again]) == TEXT
    # From a cursor of the native format: what follows it, and no more.
    cursor = again.response.headers["tokentape-cursor"].replace("-0", "-3")
    rest = await reattach(client, identity.removeprefix("chatcmpl-"), **{"from": cursor})
    assert "".join([content_of(chunk) async for chunk in rest]) == "".join(WORDS[2:])


# Responses


async def test_a_response_streamed_whole_in_the_background_and_by_the_helper(
    rig: Rig, client: openai.AsyncOpenAI
) -> None:
    told = {"instructions": "Be brief.", "metadata": {"a": "b"}, "temperature": 0.5, "max_output_tokens": 9}
    for way in ("create", "stream", "whole", "background"):
        rig.provider.say(*THOUGHT, *WORDS, USAGE, FINISH)
        match way:
            case "create":
                events = [e async for e in await client.responses.create(**ASK_RESPONSE, **told, stream=True)]
                assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == TEXT
                assert [e.sequence_number for e in events] == list(range(len(events)))
                made = events[-1].response  # type: ignore[union-attr]
            case "stream":
                async with client.responses.stream(**ASK_RESPONSE, **told) as helped:
                    made = await helped.get_final_response()
            case "whole":
                made = await client.responses.create(**ASK_RESPONSE, **told)
            case _:
                begun = await client.responses.create(**ASK_RESPONSE, **told, background=True)
                assert begun.status in ("queued", "in_progress", "completed")
                # The helper, on a response that somebody else may have started.
                async with client.responses.stream(response_id=begun.id) as helped:
                    made = await helped.get_final_response()
        known = await client.responses.retrieve(made.id)
        assert way in ("stream", "background") or known == made  # the helper adds what it has parsed
        assert known.status == "completed"
        assert known.output_text == made.output_text == TEXT
        assert [item.type for item in known.output] == ["reasoning", "message"]
        assert known.output[0].content[0].text == "Let me see."  # type: ignore[union-attr,index]
        assert (known.instructions, known.metadata, known.temperature) == ("Be brief.", {"a": "b"}, 0.5)
        assert known.usage is not None
        assert (known.usage.total_tokens, known.usage.output_tokens_details.reasoning_tokens) == (10, 2)
        assert await recorded(rig, made.id.removeprefix("resp_")) == TEXT
        asked = rig.provider.generations[-1]
        assert asked.parameters == {"temperature": 0.5, "max_tokens": 9}
        assert [message["role"] for message in asked.messages] == ["system", "user"]


async def test_a_conversation_goes_on_with_what_was_called(rig: Rig, client: openai.AsyncOpenAI) -> None:
    tools: Any = [{"type": "function", **TOOL}]
    rig.provider.say("Looking.", *CALL, CALLED, None)
    async with client.responses.stream(**ASK_RESPONSE, tools=tools) as helped:
        first = await helped.get_final_response()
    call = first.output[1]
    assert call.type == "function_call"
    assert (call.call_id, call.name, call.arguments) == ("call_1", "look", '{"at":"東京"}')
    assert rig.provider.generations[0].parameters["tools"] == [{"type": "function", "function": TOOL}]

    rig.provider.say("Rain.", FINISH)
    output: Any = [{"type": "function_call_output", "call_id": "call_1", "output": "rain"}]
    second = await client.responses.create(model="scripted", input=output, previous_response_id=first.id)
    rig.provider.say("Yes.", FINISH)
    third = await client.responses.create(model="scripted", input="Sure?", previous_response_id=second.id)
    assert (third.output_text, third.previous_response_id) == ("Yes.", second.id)
    function = {"name": "look", "arguments": '{"at":"東京"}'}
    calls = [{"id": "call_1", "type": "function", "function": function}]
    assert rig.provider.generations[-1].messages == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Looking.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "assistant", "content": "Rain."},
        {"role": "user", "content": "Sure?"},
    ]
    with pytest.raises(openai.BadRequestError) as missing:
        await client.responses.create(**ASK_RESPONSE, previous_response_id="resp_r_nothing")
    assert missing.value.param == "previous_response_id"


async def test_input_items_are_kept_and_listed(rig: Rig, client: openai.AsyncOpenAI) -> None:
    given: Any = [{"role": "user", "content": f"Word {place}"} for place in range(25)]
    rig.provider.say("Yes.", FINISH)
    made = await client.responses.create(model="scripted", input=given)
    listed = [item async for item in client.responses.input_items.list(made.id, order="asc", limit=10)]
    assert [item.content[0].text for item in listed] == [item["content"] for item in given]  # type: ignore[union-attr]
    newest = await client.responses.input_items.list(made.id)
    assert newest.data[0].content[0].text == "Word 24"  # type: ignore[union-attr]
    assert (len(newest.data), newest.has_more) == (20, True)


async def test_a_response_is_gone_when_it_is_deleted_or_was_not_to_be_stored(
    rig: Rig, client: openai.AsyncOpenAI
) -> None:
    rig.provider.say("Yes.", FINISH)
    made = await client.responses.create(**ASK_RESPONSE)
    await client.responses.delete(made.id)
    rig.provider.say("Yes.", FINISH)
    unstored = await client.responses.create(**ASK_RESPONSE, store=False)
    assert unstored.output_text == "Yes."
    for identity in (made.id, unstored.id):
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(identity)
        with pytest.raises(openai.NotFoundError):
            await client.responses.input_items.list(identity)
    rig.provider.say("Yes")
    running = await client.responses.create(**ASK_RESPONSE, background=True)
    with pytest.raises(openai.ConflictError):
        await client.responses.delete(running.id)


async def test_a_response_is_cancelled_for_all_who_watch(rig: Rig, client: openai.AsyncOpenAI) -> None:
    rig.provider.say("Once ")
    events: list[Any] = []
    async for event in await client.responses.create(**ASK_RESPONSE, background=True, stream=True):
        events.append(event)
        if event.type == "response.output_text.delta":
            for _ in range(2):
                cancelled = await client.responses.cancel(events[0].response.id)
                assert (cancelled.status, cancelled.output_text) == ("cancelled", "Once ")
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.status == "cancelled"
    assert events[-1].response.output[0].status == "incomplete"


async def test_a_response_that_was_cut_raises_and_goes_on_after_any_event(rig: Rig, client: openai.AsyncOpenAI) -> None:
    rig.provider.say(*WORDS[:2])
    seen: list[Any] = []
    async with (
        shortened(rig.port, lambda brought: b"upon" in brought) as port,
        client_of(f"http://127.0.0.1:{port}") as unlucky,
    ):
        with pytest.raises(openai.APIConnectionError):  # noqa: PT012 - in mid-stream
            async for event in await unlucky.responses.create(**ASK_RESPONSE, background=True, stream=True):
                seen += [event]
    identity, last = seen[0].response.id, seen[-1].sequence_number
    rest = await client.responses.retrieve(identity, stream=True, starting_after=last)
    rig.provider.say(*WORDS[2:], FINISH)
    seen += [event async for event in rest]
    assert "".join(e.delta for e in seen if e.type == "response.output_text.delta") == TEXT
    assert [e.sequence_number for e in seen] == list(range(len(seen)))

    # After each number there may be, also between the events of one of ours: the same events, with these numbers.
    whole = {event.sequence_number: event for event in seen if event.type != "response.output_text.delta"}
    for number in range(-1, len(seen)):
        rest = [event async for event in await client.responses.retrieve(identity, stream=True, starting_after=number)]
        others = [event for event in rest if event.type != "response.output_text.delta"]
        assert others == [event for place, event in whole.items() if place > number]
        text = "".join(e.delta for e in rest if e.type == "response.output_text.delta")
        assert text == "".join(WORDS[max(0, number - 3) :])
    with pytest.raises(openai.BadRequestError):
        await client.responses.retrieve(identity, stream=True, starting_after=len(seen))
    async with client.responses.stream(response_id=identity, starting_after=last) as helped:
        numbers = [event.sequence_number async for event in helped]
        assert numbers[0] > last


# Both


@pytest.mark.parametrize("server", ["ours", "uvicorn"])
async def test_an_answer_that_was_lost_is_not_paid_for_twice(server: str) -> None:
    """The SDK gives up waiting, and asks again by itself: it gets the answer that it had asked for."""
    async with running_server(server=server) as rig, client_of(rig.url, timeout=0.5, max_retries=4) as impatient:

        async def chat() -> str:
            return (await impatient.chat.completions.create(**ASK)).choices[0].message.content or ""

        async def respond() -> str:
            return (await impatient.responses.create(**ASK_RESPONSE)).output_text

        for ask in (chat, respond):
            before = len(rig.provider.generations)
            asking = asyncio.create_task(ask())
            await rig.somebody_watches()
            await rig.nobody_watches()
            rig.provider.say("Once ", FINISH)
            assert await asking == "Once "
            assert len(rig.provider.generations) == before + 1


async def test_an_equal_question_is_a_new_one_unless_it_has_the_same_key(rig: Rig, client: openai.AsyncOpenAI) -> None:
    for text in ("Once", "Twice"):
        rig.provider.say(text, FINISH)
        assert (await client.chat.completions.create(**ASK)).choices[0].message.content == text
    rig.provider.say("Three", FINISH)
    for _ in range(2):
        keyed = await client.chat.completions.create(**ASK, extra_headers={"Idempotency-Key": "mine"})
        assert keyed.choices[0].message.content == "Three"


async def test_runs_on_a_channel_are_told_apart(rig: Rig, client: openai.AsyncOpenAI) -> None:
    """What only tokentape can do is asked for in a member of its own."""
    made = []
    for words in (WORDS, ["Twice ", "upon"]):
        rig.provider.say(*words, FINISH)
        body: Any = {"tokentape": {"channel": "room"}}
        made.append(await client.responses.create(**ASK_RESPONSE, extra_body=body))
    for response, words in zip(made, (WORDS, ["Twice ", "upon"]), strict=True):
        assert response.output_text == "".join(words)
        events = [event async for event in await client.responses.retrieve(response.id, stream=True, starting_after=4)]
        assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == "".join(words[1:])
        chat = [chunk async for chunk in await reattach(client, response.id.removeprefix("resp_"))]
        assert "".join(map(content_of, chat)) == "".join(words)
    with pytest.raises(openai.ConflictError):
        await client.responses.delete(made[0].id)
    with pytest.raises(openai.BadRequestError):
        await client.responses.create(**ASK_RESPONSE, extra_body={"tokentape": {"room": "room"}})


async def test_a_page_of_another_origin_may_use_the_sdk() -> None:
    async with running_server(cors__origins=["https://app.example"]) as rig:
        asked = "authorization,content-type,x-stainless-retry-count,x-stainless-runtime-version,x-stainless-timeout"
        headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        reply = await rig.ask("OPTIONS", "/v1/responses", **headers, Access_Control_Request_Headers=asked)
        assert reply.status == 200


async def test_a_server_that_goes_away_is_an_error(rig: Rig, client: openai.AsyncOpenAI) -> None:
    """What was being said is interrupted; nobody takes it for a whole answer."""
    rig.provider.say("Once ")
    chat = await client.chat.completions.create(**ASK, stream=True)
    response = await client.responses.create(**ASK_RESPONSE, stream=True)

    async def read(stream: Any) -> None:
        async for _ in stream:
            pass

    reading = [asyncio.create_task(read(chat)), asyncio.create_task(read(response))]
    await rig.services.runs.drain(0)
    for task in reading:
        with pytest.raises(openai.APIError):
            await task


async def test_a_pause_is_no_end() -> None:
    """Comments keep the connection alive, and no SDK trips over one."""
    beating = asyncio.Event()

    def look(brought: bytes) -> bool:
        if brought.count(b": hb") >= 2:
            beating.set()
        return False

    async with (
        running_server(limits__heartbeat=0.1) as rig,
        shortened(rig.port, look) as port,
        client_of(f"http://127.0.0.1:{port}") as client,
    ):
        for make in (client.chat.completions.stream(**ASK), client.responses.stream(**ASK_RESPONSE)):
            beating.clear()
            rig.provider.say("Once ")
            async with make as helped:
                await beating.wait()
                rig.provider.say("upon", FINISH)
                await helped.until_done()
                assert "Once upon" in str(await getattr(helped, _FINAL[type(helped).__name__])())


_FINAL = {"AsyncChatCompletionStream": "get_final_completion", "AsyncResponseStream": "get_final_response"}


async def test_one_run_is_watched_in_both_formats_and_from_a_native_start(rig: Rig, client: openai.AsyncOpenAI) -> None:
    run = await rig.start("Once ")
    chat = await reattach(client, run)
    response = await client.responses.retrieve(f"resp_{run}", stream=True)
    async with rig.stream(f"/v1/runs/{run}/events?format=openai-chat") as native:
        rig.provider.say("upon", FINISH)
        assert "".join([content_of(chunk) async for chunk in chat]) == "Once upon"
        events = [event async for event in response]
        assert events[-1].response.output_text == "Once upon"  # type: ignore[union-attr]
        assert await native.rest() == "whole"
    known = await client.responses.retrieve(run)
    assert known.output_text == "Once upon"
    assert (await client.chat.completions.retrieve(run)).choices[0].message.content == "Once upon"


async def test_the_synchronous_client(rig: Rig) -> None:
    def use() -> list[str]:
        said = []
        with openai.OpenAI(base_url=f"{rig.url}/v1", api_key="any") as client:
            with client.chat.completions.stream(**ASK) as chat:
                said.append(chat.get_final_completion().choices[0].message.content or "")
            with client.responses.stream(**ASK_RESPONSE) as response:
                said.append(response.get_final_response().output_text)
            said.append("".join(map(content_of, client.chat.completions.create(**ASK, stream=True))))
            said.append(client.responses.create(**ASK_RESPONSE).output_text)
            with pytest.raises(openai.APIError, match="busy"):
                list(client.chat.completions.create(**ASK, stream=True))
        return said

    for _ in range(4):
        rig.provider.say(*WORDS, FINISH)
    rig.provider.say("Once ", overloaded())
    assert await asyncio.to_thread(use) == [TEXT] * 4
