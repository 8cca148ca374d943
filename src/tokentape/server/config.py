"""The configuration of a server: one frozen tree, read once at the edge.

`tokentape.toml`, then the environment (`TOKENTAPE_PORT`, `TOKENTAPE_LIMITS_HEARTBEAT`, …), then what the
command line gave: the later wins, setting by setting.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from tokentape.core.errors import SetupError
from tokentape.providers.catalog import CatalogConfig, configured
from tokentape.runs import RunSettings
from tokentape.server.settings import ApiKey, Bytes, Seconds, read_setting
from tokentape.stores.base import Retention

ENVIRONMENT: Final = "TOKENTAPE_"
CATALOG_TABLES: Final = frozenset({"models", "providers"})
"""Tables of the same file that belong to `tokentape.providers.catalog`."""

MAX_LEASE: Final = 3600
"""Seconds for which nobody would notice that a process has died."""
MAX_WORKERS: Final = 256
MAX_CROWD: Final = 10_000
"""Watchers that one process can be, and be measured well."""

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s,*]+", re.ASCII)
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", re.ASCII)


class _Section(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Limits(_Section, frozen=True, kw_only=True):
    """What one caller may cost."""

    header_deadline: Seconds = Seconds(10)
    """For the headers of a request to arrive, from the connection or from their first byte."""
    max_body: Bytes = Bytes(1_048_576)
    """Of a request."""
    body_deadline: Seconds = Seconds(15)
    """For a whole request body to arrive."""
    max_streams: int = 64
    """On one connection with several streams."""
    write_deadline: Seconds = Seconds(15)
    """A watcher that takes no byte for so long is cut."""
    heartbeat: Seconds = Seconds(10)
    """A comment is sent when nothing else was for so long."""
    connections: int = 20_000
    connections_per_address: int = 0
    """From one client address; 0 is without that bound. Behind a proxy, all have the proxy's address."""
    watchers_per_stream: int = 20_000
    live_runs: int = 10_000

    def __post_init__(self) -> None:
        if min(self.write_deadline, self.heartbeat, self.body_deadline, self.header_deadline) <= 0:
            raise ValueError("write_deadline, heartbeat, body_deadline and header_deadline must be longer than nothing")
        if self.connections_per_address < 0:
            raise ValueError("connections_per_address must be 0, for no bound, or more")
        if min(self.max_body, self.max_streams, self.connections, self.watchers_per_stream, self.live_runs) < 1:
            raise ValueError("a limit must be at least 1")


class RunsConfig(_Section, frozen=True, kw_only=True):
    """Who executes runs, and when a process is taken for dead."""

    execute: Literal["inline", "workers"] = "inline"
    """By the process that takes them, or by `tokentape worker`, which needs a store that processes share."""
    concurrency: int = 100
    """Runs that one worker executes at a time."""
    lease: Seconds = Seconds(8)
    """A process that is silent for so long is taken for dead, and its runs are ended or restarted."""

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        if not 1 <= self.lease <= MAX_LEASE:
            raise ValueError(f"lease is from 1 to {MAX_LEASE} seconds")


class RetentionConfig(_Section, frozen=True, kw_only=True):
    """How long streams are kept; zero is without that bound."""

    runs_after_close: Seconds = Seconds(7 * 86_400)
    """The stream of a run, after its end."""
    runs_max_bytes: Bytes = Bytes(0)
    channels_max_bytes: Bytes = Bytes(67_108_864)
    channels_idle: Seconds = Seconds(0)
    """A channel that nobody has read from or published to."""

    def runs(self) -> Retention:
        """What the stream of a run is created with."""
        # Plain numbers: these are stored.
        return Retention(after_close=float(self.runs_after_close), max_bytes=int(self.runs_max_bytes))

    def channels(self) -> Retention:
        """What a channel is created with."""
        return Retention(idle=float(self.channels_idle), max_bytes=int(self.channels_max_bytes))


