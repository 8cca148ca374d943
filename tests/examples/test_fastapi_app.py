"""The FastAPI example, run as its first lines say."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp

EXAMPLES = Path(__file__).parents[2] / "examples"


async def test_it_streams_resumes_and_stops(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", "0"),
        cwd=EXAMPLES,
        env={**os.environ, "TAPE_STORE": f"sqlite:///{tmp_path}/chat.db"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        url = await _address(process)
        async with aiohttp.ClientSession(url) as session:
            async with session.get("/ask", params={"q": "hello"}) as answer:
                assert answer.content_type == "text/event-stream"
                run = answer.headers["x-run"]
                first = await answer.text()
            assert "hello" in first
            assert first.rstrip().endswith("data: [DONE]")
            cursor = next(line[4:] for line in first.splitlines() if line.startswith("id: "))
            async with session.get(f"/ask/{run}", headers={"Last-Event-ID": cursor}) as answer:
                rest = await answer.text()
            assert f"id: {cursor}\n" not in rest
            assert rest.rstrip().endswith("data: [DONE]")

            asking = await session.get("/ask", params={"q": "again"})
            async with session.post(f"/ask/{asking.headers['x-run']}/stop") as answer:
                assert await answer.json() == {"reason": "stopped"}
            assert '"reason":"stopped"' in await asking.text()

            # The whole API is mounted beside it.
            async with session.get(f"/tape/v1/runs/{run}") as answer:
                assert (await answer.json())["state"] == "done"
            async with session.ws_connect("/tape/v1/ws", protocols=["tokentape.v1"]) as socket:
                await socket.send_json({"op": "subscribe", "id": 1, "stream": f"runs/{run}"})
                assert (await socket.receive_json())["data"]["outcome"] == "replayed"
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while line := (await process.stderr.readline()).decode():
            if "running on " in line:
                return line.split("running on ")[1].split()[0]
    raise AssertionError("it did not start")
