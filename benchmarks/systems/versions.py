"""Which version of a system is measured."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Callable

from systems.system import Context


def packages(*names: str, environment: str = "venv") -> Callable[[Context], str]:
    """Of Python packages in one of the peers' environments."""

    def version(context: Context) -> str:
        paths = [str(path) for path in (context.home / environment).glob("lib/python*/site-packages")]
        found = {item.name.lower(): item.version for item in importlib.metadata.distributions(path=paths)}
        return ", ".join(f"{name} {found[name.lower()]}" for name in names)

    return version


def modules(*names: str) -> Callable[[Context], str]:
    """Of npm packages, and of the Node.js that runs them."""

    def version(context: Context) -> str:
        texts = [(context.node_modules / name / "package.json").read_text("utf-8") for name in names]
        found = [f"{name} {json.loads(text)['version']}" for name, text in zip(names, texts, strict=True)]
        return ", ".join([*found, f"Node.js {_output(str(context.node), '--version').removeprefix('v')}"])

    return version


def nginx(context: Context) -> str:
    return _output(str(context.bin / "nginx"), "-v").replace("nginx version: ", "").replace("/", " ")


def nchan(context: Context) -> str:
    package = _output("dpkg-query", "--show", "--showformat=${Version}", "libnginx-mod-nchan")
    return f"nchan {package.split(':')[-1].split('+')[0]}, {nginx(context)}"


def nats(context: Context) -> str:
    return _output(str(context.bin / "nats-server"), "--version").replace(": v", " ")


def tokentape(_context: Context) -> str:
    version = importlib.metadata.version
    return f"tokentape {version('tokentape')}, uvicorn {version('uvicorn')}, Python {platform.python_version()}"


def _output(*command: str) -> str:
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, text=True, timeout=10)
    return run.stdout.strip()
