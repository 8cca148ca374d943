"""The laws of `tokentape.providers.http`, against servers that say just what the test wants."""

import asyncio
import gc
import gzip
import logging
import socket
import ssl
import time
from contextlib import aclosing, closing

import pytest
from certificates import SELF_SIGNED
from upstreams import (
    KEY,
    NO_LIMIT,
    STREAM_HEAD,
    asking,
    played,
    raw_upstream,
    refusal,
    said,
    says,
)

from tokentape.core.errors import ProviderError
from tokentape.providers import http
from tokentape.providers.answer import MAX_LINE
from tokentape.providers.base import Part, Timeouts
from tokentape.providers.openai import OpenAIProvider
from tokentape.providers.secret import Secret

TOKEN = b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n'
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Pushed:
    """A provider whose generator is made of what it pushes: it has the same laws."""

    def __init__(self, provider: OpenAIProvider) -> None:
        self._provider = provider
        self._upstream = provider._upstream
        self.aclose = provider.aclose

    async def generate(self, generation, timeouts):
        sink = OneByOne()
        task = asyncio.create_task(self._provider.push(generation, timeouts, sink))
        task.add_done_callback(lambda _: sink.came.set())
        try:
            while not task.done() or sink.parts:
                await sink.came.wait()
                sink.came.clear()
                if sink.parts:
                    batch, sink.parts = sink.parts, []
                    yield batch
                    sink.taken.set()
            await task
        finally:
            task.cancel()
            await asyncio.wait([task])


class OneByOne:
    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.came, self.taken = asyncio.Event(), asyncio.Event()

    def put(self, parts) -> bool:
        self.parts += [Part(*pair) for pair in parts]
        self.taken.clear()
        self.came.set()
        return False

    async def room(self) -> None:
        await self.taken.wait()


@pytest.fixture(params=["generate", "push"])
async def provider_at(request):
    made = []

    def make(url: str, **settings) -> OpenAIProvider | Pushed:
        provider = OpenAIProvider(base_url=f"{url}/v1", api_key=Secret(KEY), **settings)
        made.append(provider)
        return provider if request.param == "generate" else Pushed(provider)

    yield make
    for provider in made:
        await provider.aclose()


async def attempt(provider_at, *answer: bytes, timeouts: Timeouts = NO_LIMIT):
    async with raw_upstream(says(*answer)) as upstream:
        return await played(provider_at(upstream.url), asking(), timeouts)


async def failure(provider_at, *answer: bytes, timeouts: Timeouts = NO_LIMIT) -> ProviderError:
    _, error = await attempt(provider_at, *answer, timeouts=timeouts)
    assert error is not None
    assert KEY not in f"{error} {error!r} {error.as_dict()}"
    return error


# The request


async def test_the_request_says_who_asks_and_wants_a_plain_stream(provider_at):
    async with raw_upstream(says(STREAM_HEAD, TOKEN % b"a", FINISH, DONE)) as upstream:
        provider = provider_at(upstream.url, headers={"X-Team": Secret("blue"), "user-agent": Secret("mine/1")})
        await played(provider, asking())
        (request,) = upstream.connections
    assert request.head.startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert request.header("Authorization") == f"Bearer {KEY}"
    assert request.header("Accept") == "text/event-stream"
    assert request.header("Accept-Encoding") == "identity"
    assert request.header("Content-Type") == "application/json"
    assert request.header("X-Team") == "blue"
    assert request.header("User-Agent") == "mine/1"
    assert request.head.lower().count("user-agent") == 1


async def test_nothing_is_sent_before_the_first_step(provider_at):
    async with raw_upstream(says(b"")) as upstream:
        generator = provider_at(upstream.url).generate(asking(), NO_LIMIT)
        await generator.aclose()
        assert upstream.accepted == 0


async def test_credentials_in_the_address_are_sent_as_such(provider_at):
    async with raw_upstream(says(STREAM_HEAD, FINISH)) as upstream:
        url = upstream.url.replace("//", "//Aladdin:open%20sesame@")
        provider = OpenAIProvider(base_url=f"{url}/v1?api-version=2")
        _, error = await played(provider, asking())
        await provider.aclose()
        (request,) = upstream.connections
    assert error is None
    assert request.head.startswith("POST /v1/chat/completions?api-version=2 HTTP/1.1\r\n")
    assert request.header("Authorization") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert request.header("Host") == upstream.url.removeprefix("http://")


