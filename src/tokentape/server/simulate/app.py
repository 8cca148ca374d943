"""`tokentape simulate`: the simulated model over HTTP, in OpenAI's and Anthropic's formats, with faults on the wire.

    POST /v1/chat/completions   GET /v1/models   POST /v1/messages   GET /stats

Options (see `tokentape.providers.simulation`) come with each request: in the model's name (`any?rate=50,tokens=20`),
in the header `X-Simulate: rate=50,fault=stall@20:5s`, or in a body field `simulated`; the later go before. Any
model's name and any key will do.

It is for tests and for load: it runs under any ASGI server.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tokentape.core.errors import BadRequest
from tokentape.providers.base import Part
from tokentape.providers.script import Play, plan
from tokentape.providers.simulated import Attempts, perform
from tokentape.providers.simulation import Fault, Options
from tokentape.server.simulate import anthropic, openai
from tokentape.server.simulate.stream import Streaming, send_bomb
from tokentape.server.simulate.wire import Asked, Wire
from tokentape.server.transport import link_of

MODEL: Final = "simulated"
MAX_BODY: Final = 67_108_864


class Stats(msgspec.Struct):
    """Generations since the start. One whose client went before its end is `aborted`."""

    started: int = 0
    active: int = 0
    aborted: int = 0
    completed: int = 0


class _Format(NamedTuple):
    read: Callable[[Mapping[str, Any], str, Mapping[str, Any]], Asked]
    refusal: Callable[..., bytes]
    wire: Callable[[Asked, Play], Wire]
    key: Callable[[Request], str]


def simulate_app(defaults: Mapping[str, Any] | None = None) -> Starlette:
    """The application. `defaults` are options for requests without their own; raises `BadRequest` for wrong ones."""
    given = dict(defaults or {})
    Options.read(given)
    simulator = _Simulator(given)
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", _Endpoint(simulator, _OPENAI), methods=["POST"]),
            Route("/v1/messages", _Endpoint(simulator, _ANTHROPIC), methods=["POST"]),
            Route("/v1/models", _models),
            Route("/stats", simulator.show),
        ]
    )
    app.state.stats = simulator.stats
    return app


class _Simulator:
    def __init__(self, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.stats = Stats()
        self.attempts = Attempts()

    async def show(self, _request: Request) -> Response:
        return _json(msgspec.json.encode(self.stats))


class _Endpoint:
    """One route that generates."""

    def __init__(self, simulator: _Simulator, form: _Format) -> None:
        self._simulator = simulator
        self._form = form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = await _body(request)
            asked = self._form.read(body, request.headers.get("X-Simulate", ""), self._simulator.defaults)
        except BadRequest as error:
            await _json(self._form.refusal(400, "", error.message), 400)(scope, receive, send)
            return
        refusal = self._simulator.attempts.refusal(asked.options.faults(), asked.generation)
        if refusal is not None:
            headers = {"Retry-After": f"{refusal.seconds:g}"} if refusal.seconds else {}
            answer = self._form.refusal(refusal.status, self._form.key(request))
            await _json(answer, refusal.status, headers)(scope, receive, send)
            return
        whole = await self._counted(partial(self._generate, asked, send), receive)
        if not whole and (link := link_of(scope)) is not None:
            # Leaving the response without its end cuts it as well, but uvicorn takes that for a mistake and says so.
            link.close()
            await link.closed()

    async def _generate(self, asked: Asked, send: Send) -> bool:
        """Answers; False when the answer was left without its end."""
        play = plan(asked.generation, asked.options)
        wire = self._form.wire(asked, play)
        if any(fault.name == "gzip-bomb" for fault in asked.options.faults()):
            await send_bomb(send)
            return True
        if asked.stream:
            return await Streaming(wire, asked.options, send).run(play)
        return await _whole(wire, play, asked.options.rate, send)

    async def _counted(self, work: Callable[[], Coroutine[Any, Any, bool]], receive: Receive) -> bool:
        """Works until it is done, or the client has gone: that is noticed at once, not at the next write."""
        stats = self._simulator.stats
        stats.started += 1
        stats.active += 1
        working = asyncio.create_task(work())
        gone = asyncio.create_task(_until_gone(receive))
        finished = False
        try:
            await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
            finished = working.done()
            return working.result() if finished else True
        finally:
            working.cancel()
            gone.cancel()
            await asyncio.gather(working, gone, return_exceptions=True)
            stats.active -= 1
            if finished:
                stats.completed += 1
            else:
                stats.aborted += 1


async def _whole(wire: Wire, play: Play, rate: float, send: Send) -> bool:
    """The answer without streaming, after the time that it takes; False when it was left without its end."""
    parts: list[Part] = []
    async with aclosing(perform(play, rate)) as batches:
        async for batch in batches:
            if not isinstance(batch, Fault):
                parts += batch
            elif batch.name in ("stall", "slow-start"):
                await asyncio.sleep(batch.seconds)
            elif batch.name in ("cut", "error"):
                # There is no half of a document but a broken one.
                await _start(send, 200)
                await send({"type": "http.response.body", "body": b"{", "more_body": True})
                return False
    body = wire.document(parts, play.finish, play.usage)
    await _start(send, 200)
    await send({"type": "http.response.body", "body": body})
    return True


async def _start(send: Send, status: int) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request) -> dict[str, Any]:
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > MAX_BODY:
            raise BadRequest(f"The body is larger than {MAX_BODY} bytes.")
    try:
        return msgspec.json.decode(read, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("We could not parse the JSON body of your request.") from None


async def _models(request: Request) -> Response:
    if "anthropic-version" in request.headers:
        return _json(anthropic.models([MODEL]))
    return _json(openai.models([MODEL], _now()))


def _json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")


def _now() -> int:
    return int(time.time())


_OPENAI: Final = _Format(
    read=openai.read_request,
    refusal=openai.refusal,
    wire=lambda asked, _play: openai.ChatWire(asked, token=secrets.token_hex(12), now=_now()),
    key=lambda request: request.headers.get("Authorization", "").removeprefix("Bearer "),
)
_ANTHROPIC: Final = _Format(
    read=anthropic.read_request,
    refusal=anthropic.refusal,
    wire=lambda asked, play: anthropic.MessagesWire(asked, play.usage, token=secrets.token_hex(12)),
    key=lambda request: request.headers.get("X-Api-Key", ""),
)
