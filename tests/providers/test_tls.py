"""Answers over TLS, and through proxies, on both event loops: who holds the transport changes under way."""

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress
from functools import partial

import aiohttp
import pytest
import uvloop
from certificates import SELF_SIGNED
from upstreams import NO_LIMIT, asking, played, said

from tokentape.providers.base import Part
from tokentape.providers.openai import OpenAIProvider

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
TOKEN = b'data: {"choices":[{"delta":{"content":"%d "}}]}\n\n'
LAST = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
TOKENS = 300


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    def run(main):
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(main(), 20))

    return run


@pytest.fixture
def certificate(tmp_path, monkeypatch) -> ssl.SSLContext:
    """A server's side; the client's is made to trust it, and nobody else."""
    file = tmp_path / "self-signed.pem"
    file.write_text(SELF_SIGNED)
    trusting = ssl.create_default_context(cafile=str(file))
    monkeypatch.setattr(aiohttp, "TCPConnector", partial(aiohttp.TCPConnector, ssl=trusting))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


class Server:
    """A provider that keeps its connections."""

    def __init__(self) -> None:
        self.accepted = 0
        self.closed = asyncio.Event()
        self.endless = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                writer.write(HEAD)
                for number in range(TOKENS):
                    self._send(writer, TOKEN % number)
                    await asyncio.sleep(0)
                if self.endless:
                    await reader.read()
                self._send(writer, LAST)
                writer.write(b"0\r\n\r\n")
        self.closed.set()
        writer.close()

    @staticmethod
    def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))


@asynccontextmanager
async def listening(handler, context=None):
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A proxy that knows CONNECT."""
    line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]
    assert line.startswith(b"CONNECT 127.0.0.1:")
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(line.split()[1].split(b":")[1]))
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def pump(source, sink) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                sink.write(data)
        sink.close()

    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


def whole() -> tuple[str, Part]:
    return "".join(f"{number} " for number in range(TOKENS)), Part("finish", {"reason": "stop"})


@pytest.mark.parametrize("through", ["tls", "tunnel", "plain"])
def test_answers_are_whole_and_the_connection_is_used_again(run, certificate, through):
    async def main() -> None:
        server = Server()
        async with (
            listening(server.serve, None if through == "plain" else certificate) as port,
            listening(tunnel) as proxy,
        ):
            scheme = "http" if through == "plain" else "https"
            proxy_url = f"http://127.0.0.1:{proxy}" if through == "tunnel" else ""
            provider = OpenAIProvider(base_url=f"{scheme}://127.0.0.1:{port}", proxy=proxy_url)
            for _ in range(3):
                parts, error = await played(provider, asking())
                assert error is None
                assert (said(parts), parts[-1]) == whole()
            assert server.accepted == 1
            await provider.aclose()
            await server.closed.wait()

    run(main)


@pytest.mark.parametrize("through", ["tls", "plain"])
def test_whoever_cancels_has_cut_the_connection(run, certificate, through):
    async def main() -> None:
        server = Server()
        server.endless = True
        async with listening(server.serve, None if through == "plain" else certificate) as port:
            scheme = "http" if through == "plain" else "https"
            provider = OpenAIProvider(base_url=f"{scheme}://127.0.0.1:{port}")
            batches = provider.generate(asking(), NO_LIMIT)
            text = ""
            while text != whole()[0]:
                text += said(await anext(batches))
            await batches.aclose()
            async with asyncio.timeout(10):
                await server.closed.wait()
            await provider.aclose()

    run(main)