async def test_a_header_cannot_smuggle_another(provider_at):
    async with raw_upstream(says(STREAM_HEAD, FINISH)) as upstream:
        provider = provider_at(upstream.url, headers={"X-Team": Secret("blue\r\nX-Admin: yes")})
        _, error = await played(provider, asking())
        assert error.subcode == "provider_protocol"
        assert upstream.connections == []


async def test_a_large_request_is_sent_whole(provider_at):
    async with raw_upstream(says(STREAM_HEAD, FINISH)) as upstream:
        await played(provider_at(upstream.url), asking("x" * 5_000_000))
        assert len(upstream.connections[0].body) > 5_000_000


@pytest.mark.parametrize("text", ["lone \ud800", {"deep": float}])
async def test_a_request_that_has_no_json_form_is_refused_before_it_is_sent(provider_at, text):
    async with raw_upstream(says(b"")) as upstream:
        _, error = await played(provider_at(upstream.url), asking(text))
        assert error.subcode == "provider_refused"
        assert upstream.accepted == 0


async def test_the_environments_proxy_is_not_asked(provider_at, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    parts, error = await attempt(provider_at, STREAM_HEAD, TOKEN % b"a", FINISH)
    assert (said(parts), error) == ("a", None)


async def test_a_configured_proxy_is(provider_at):
    async with raw_upstream(says(STREAM_HEAD, TOKEN % b"a", FINISH)) as proxy:
        parts, _ = await played(provider_at("http://models.invalid", proxy=proxy.url), asking())
        assert proxy.connections[0].head.startswith("POST http://models.invalid/v1/chat/completions ")
    assert said(parts) == "a"


async def test_a_connection_that_was_read_to_its_end_is_used_again(provider_at):
    whole = CHUNKED + chunked(TOKEN % b"a") + chunked(FINISH + DONE) + b"0\r\n\r\n"
    async with raw_upstream(says(whole), keep_alive=True) as upstream:
        provider = provider_at(upstream.url)
        for _ in range(3):
            assert await played(provider, asking()) == (
                [Part("token", "a"), Part("finish", {"reason": "stop"})],
                None,
            )
        assert (upstream.accepted, len(upstream.connections)) == (1, 3)


async def test_an_answer_is_over_at_its_end_mark_even_when_the_response_is_not(provider_at):
    closed = asyncio.Event()

    async def endless(connection):
        await connection.send(CHUNKED, chunked(TOKEN % b"a" + FINISH + DONE))
        await connection.closed()
        closed.set()

    async with raw_upstream(endless) as upstream, asyncio.timeout(10):
        parts, error = await played(provider_at(upstream.url), asking())
        assert (said(parts), error) == ("a", None)
        await closed.wait()


# What can be wrong with the answer


async def test_redirects_are_not_followed(provider_at):
    error = await failure(provider_at, refusal(307, b"", b"Location: http://127.0.0.1:9/"))
    assert error.subcode == "provider_refused"
    assert "base_url" in error.message


async def test_a_refusal_is_passed_on_without_the_key(provider_at):
    complaint = b'{"error":{"message":"Incorrect API key provided: %s"}}' % KEY.encode()
    error = await failure(provider_at, refusal(401, complaint))
    assert error.subcode == "provider_refused"
    assert "Incorrect API key" in error.message


async def test_retry_after_is_passed_on(provider_at):
    error = await failure(provider_at, refusal(429, b"", b"Retry-After: 7"))
    assert (error.subcode, error.can_retry, error.retry_after) == ("provider_rate_limited", True, 7)


async def test_a_refusal_whose_body_never_ends_is_cut_short(provider_at, monkeypatch):
    monkeypatch.setattr("tokentape.providers.answer.COMPLAINT_WAIT", 0.05)
    head = b"HTTP/1.1 500 Because\r\nContent-Length: 1000\r\n\r\n"

    async def hang(connection):
        await connection.send(head, b"half of")
        await connection.closed()

    async with raw_upstream(hang) as upstream, asyncio.timeout(4):
        _, error = await played(provider_at(upstream.url), asking())
    assert error.subcode == "provider_overloaded"


async def test_a_huge_refusal_is_not_read_to_its_end(provider_at):
    async def flood(connection):
        await connection.send(b"HTTP/1.1 500 Because\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            await connection.send(b"x" * 65_536)

    async with raw_upstream(flood) as upstream, asyncio.timeout(4):
        _, error = await played(provider_at(upstream.url), asking())
    assert error.subcode == "provider_overloaded"


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate", b"zstd"])
async def test_a_compressed_answer_is_refused_unread(provider_at, encoding):
    head = STREAM_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: %b\r\n\r\n" % encoding)
    error = await failure(provider_at, head, gzip.compress(FINISH))
    assert error.subcode == "provider_protocol"
    assert encoding.decode() in error.message


async def test_the_body_of_a_compressed_refusal_is_left_alone(provider_at):
    error = await failure(provider_at, refusal(503, gzip.compress(b"{}"), b"Content-Encoding: gzip"))
    assert error.subcode == "provider_overloaded"


@pytest.mark.parametrize(
    ("body", "code"),
    [(b'{"error":{"message":"Busy","type":"server_error"}}', "provider_overloaded"), (b"{}", "provider_protocol")],
)
async def test_a_document_in_place_of_a_stream(provider_at, body, code):
    error = await failure(
        provider_at, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n", body
    )
    assert error.subcode == code


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000])
async def test_what_is_not_http_is_a_protocol_error(provider_at, answer):
    assert (await failure(provider_at, answer)).subcode == "provider_protocol"


