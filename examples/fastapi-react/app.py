"""A chat: FastAPI, with tokentape mounted in it, serves the API and the built React page."""

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from tokentape import Tape

tape = Tape(os.environ.get("TAPE_STORE", "sqlite:///chat.db"))
app = FastAPI(lifespan=tape.lifespan)

# Your own routes go here. Whoever may use the tape is decided in front of it, as for any other route of yours.
app.mount("/tape", tape.app)

# Last, since it answers whatever is left. `npm run build` makes the folder.
app.mount("/", StaticFiles(directory=Path(__file__).parent / "dist", html=True))