class DurableStreams(_Section, frozen=True, kw_only=True):
    """How long a reader of `/v1/stream/…` is kept."""

    long_poll: Seconds = Seconds(20)
    """A long-poll without anything new is answered after so long."""
    sse: Seconds = Seconds(60)
    """After about so long an event stream ends, and its client comes back: that is how the protocol wants it."""

    def __post_init__(self) -> None:
        if min(self.long_poll, self.sse) <= 0:
            raise ValueError("long_poll and sse must be longer than nothing")


class Auth(_Section, frozen=True, kw_only=True):
    """Who may come in."""

    api_keys: tuple[ApiKey, ...] = ()
    """Without one the server is open, and so stays on loopback."""
    delegated: bool = False
    """Somebody in front (the application that mounts the tape, or a proxy) lets only those in who may."""


class Cors(_Section, frozen=True, kw_only=True):
    """Which web pages of other origins may use the server from a browser."""

    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for origin in self.origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r:.80} is not an origin; write scheme and host, such as 'https://example.com'"
                )


class AiSdk(_Section, frozen=True, kw_only=True):
    """The routes of the Vercel AI SDK."""

    version: Literal["5", "6", "7"] = "7"
    """Spoken to a chat whose address names none: the SDK does not say which it is."""


class Admin(_Section, frozen=True, kw_only=True):
    """What an operator sees and does: `/v1/admin/…`."""

    enabled: Literal["auto", "on", "off"] = "auto"
    """With `auto` it is on where the server listens on loopback only, and nobody else is let in there."""
    max_crowd: int = 1000
    """Watchers that the load generator may be; 0 turns it off."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_crowd <= MAX_CROWD:
            raise ValueError(f"max_crowd is from 0 to {MAX_CROWD}")


class Log(_Section, frozen=True, kw_only=True):
    """What is written to stderr."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"
    access: bool = False
    """One line per request, without its query."""


class ServerConfig(_Section, frozen=True, kw_only=True):
    """Everything that can be set."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 is any free one."""
    store: str = "sqlite:///tokentape.db"
    hosts: tuple[str, ...] = ()
    """Names under which an open server may be addressed, besides those of loopback."""
    workers: int = 1
    """Server processes on the one address; more than one needs a store that processes can share."""
    shutdown_delay: Seconds = Seconds(0)
    """How long a server that is told to end goes on as before, but not ready, so that load balancers notice."""
    shutdown_grace: Seconds = Seconds(20)
    """What running generations get after that."""
    io_uring: bool = True
    """Write to many watchers with one system call, where the kernel lets us (Linux)."""
    runs: RunsConfig = RunsConfig()
    limits: Limits = Limits()
    retention: RetentionConfig = RetentionConfig()
    durable_streams: DurableStreams = DurableStreams()
    auth: Auth = Auth()
    cors: Cors = Cors()
    ai_sdk: AiSdk = AiSdk()
    admin: Admin = Admin()
    log: Log = Log()
    providers: CatalogConfig = CatalogConfig()

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port is from 0 to 65535, not {self.port}")
        if not 1 <= self.workers <= MAX_WORKERS:
            raise ValueError(f"workers is from 1 to {MAX_WORKERS}, not {self.workers}")
        for host in self.hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r:.80} in hosts is not the name of a host")
        if "*" in self.cors.origins and not self.auth.api_keys:
            raise ValueError("cors.origins = ['*'] needs auth.api_keys: any web page could use the server otherwise")

    def run_settings(self) -> RunSettings:
        """What runs need to know of it."""
        return RunSettings(
            retention=self.retention.runs(),
            max_live=self.limits.live_runs,
            execute=self.runs.execute,
            lease=float(self.runs.lease),
        )


