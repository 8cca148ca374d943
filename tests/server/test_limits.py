"""What a request may cost."""

import asyncio
import json

import pytest
from http_rig import HELLO, PATIENCE, running_server


async def test_a_body_may_be_as_large_as_the_limit_and_no_larger():
    async with running_server(limits__max_body=2000) as rig:

        def padded(size: int) -> bytes:
            body = json.dumps({**HELLO, "metadata": {"x": ""}}).encode()
            return body[:-3] + b"y" * (size - len(body)) + b'"}}'

        assert (await rig.ask("POST", "/v1/runs", padded(2000))).status == 201
        reply = await rig.ask("POST", "/v1/runs", padded(2001))
        assert (reply.status, reply.json["code"], reply.json["limit"]) == (413, "too_large", 2000)
        reply = await rig.ask("POST", "/v1/runs", padded(1_000_000))
        assert reply.status == 413


async def test_a_body_that_does_not_say_its_size_is_bounded_too():
    async with running_server(limits__max_body=2000) as rig:

        async def chunks():
            for _ in range(10):
                yield b"x" * 500

        headers = {"Content-Type": "application/json"}
        async with rig.session.post(rig.url + "/v1/runs", data=chunks(), headers=headers) as response:
            assert response.status == 413
            assert (await response.json(content_type=None))["code"] == "too_large"


async def test_a_body_that_does_not_come_is_408(ours_or_uvicorn):
    """Faults, row 7."""
    async with running_server(server=ours_or_uvicorn, limits__body_deadline="100ms") as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(b"POST /v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"request_timeout"' in answer
        writer.close()


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx"]
)
async def test_what_is_not_called_json_is_415(kind):
    async with running_server() as rig:
        reply = await rig.ask("POST", "/v1/runs", HELLO, Content_Type=kind)
        assert (reply.status, reply.json["code"]) == (415, "unsupported_media_type")


async def test_what_is_called_json():
    async with running_server() as rig:
        for kind in ("application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"):
            assert (await rig.ask("POST", "/v1/runs", HELLO, Content_Type=kind)).status == 201
        reply = await rig.ask("POST", "/v1/runs", HELLO, Content_Encoding="gzip")
        assert reply.status in (400, 415)


async def test_what_is_not_json():
    async with running_server() as rig:
        bodies = [
            b"",
            b"{",
            b"null",
            b'{"messages": [{"role": "user", "content": "\xff"}]}',
            b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
            b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            b'{"metadata": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b', "messages": []}',
            b'{"temperature": 1e999, "messages": []}',
            b'{"seed": 123456789012345678901234567890, "messages": []}',
            b'{"messages": []}{"messages": []}',
            b"\xef\xbb\xbf{}",
            b"\x00",
        ]
        for body in bodies:
            reply = await rig.ask("POST", "/v1/runs", body)
            assert (reply.status, reply.json["code"]) == (400, "bad_request"), body[:50]
            assert len(reply.body) < 1000
        assert rig.services.runs.live() == 0


async def test_the_path_of_the_fault_is_a_member():
    async with running_server() as rig:
        reply = await rig.ask("POST", "/v1/channels/room/events", [{"type": "app:a"}, {"type": 7}])
        assert reply.json["path"] == "$[1].type"
