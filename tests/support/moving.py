"""The applications of the pages "from … to tokentape", before and after, as a browser meets them."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import uvicorn
from example_builds import EXAMPLES, PACKAGES, run_node
from npm_tarball import CLIENT
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from tokentape.cli.relay import Relay

PAGE: Final = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><p id="answer"></p>
<script type="importmap">{"imports": {"tokentape": "./tokentape/index.js"}}</script>
<script type="module" src="SCRIPT"></script>
"""
SCRIPTS: Final = "page.js", "fetch.js"
SIDES: Final = ("before", "after", "ours")

_MAIN: Final = """import { createRoot } from "react-dom/client";
import { createClient } from "tokentape";
import { TokentapeProvider } from "tokentape/react";
import { Chat } from "./chat.tsx";

createRoot(document.getElementById("root")!).render(
  <TokentapeProvider client={createClient({ url: "/tape" })}>
    <Chat id={location.hash.slice(1)} />
  </TokentapeProvider>,
);
"""
_ROOT: Final = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><div id="root"></div>
<script type="module" src="./main.tsx"></script>
"""
_VITE: Final = """export default {
  base: "/pages/",
  build: { rolldownOptions: { input: ["before/index.html", "after/index.html", "ours/index.html"] } },
  resolve: { dedupe: ["react", "react-dom"] },
};
"""


def _load(path: Path) -> ModuleType:
    name = f"documented_{path.parent.name}_{id(path)}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[Relay]:
    """Serves an application with uvicorn as it comes, behind a relay that can be cut."""
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listener = socket.create_server(("127.0.0.1", 0))
    await server.startup(sockets=[listener])
    try:
        async with Relay("127.0.0.1", listener.getsockname()[1]) as relay:
            yield relay
    finally:
        await server.shutdown(sockets=[listener])


@asynccontextmanager
async def hosted(
    folder: Path, behind: Callable[[ASGIApp], ASGIApp] = lambda app: app
) -> AsyncIterator[tuple[ModuleType, Relay]]:
    """`app.py` of a folder, with a page for each of its scripts, and the TypeScript client beside them.

    `behind` may put something between it and the network.
    """
    for script in filter(Path.exists, (folder / name for name in SCRIPTS)):
        script.with_suffix(".html").write_text(PAGE.replace("SCRIPT", script.name))
    module = await asyncio.to_thread(_load, folder / "app.py")
    module.app.mount("/tokentape", StaticFiles(directory=CLIENT))
    module.app.mount("/", StaticFiles(directory=folder, html=True))
    async with listening(behind(module.app)) as relay:
        yield module, relay


def bundled(folder: Path) -> Path:
    """Type-checks and builds the `chat.tsx` of each side; returns where the pages are."""
    (folder / "node_modules").symlink_to(PACKAGES)
    (folder / "vite.config.js").write_text(_VITE)
    settings = (EXAMPLES / "fastapi-react" / "tsconfig.json").read_text()
    (folder / "tsconfig.json").write_text(settings.replace('["src", "vite.config.ts"]', '["."]'))
    for side in SIDES:
        (folder / side / "index.html").write_text(_ROOT)
        (folder / side / "main.tsx").write_text(_MAIN)
    run_node(folder, "typescript/bin/tsc", "")
    run_node(folder, "vite/bin/vite.js", "build")
    return folder / "dist"