def load_config(toml: bytes | None, env: Mapping[str, str], overrides: Mapping[str, Any]) -> ServerConfig:
    """Reads the whole configuration; pure.

    `overrides` has dotted names (`limits.heartbeat`); those that are None are left out. Raises `SetupError` with
    the setting at fault, where it came from, and for an unknown one the nearest that there is.
    """
    tables = _parse(toml)
    layers = [
        (_flatten({k: v for k, v in tables.items() if k not in CATALOG_TABLES}, ServerConfig), "tokentape.toml"),
        (_environment(env), "the environment"),
        ({name: value for name, value in overrides.items() if value is not None}, "the command line"),
    ]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for layer, source in layers:
        for name, value in layer.items():
            _check_known(name, source)
            values[name], sources[name] = value, source
    return _convert(values, sources, configured(tables, env))


def _parse(toml: bytes | None) -> dict[str, Any]:
    try:
        return tomllib.loads((toml or b"").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"tokentape.toml is not TOML: {error}") from None


def _sections(kind: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct]]:
    fields = msgspec.structs.fields(kind)
    return {f.name: f.type for f in fields if isinstance(f.type, type) and issubclass(f.type, _Section)}


def _names(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    sections = _sections(kind)
    for field in msgspec.structs.fields(kind):
        if field.name in sections:
            yield from _names(sections[field.name], f"{prefix}{field.name}.")
        elif field.name != "providers":
            yield prefix + field.name


def _flatten(table: Mapping[str, Any], kind: type[msgspec.Struct], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    sections = _sections(kind)
    for name, value in table.items():
        section = sections.get(name)
        if section is None:
            flat[prefix + name] = value
        elif isinstance(value, dict):
            flat |= _flatten(value, section, f"{prefix}{name}.")
        else:
            raise SetupError(
                f"`{prefix}{name}` in tokentape.toml is a table; write [{prefix}{name}] on a line of its own."
            )
    return flat


def settings_of(config: ServerConfig) -> Iterator[tuple[str, Any]]:
    """Every setting with its value, by its dotted name."""
    for name in _SETTINGS:
        value: Any = config
        for part in name.split("."):
            value = getattr(value, part)
        yield name, value


_SETTINGS: Final = tuple(_names(ServerConfig))
_VARIABLES: Final = {ENVIRONMENT + name.replace(".", "_").upper(): name for name in _SETTINGS}
_OURS: Final = tuple(f"{ENVIRONMENT}{section.upper()}_" for section in _sections(ServerConfig))
_LISTS: Final = frozenset({"hosts", "auth.api_keys", "cors.origins"})


def _environment(env: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, text in env.items():
        name = _VARIABLES.get(variable)
        if name is not None:
            found[name] = [item.strip() for item in text.split(",") if item.strip()] if name in _LISTS else text
        elif variable.startswith(_OURS):
            # Other variables with our prefix may be meant for a client.
            raise SetupError(f"{variable} in the environment is not a setting.{_nearest(variable, _VARIABLES)}")
    return found


def _check_known(name: str, source: str) -> None:
    if name not in _SETTINGS:
        raise SetupError(f"`{name}` in {source} is not a setting.{_nearest(name, _SETTINGS)}")


def _nearest(name: str, known: Iterator[str] | Mapping[str, str] | tuple[str, ...]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not close:
        # A setting under the wrong table has the same last part.
        close = [other for other in names if other.rpartition(".")[2] == name.rpartition(".")[2]]
    return f" Did you mean `{close[0]}`?" if close else f" The settings are: {', '.join(names)}."


def _convert(values: Mapping[str, Any], sources: Mapping[str, str], providers: CatalogConfig) -> ServerConfig:
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *parents, last = name.split(".")
        table = tree
        for parent in parents:
            table = table.setdefault(parent, {})
        table[last] = value
    try:
        config = msgspec.convert(tree, ServerConfig, strict=False, dec_hook=read_setting)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        name = re.split(r"[`\[]", path)[0]
        where = f"`{name}` in {sources[name]}: " if name in sources else f"`{name}`: " if name else ""
        raise SetupError(f"{where}{message}.") from None
    return msgspec.structs.replace(config, providers=providers)
