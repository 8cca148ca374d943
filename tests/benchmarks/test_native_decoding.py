"""What the load client makes of answers that are cut, framed and refused in every way that HTTP allows."""

import asyncio
from pathlib import Path

import pytest
from native_rig import SPLITS, chunk, marker, pieces, scripted, sse, watching, write

EVENTS = 40
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def text() -> bytes:
    """Events 3 to 42, with much between them that is nearly a marker."""
    decoys = ["#", "#1@2", "#1;", "#@5;", "##", "#1@;", f"#{'9' * 30}@1;", "a#b@c;", "#12"]
    return b"".join(sse(seq, f"{decoys[seq % len(decoys)]}{marker(seq)}") for seq in range(3, 3 + EVENTS))


def framed(body: bytes, framing: str) -> bytes:
    """A whole response."""
    match framing:
        case "chunks":
            chunks = b"".join(map(chunk, pieces(body, "random")))
            return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        case "extensions":
            chunks = b"".join(b'%X ; a=1;b="#1@2;"\r\n%b\r\n' % (len(part), part) for part in pieces(body, "random"))
            trailer = b"0;last\r\nX-Trailer: #9@9;\r\nY: 1\r\n\r\n"
            return HEAD + b"transfer-encoding: gzip, Chunked\r\n\r\n" + chunks + trailer
        case "length":
            return HEAD + b"content-length:%d\r\n\r\n" % len(body) + body
        case "close":
            return HEAD.replace(b"1.1", b"1.0") + b"\r\n" + body
        case _:
            # Interim answers, a status line without a reason, bare line ends.
            interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
            return interim + b"HTTP/1.1 200\nX: 1\nTransfer-Encoding: chunked\n\n" + chunk(body) + b"0\r\n\r\n"


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("framing", ["chunks", "extensions", "length", "close", "interim"])
async def test_each_event_counts_once_however_it_is_cut(programs: Path, framing: str, split: str) -> None:
    async def answer(_: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await write(writer, framed(text(), framing), split)

    async with scripted(answer) as port, watching(programs, port, 3) as load:
        assert (await load.ask("connect"))["connected"] == 3
        ended = await load.ask("ended 20")
        assert (ended["ended"], ended["missing"]) == (3, 0)
        report = await load.ask("report")
    assert report["deliveries"] == 3 * EVENTS
    assert (report["gaps"], report["duplicates"], report["ended"], report["disconnected"]) == (0, 0, 3, 0)
    assert (report["min_seq"], report["max_seq"]) == (3, 2 + EVENTS)
    if split == "bytes":
        assert report["reads"] > 3 * EVENTS  # the cuts were real


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(sse(1)), id="no last chunk"),
        pytest.param(HEAD + b"Content-Length: 900\r\n\r\n" + sse(1), id="too short"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(sse(1)) + b"zz\r\n", id="no chunk size"),
    ],
)
async def test_a_response_that_breaks_off_is_disconnected_and_not_ended(programs: Path, response: bytes) -> None:
    async def answer(_: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response)

    async with scripted(answer) as port, watching(programs, port, 2) as load:
        assert (await load.ask("connect"))["connected"] == 2
        assert (await load.ask("ended 10"))["missing"] == 2
        report = await load.ask("report")
        assert (report["disconnected"], report["ended"], report["deliveries"]) == (2, 0, 2)


