"""URLs of Redis stores.

    redis://[user:password@]host[:6379][/db]            one server
    unix:///path/to/redis.sock[?db=1]                   one server, through its socket
    redis+sentinel://host[:26379],host…/service[/db]    the master that Sentinel names
    redis+cluster://host[:6379],host…                   a cluster

With `rediss` in place of `redis` all connections use TLS. Options: `prefix` (of all keys, "tape:" unless told),
`timeout` (seconds until an answer is given up, 5), `db`, with TLS `ca` (a file with certificates to trust), and
`sentinel_user` and `sentinel_password`, since the ones before the hosts are for Redis itself.
`valkey` and `valkeys` mean the same as `redis` and `rediss`.
"""

from __future__ import annotations

from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from tokentape.core.errors import SetupError

Kind = Literal["single", "unix", "sentinel", "cluster"]

FORMS: Final = (
    "redis://host:6379/0, rediss://host, unix:///run/redis.sock, redis+sentinel://host:26379/service "
    "or redis+cluster://host:6379"
)
SCHEMES: Final[dict[str, tuple[Kind, bool]]] = {
    f"{name}{'s' if tls else ''}{suffix}": (kind, tls)
    for name in ("redis", "valkey")
    for tls in (False, True)
    for suffix, kind in (("", "single"), ("+sentinel", "sentinel"), ("+cluster", "cluster"))
} | {"unix": ("unix", False)}  # type: ignore[assignment]

MAX_TIMEOUT: Final = 60.0


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where Redis is, and how to talk to it."""

    kind: Kind = "single"
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    """Of the socket, with `unix`."""
    service: str = ""
    """The name of the master, with `sentinel`."""
    db: int = 0
    username: str | None = None
    password: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    tls: bool = False
    ca: str | None = None
    prefix: str = "tape:"
    timeout: float = 5.0

    def __repr__(self) -> str:
        return f"Target({self})"

    def __str__(self) -> str:
        """For logs and messages: never with the password."""
        if self.kind == "unix":
            return f"unix://{self.path}?db={self.db}"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        scheme = ("rediss" if self.tls else "redis") + ("" if self.kind == "single" else f"+{self.kind}")
        path = f"/{self.service}" if self.service else ""
        return f"{scheme}://{hosts}{path}" + ("" if self.kind == "cluster" else f"/{self.db}")


def parse_url(url: str) -> Target:
    """Reads a URL; raises `SetupError` with the way out, which repeats nothing that may hold a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise SetupError(f"The Redis URL cannot be read. Use {FORMS}.") from None
    if parts.scheme not in SCHEMES:
        raise SetupError(f"{parts.scheme[:40]!r} is no scheme of a Redis URL. Use {FORMS}.")
    kind, tls = SCHEMES[parts.scheme]
    if parts.fragment:
        raise SetupError("A '#' in a Redis URL is written %23.")
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    path = [unquote(part) for part in parts.path.split("/")[1:]] if kind != "unix" else []
    service = ""
    if kind == "sentinel":
        service = path.pop(0) if path else ""
        if not service:
            raise SetupError(
                "A redis+sentinel:// URL needs the name of the service: redis+sentinel://host:26379/mymaster."
            )
    if kind == "unix" and (hosts or len(parts.path) < 2):
        raise SetupError("A unix:// URL needs the path of Redis's socket after three slashes: unix:///run/redis.sock.")
    db = _db(path, options)
    if kind == "cluster" and db:
        raise SetupError("A Redis cluster has no databases: leave the number out, and use ?prefix= instead.")
    target = Target(
        kind=kind,
        hosts=() if kind == "unix" else _hosts(hosts, 26379 if kind == "sentinel" else 6379, single=kind == "single"),
        path=unquote(parts.path) if kind == "unix" else "",
        service=service,
        db=db,
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_username=(options.pop("sentinel_user", "") or None) if kind == "sentinel" else None,
        sentinel_password=(options.pop("sentinel_password", "") or None) if kind == "sentinel" else None,
        tls=tls,
        ca=options.pop("ca", None) if tls else None,
        prefix=_prefix(options.pop("prefix", "tape:")),
        timeout=_timeout(options.pop("timeout", "5")),
    )
    if options:
        known = "prefix, timeout, db" + (", ca" if tls else "")
        known += ", sentinel_user, sentinel_password" if kind == "sentinel" else ""
        raise SetupError(f"The Redis URL has the unknown option {min(options)[:40]!r}. Known: {known}.")
    return target


def _hosts(text: str, default: int, *, single: bool) -> tuple[tuple[str, int], ...]:
    hosts = []
    for part in text.split(","):
        try:
            parts = urlsplit(f"//{part}")
            host, port = parts.hostname, parts.port
        except ValueError:
            raise SetupError("The port in the Redis URL is not a number from 1 to 65535.") from None
        if port == 0:
            raise SetupError("The port in the Redis URL is not a number from 1 to 65535.")
        hosts.append((host or "localhost", port or default))
    if single and len(hosts) > 1:
        raise SetupError(
            f"{len(hosts)} hosts are one too many for redis://. Use redis+sentinel:// or redis+cluster://."
        )
    return tuple(hosts)


def _db(path: list[str], options: dict[str, str]) -> int:
    given = [part for part in path if part] + [options.pop("db", "")]
    numbers = [part for part in given if part]
    if len(numbers) > 1 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in numbers):
        raise SetupError("The database in the Redis URL is not a number: redis://host:6379/0 names the first.")
    return int(numbers[0]) if numbers else 0


def _prefix(text: str) -> str:
    if not text or len(text) > 100 or "{" in text or "}" in text or not text.isprintable():
        raise SetupError("prefix in the Redis URL must be 1 to 100 printable characters without '{' and '}'.")
    return text


def _timeout(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= MAX_TIMEOUT:
        raise SetupError(f"timeout={text[:20]!r} in the Redis URL is not a number of seconds, at most {MAX_TIMEOUT:g}.")
    return seconds
