"""Who may come in: API keys, all or nothing; without keys only those on this machine.

Without a key there is nothing that a caller has to know, so a web page that somebody opens must not be
able to act in their name: `Host` has to be a name of this machine (else a hostile name could be pointed
at it: DNS rebinding), and what changes something must not come from a page of another origin.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from starlette.types import Scope

from tokentape.core.errors import Forbidden, Unauthorized
from tokentape.server.config import ServerConfig

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Requests that change nothing (RFC 9110 §9.2.1)."""


class Gate:
    """Checks each request before anything else does."""

    def __init__(self, config: ServerConfig) -> None:
        self._keys = config.auth.api_keys
        self._delegated = config.auth.delegated
        self._origins = config.cors.origins
        self._hosts = frozenset(host.lower() for host in config.hosts)

    def check(self, scope: Scope) -> None:
        """Raises `Unauthorized` or `Forbidden` for a request, or a WebSocket before its upgrade."""
        websocket = scope["type"] == "websocket"
        if self._keys:
            self.check_token(bearer(scope))
        elif not self._delegated:
            self._check_host(scope)
        # A key is not sent by a browser of its own accord; a WebSocket is opened across origins without asking.
        if websocket or (not self._keys and scope["method"] not in SAFE_METHODS):
            self._check_origin(scope)

    def check_token(self, token: str | None) -> None:
        """Raises `Unauthorized` for what is not one of the keys. Looks at all of them, in constant time each."""
        if not self._keys:
            return
        if token is None:
            raise Unauthorized("This server needs a key: send 'Authorization: Bearer <key>', or 'x-api-key: <key>'.")
        if not any([key.matches(token) for key in self._keys]):  # noqa: C419 - no early end, which would tell something
            raise Unauthorized("This key is not one that this server knows.")

    def _check_host(self, scope: Scope) -> None:
        hosts = _values(scope, b"host")
        name = _host_name(hosts[0]) if len(hosts) == 1 else ""
        if not (is_loopback(name) or name in self._hosts):
            raise Forbidden(
                f"This server has no API keys, so it answers only to names of this machine, not to {name[:80]!r}. "
                "Set `auth.api_keys`, or add the name to `hosts`."
            )

    def _check_origin(self, scope: Scope) -> None:
        origins = _values(scope, b"origin")
        for origin in origins:
            if not (origin in self._origins or "*" in self._origins or _same_origin(origin, _values(scope, b"host"))):
                raise Forbidden(
                    f"Pages of the origin {origin[:80]!r} may not use this server. "
                    "Add the origin to `cors.origins` when it should."
                )


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine as only this machine sees it."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def bearer(scope: Scope) -> str | None:
    """The key that a request brings."""
    for value in _values(scope, b"authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
    # Where Anthropic's clients put it.
    keys = _values(scope, b"x-api-key")
    return keys[0].strip() if keys else None


def _host_name(host: str) -> str:
    if host.startswith("["):
        address, bracket, _ = host.partition("]")
        return address + bracket if bracket else ""
    return host.partition(":")[0].lower()


def _same_origin(origin: str, hosts: Iterable[str]) -> bool:
    # By host and port only: behind a proxy that ends TLS the scheme is not ours to see.
    place = _without_default_port(origin.partition("://")[2])
    return bool(place) and [place] == [_without_default_port(host) for host in hosts]


def _without_default_port(place: str) -> str:
    return place.lower().removesuffix(":80").removesuffix(":443")
