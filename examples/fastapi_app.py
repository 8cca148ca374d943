"""A chat back end in one file: FastAPI, with tokentape inside.

    pip install fastapi tokentape
    uvicorn fastapi_app:app

    curl -Ni 'http://127.0.0.1:8000/ask?q=hello'     # streams; the header x-run names the run
    curl -N 'http://127.0.0.1:8000/ask/RUN'          # the same answer again, from the start or a cursor
    curl -X POST 'http://127.0.0.1:8000/ask/RUN/stop'

The answer goes on when the browser reloads: `EventSource('/ask/RUN')` resumes by itself.
"""

import asyncio
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, Response

from tokentape import Tape

tape = Tape(os.environ.get("TAPE_STORE", "sqlite:///chat.db"))
app = FastAPI(lifespan=tape.lifespan)

# The whole tokentape API, WebSocket included, under a path of this application.
app.mount("/tape", tape.app)


async def answer(question: str) -> AsyncIterator[str]:
    """Any iterator of text will do: your agent, a chain, a client of some model."""
    for word in f"You asked {question!r}. A real model would know more about it.".split():
        yield f"{word} "
        await asyncio.sleep(0.05)


@app.get("/ask")
async def ask(q: str, request: Request) -> Response:
    run = await tape.record(answer(q))
    response = run.response(request)
    response.headers["x-run"] = run.id
    return response


@app.get("/ask/{run_id}")
async def again(run_id: str, request: Request) -> Response:
    return tape.run(run_id).response(request)


@app.post("/ask/{run_id}/stop")
async def stop(run_id: str) -> dict[str, str | None]:
    info = await tape.run(run_id).stop()
    return {"reason": info.reason}
