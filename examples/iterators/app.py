"""Whatever yields text becomes a run: kept, resumable, watched by anybody, and stopped for good."""

import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import langchain_chain
import pydantic_ai_agent
from fastapi import FastAPI, Request, Response

from tokentape import Tape

tape = Tape(os.environ.get("TAPE_STORE", "sqlite:///answers.db"))
app = FastAPI(lifespan=tape.lifespan)

ANSWERS: dict[str, Callable[[str], AsyncIterator[Any]]] = {
    "pydantic-ai": pydantic_ai_agent.answer,
    "langchain": langchain_chain.answer,
}


@app.post("/ask/{library}")
async def ask(library: str, question: str) -> dict[str, str]:
    run = await tape.record(ANSWERS[library](question), model=library)
    return {"run": run.id}


@app.get("/runs/{run_id}")
async def watch(run_id: str, request: Request) -> Response:
    """From the start, or after `Last-Event-ID`: also while it goes on, also for many."""
    return tape.run(run_id).response(request)


@app.post("/runs/{run_id}/stop")
async def stop(run_id: str) -> dict[str, str | None]:
    """Closes the iterator, and so the connection to the model; what it has said stays."""
    info = await tape.run(run_id).stop()
    return {"reason": info.reason}