async def test_the_first_event_is_the_base_and_what_is_left_out_or_comes_twice_is_counted(programs: Path) -> None:
    async def answer(_: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b"".join(map(sse, [5, 6, 6, 7, 10, 9, 11]))
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async with scripted(answer) as port, watching(programs, port, 2) as load:
        await load.ask("connect")
        await load.ask("ended 10")
        report = await load.ask("report")
        assert (report["min_seq"], report["max_seq"], report["deliveries"]) == (5, 11, 14)
        assert (report["gaps"], report["duplicates"]) == (2 * 2, 2 * 2)  # 8 and 9; then 6 again and 9 late


async def test_latency_is_the_age_of_the_event(programs: Path) -> None:
    ages = [0.002] * 60 + [0.1] * 35 + [3.0] * 5

    async def answer(_: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        now = int(asyncio.get_running_loop().time() * 1e6)
        body = b"".join(sse(seq, f"#{seq}@{now - int(age * 1e6)};") for seq, age in enumerate(ages, 1))
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async with scripted(answer) as port, watching(programs, port, 1) as load:
        await load.ask("connect")
        await load.ask("ended 10")
        latency = (await load.ask("report"))["latency_us"]
    # All came at once; the way here took the same time for each.
    way = latency["max"] - 3_000_000
    assert 0 < way < 2_000_000
    assert latency["mean"] == pytest.approx(sum(ages) / 100 * 1e6 + way, rel=0.001)
    assert latency["p50"] == pytest.approx(2_000 + way, rel=0.02)
    assert latency["p90"] == pytest.approx(100_000 + way, rel=0.02)
    assert latency["p99"] == pytest.approx(3_000_000 + way, rel=0.02)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("framing", ["Content-Length: 9\r\n\r\nno such \n", "\r\nno such \n"])
async def test_a_refusal_is_failed_and_explained(programs: Path, framing: str, split: str) -> None:
    async def answer(_: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await write(writer, f"HTTP/1.1 404 Not Found\r\n{framing}".encode(), split)

    async with scripted(answer) as port, watching(programs, port, 5, "--window", 2) as load:
        connected = await load.ask("connect")
        assert (connected["connected"], connected["failed"]) == (0, 5)
        assert connected["error"] == "HTTP/1.1 404 Not Found: no such \n"
        assert (await load.ask("wait 1 5"))["missing"] == 5


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b"", "closed before it was answered"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", "the answer is not HTTP"),
        (b'HTTP/1.1 500 "Oh"\r\n\r\n' + b"e" * 5000, 'HTTP/1.1 500 "Oh": eee'),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content: "),
    ],
)
async def test_what_is_no_stream_is_failed_and_explained(programs: Path, response: bytes, error: str) -> None:
    async def answer(_: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response)

    async with scripted(answer) as port, watching(programs, port, 2) as load:
        connected = await load.ask("connect")
        assert connected["failed"] == 2
        assert connected["error"].startswith(error)
        assert 0 < len(connected["error"]) <= 320


async def test_a_server_that_is_not_there_or_says_nothing_is_failed(programs: Path) -> None:
    async def silence(_: str, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    patience = ("--connect-seconds", 1, "--window", 2)
    async with scripted(silence) as port, watching(programs, port, 5, *patience) as load:
        connected = await load.ask("connect")
        assert (connected["failed"], connected["error"]) == (5, "no answer in time")
        assert 1 <= connected["seconds"] < 10
    async with watching(programs, port, 5) as load:
        assert (await load.ask("connect"))["error"] == "Connection refused"


async def test_the_request_is_what_the_options_say(programs: Path, tmp_path: Path) -> None:
    requests: list[tuple[str, bytes]] = []

    async def answer(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((head, await reader.readexactly(11)))
        writer.write(HEAD + b"Content-Length: 0\r\n\r\n")

    body = tmp_path / "body"
    body.write_bytes(b'{"run":"{n}"}')
    options = (
        "--method",
        "POST",
        "--body",
        body,
        "--header",
        "X-A: 1",
        "--header",
        "X-B: 2",
        "--path",
        "/runs/{n}?a=1",
    )
    async with scripted(answer) as port, watching(programs, port, 2, *options) as load:
        assert (await load.ask("connect"))["connected"] == 2
        assert (await load.ask("ended 10"))["ended"] == 2
    for number, (head, sent) in enumerate(sorted(requests)):
        line, *headers = head.strip().split("\r\n")
        assert line == f"POST /runs/{number}?a=1 HTTP/1.1"
        assert {f"Host: 127.0.0.1:{port}", "X-A: 1", "X-B: 2", "Content-Length: 11"} <= set(headers)
        assert sent == b'{"run":"%d"}' % number