async def test_a_line_over_the_cap_is_refused_after_what_came_before(provider_at):
    parts, error = await attempt(provider_at, STREAM_HEAD, TOKEN % b"a", b"data: " + b"x" * (MAX_LINE + 1))
    assert said(parts) == "a"
    assert error.subcode == "provider_protocol"


async def test_an_event_of_many_lines_over_the_cap_is_refused(provider_at):
    error = await failure(provider_at, STREAM_HEAD, (b"data: " + b"x" * 1000 + b"\n") * 1100)
    assert error.subcode == "provider_protocol"


@pytest.mark.parametrize(
    "answer",
    [
        (STREAM_HEAD, TOKEN % b"a"),
        (CHUNKED, chunked(TOKEN % b"a")),
        (CHUNKED, chunked(TOKEN % b"a"), b"0\r\n\r\n"),
        (STREAM_HEAD, TOKEN % b"a", b'data: {"choi'),
    ],
)
async def test_an_answer_without_its_end_was_cut(provider_at, answer):
    parts, error = await attempt(provider_at, *answer)
    assert said(parts) == "a"
    assert (error.subcode, error.can_retry) == ("provider_cut", True)


async def test_a_reset_in_mid_answer_was_a_cut(provider_at):
    got = asyncio.Event()

    async def reset(connection):
        await connection.send(STREAM_HEAD, TOKEN % b"a")
        await got.wait()
        connection.reset()

    async with (
        raw_upstream(reset) as upstream,
        aclosing(provider_at(upstream.url).generate(asking(), NO_LIMIT)) as batches,
    ):
        assert await anext(batches) == [Part("token", "a")]
        got.set()
        with pytest.raises(ProviderError) as caught:
            await anext(batches)
    assert caught.value.subcode == "provider_cut"


async def test_a_cut_after_the_finish_reason_harms_nobody(provider_at):
    parts, error = await attempt(provider_at, CHUNKED, chunked(TOKEN % b"a" + FINISH))
    assert (said(parts), parts[-1].type, error) == ("a", "finish", None)


# What can be wrong with the connection


async def test_nobody_listens(provider_at):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    _, error = await played(provider_at(f"http://127.0.0.1:{port}"), asking())
    assert (error.subcode, error.can_retry) == ("provider_unreachable", True)


async def test_no_such_host(provider_at):
    _, error = await played(provider_at("http://models.invalid"), asking())
    assert error.subcode == "provider_unreachable"


