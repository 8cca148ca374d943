"""How the user called this program, so that a printed command works when it is pasted."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

DEFAULT_URL = "http://127.0.0.1:8000"


def program(argv0: str | None = None, *, path: str | None = None) -> str:
    """The words that call this program again from the same folder: `tokentape`, a path, or `python -m tokentape`."""
    called = Path(argv0 if argv0 is not None else sys.argv[0])
    if called.name in ("__main__.py", "-m", "-c", ""):
        return f"{_shown(Path(sys.executable))} -m tokentape"
    found = shutil.which(called.name, path=path)
    if found is not None and _same(Path(found), called):
        return shlex.quote(called.name)
    return _shown(called)


def command(*words: str, url: str) -> str:
    """A whole command line against the server at `url`, ready to be pasted."""
    arguments = [shlex.quote(word) for word in words]
    if url != os.environ.get("TOKENTAPE_URL", DEFAULT_URL):
        arguments += ["--url", shlex.quote(url)]
    return " ".join([program(), *arguments])


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _shown(path: Path) -> str:
    # Not resolved: a virtual environment's python is a link that has to stay one.
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would follow links
    try:
        relative = whole.relative_to(Path.cwd())
    except ValueError:
        return shlex.quote(str(whole))
    return shlex.quote(str(relative) if len(relative.parts) > 1 else f"./{relative}")
