"""How the servers of each kind are started."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from systems.system import Command, Context

HERE = Path(__file__).parent
PYTHON = HERE / "python"


def native(transport: str) -> Command:
    """The C floor."""
    return lambda context: [str(context.bin / "floor"), "--port", str(context.port), "--transport", transport]


def script(name: str) -> Command:
    """A Python server of the peers' environment."""

    def command(context: Context) -> list[str]:
        arguments = ["--upstream", context.upstream] if context.upstream else []
        return [str(context.venv / "bin" / "python"), str(PYTHON / name), "--port", str(context.port), *arguments]

    return command


def own(name: str, *arguments: str) -> Command:
    """A Python server of the project's environment."""
    return lambda context: [str(context.python), str(PYTHON / name), "--port", str(context.port), *arguments]


def node(name: str, *arguments: str) -> Command:
    """A Node.js server. It is started as `.bench/node/NAME` (a link), beside the packages that it imports."""

    def command(context: Context) -> list[str]:
        file = context.node_modules.parent / "node" / name
        links = ["--preserve-symlinks", "--preserve-symlinks-main"]
        return [str(context.node), *links, str(file), "--port", str(context.port), *arguments]

    return command


def launched(
    context: Context,
    template: str,
    command: Sequence[object],
    *,
    words: dict[str, str],
    env: dict[str, str] | None = None,
) -> list[str]:
    """Somebody else's server with a configuration of ours, beside a launcher (launch.py)."""
    launcher = [str(context.python), str(PYTHON / "launch.py"), "--port", str(context.port)]
    launcher += ["--template", str(HERE / "config" / template)]
    for word, value in words.items():
        launcher += ["--set", f"{word}={value}"]
    for name, value in (env or {}).items():
        launcher += ["--env", f"{name}={value}"]
    return [*launcher, "--", *map(str, command)]


def nchan(context: Context) -> list[str]:
    return _nginx(context, "nchan.conf", {"MODULE": str(context.bin / "ngx_nchan_module.so")})


def nginx(context: Context) -> list[str]:
    return _nginx(context, "proxy.conf", {"UPSTREAM": context.upstream.removeprefix("http://")})


def _nginx(context: Context, template: str, words: dict[str, str]) -> list[str]:
    # `-e stderr`: before the configuration is read, too, nothing is written outside the working folder.
    run = [context.bin / "nginx", "-e", "stderr", "-p", context.workdir, "-c", "@CONFIG@"]
    return launched(context, template, run, words=words)


def nats(context: Context) -> list[str]:
    return launched(context, "nats.conf", [context.bin / "nats-server", "--config", "@CONFIG@"], words={})


def litellm(context: Context) -> list[str]:
    programs = context.home / "litellm" / "bin"
    run = [programs / "python", programs / "litellm", "--config", "@CONFIG@", "--host", "127.0.0.1"]
    env = {
        # As its documentation advises for production: one worker per core, warnings only, no access log, no look-ups.
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        # To the provider: 500 connections to one host by default; more streams than that would queue.
        # (0 would mean what aiohttp does by itself: 100.)
        "AIOHTTP_CONNECTOR_LIMIT": "20000",
        "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "20000",
    }
    workers = ["--port", "@PORT@", "--num_workers", "1"]
    return launched(context, "litellm.yaml", [*run, *workers], words={"UPSTREAM": context.upstream}, env=env)


def tokentape(context: Context) -> list[str]:
    run = [context.python, "-m", "tokentape", "serve", "--config", "@CONFIG@", "--port", "@PORT@"]
    return launched(context, "tokentape.toml", run, words={"UPSTREAM": context.upstream})


def posts(path: str, *headers: str) -> Command:
    """`load publish`: each event is the body of a POST, on one connection that stays open."""

    def command(context: Context) -> list[str]:
        publish = [str(context.bin / "load"), "publish", "--port", str(context.port), "--path", path]
        return publish + [part for header in headers for part in ("--header", header)]

    return command


def nats_publisher(context: Context) -> list[str]:
    return [str(context.venv / "bin" / "python"), str(PYTHON / "nats_publisher.py")]