async def test_it_speaks_before_it_is_asked(provider_at):
    async def greet(reader, writer):
        greeted.append(asyncio.current_task())
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()
        writer.close()

    greeted = []
    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server, asyncio.timeout(10):
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        _, error = await played(provider_at(url), asking())
        await asyncio.wait(greeted)
    assert error.subcode == "provider_protocol"
    assert len(greeted) <= 2


async def test_it_hangs_up_without_a_word(provider_at):
    assert (await failure(provider_at, b"")).subcode == "provider_unreachable"


@pytest.fixture
def certificate(tmp_path) -> ssl.SSLContext:
    file = tmp_path / "self-signed.pem"
    file.write_text(SELF_SIGNED)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(provider_at, certificate):
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=certificate)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, error = await played(provider_at(f"https://127.0.0.1:{port}"), asking())
    assert (error.subcode, error.can_retry) == ("provider_unreachable", False)
    assert "certificate" in error.message


# Time-outs


async def test_connecting_has_its_time(provider_at):
    with closing(socket.socket()) as server, closing(socket.socket()) as first, closing(socket.socket()) as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)  # and nobody accepts: when these two are in the queue, it is full
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        async with asyncio.timeout(10):
            _, error = await played(provider_at(url), asking(), Timeouts(connect=0.1))
    assert (error.subcode, error.can_retry) == ("provider_timeout", True)
    assert "0.1 s" in error.message


def hanging(*before: bytes):
    async def answer(connection):
        await connection.send(*before)
        await connection.closed()

    return answer


@pytest.mark.parametrize(
    ("before", "timeouts", "says"),
    [
        ((), Timeouts(first_token=0.1), "no token within 0.1 s"),
        ((STREAM_HEAD,), Timeouts(first_token=0.1), "no token within 0.1 s"),
        ((STREAM_HEAD, b": keep-alive\n\n"), Timeouts(first_token=0.1), "no token within 0.1 s"),
        ((STREAM_HEAD, TOKEN % b""), Timeouts(first_token=0.1), "no token within 0.1 s"),
        ((STREAM_HEAD, TOKEN % b"a"), Timeouts(between_tokens=0.1), "no further token within 0.1 s"),
        ((STREAM_HEAD, TOKEN % b"a"), Timeouts(total=0.1), "did not finish its answer within 0.1 s"),
        ((), Timeouts(total=0.1), "did not finish its answer within 0.1 s"),
    ],
)
async def test_tokens_have_their_time(provider_at, before, timeouts, says):
    async with raw_upstream(hanging(*before)) as upstream, asyncio.timeout(10):
        parts, error = await played(provider_at(upstream.url), asking(), timeouts)
    assert said(parts) == ("a" if TOKEN % b"a" in before else "")
    assert (error.subcode, error.can_retry) == ("provider_timeout", True)
    assert says in error.message


async def test_a_heartbeat_is_not_a_token(provider_at):
    async def beating(connection):
        await connection.send(STREAM_HEAD, TOKEN % b"a")
        while True:
            await connection.send(b": still here\n\n")
            await asyncio.sleep(0.01)

    async with raw_upstream(beating) as upstream, asyncio.timeout(10):
        parts, error = await played(provider_at(upstream.url), asking(), Timeouts(between_tokens=0.1))
    assert (said(parts), error.subcode) == ("a", "provider_timeout")


async def test_a_steady_answer_may_take_longer_than_the_time_between_its_tokens(provider_at):
    async def steady(connection):
        await connection.send(STREAM_HEAD)
        for _ in range(12):
            await connection.send(TOKEN % b"a")
            await asyncio.sleep(0.02)
        await connection.send(FINISH)

    async with raw_upstream(steady) as upstream:
        parts, error = await played(provider_at(upstream.url), asking(), Timeouts(between_tokens=0.2))
    assert (said(parts), error) == ("a" * 12, None)


async def test_no_time_counts_while_the_run_is_busy_with_what_came(provider_at):
    took = asyncio.Event()

    async def answer(connection):
        await connection.send(STREAM_HEAD, TOKEN % b"a")
        await took.wait()
        await connection.send(TOKEN % b"b", FINISH)

    async with raw_upstream(answer) as upstream:
        timeouts = Timeouts(first_token=0.4, between_tokens=0.4)
        async with aclosing(provider_at(upstream.url).generate(asking(), timeouts)) as batches:
            parts = [*(await anext(batches))]
            await asyncio.sleep(0.8)  # a store that is slow
            took.set()
            async for batch in batches:
                parts += batch
    assert said(parts) == "ab"


async def test_a_complete_answer_waits_only_a_moment_for_its_trailer(provider_at, monkeypatch):
    monkeypatch.setattr("tokentape.providers.answer.TRAILER_WAIT", 0.1)
    async with raw_upstream(hanging(STREAM_HEAD, TOKEN % b"a", FINISH)) as upstream, asyncio.timeout(4):
        parts, error = await played(provider_at(upstream.url), asking())
    assert (said(parts), parts[-1].type, error) == ("a", "finish", None)


async def test_heartbeats_do_not_prolong_that_moment(provider_at, monkeypatch):
    monkeypatch.setattr("tokentape.providers.answer.TRAILER_WAIT", 0.1)

    async def beating(connection):
        await connection.send(STREAM_HEAD, TOKEN % b"a", FINISH)
        while True:
            await connection.send(b": still here\n\n")
            await asyncio.sleep(0.01)

    async with raw_upstream(beating) as upstream, asyncio.timeout(4):
        parts, error = await played(provider_at(upstream.url), asking())
    assert (said(parts), parts[-1].type, error) == ("a", "finish", None)


# Stopping


@pytest.mark.parametrize("before", [(), (STREAM_HEAD,), (CHUNKED, chunked(TOKEN % b"a"))])
async def test_whoever_cancels_has_cut_the_connection(provider_at, before):
    asked, closed = asyncio.Event(), asyncio.Event()

    async def answer(connection):
        await connection.send(*before)
        asked.set()
        await connection.closed()
        closed.set()

    async with raw_upstream(answer) as upstream:
        provider = provider_at(upstream.url)
        task = asyncio.create_task(played(provider, asking()))
        await asked.wait()
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await closed.wait()
        assert time.monotonic() - began < 5


async def test_whoever_closes_the_stream_has_cut_the_connection(provider_at):
    closed = asyncio.Event()

    async def answer(connection):
        await connection.send(CHUNKED, chunked(TOKEN % b"a"))
        await connection.closed()
        closed.set()

    async with raw_upstream(answer, keep_alive=True) as upstream, asyncio.timeout(10):
        batches = provider_at(upstream.url).generate(asking(), NO_LIMIT)
        assert await anext(batches) == [Part("token", "a")]
        await batches.aclose()
        await closed.wait()


async def test_closing_a_provider_leaves_nothing_open(provider_at):
    closed = asyncio.Event()

    async def answer(connection):
        await connection.send(CHUNKED + chunked(FINISH + DONE) + b"0\r\n\r\n")
        await connection.closed()
        closed.set()

    async with raw_upstream(answer) as upstream, asyncio.timeout(20):
        provider = provider_at(upstream.url)
        await played(provider, asking())
        await provider.aclose()
        await closed.wait()
        gc.collect()  # an unclosed session or connection would warn here, and warnings are errors
        parts, _ = await played(provider, asking())
        assert parts[-1].type == "finish"


# Secrets


async def test_no_log_line_or_repr_holds_the_key(provider_at, caplog):
    caplog.set_level(logging.DEBUG)
    echo = b'{"error":{"message":"what is %s?"}}' % KEY.encode()
    answers = (refusal(401, echo), STREAM_HEAD + b"data: " + echo + b"\n\n", KEY.encode() * 3, b"")
    for answer in answers:
        error = await failure(provider_at, answer)
        logging.getLogger("test").warning("it failed", exc_info=error)
    assert KEY not in caplog.text
    provider = provider_at("http://127.0.0.1:9")
    assert KEY not in f"{provider!r} {provider._upstream!r}"


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("https://a/v1", "https://a/v1/x/y"),
        ("https://a/v1/", "https://a/v1/x/y"),
        ("https://a", "https://a/x/y"),
        ("https://a/v1?api-version=2#f", "https://a/v1/x/y?api-version=2"),
    ],
)
def test_a_path_below_a_base_url(base, expected):
    assert http.at_path(base, "/x/y") == expected
