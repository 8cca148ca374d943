"""Who stands between a client and the server, and what its settings are called. Pure.

Sources: nginx (ngx_http_proxy_module, ngx_http_gzip_module), HAProxy 3 configuration manual (timeouts, `compression`),
Caddy (reverse_proxy `flush_interval`, `encode`), Apache (mod_proxy `flushpackets`, mod_deflate), Traefik (compress,
`respondingTimeouts`), Envoy (route `timeout`, `stream_idle_timeout`), AWS (ALB idle timeout), Cloudflare (docs on SSE).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec


class Intermediary(msgspec.Struct, frozen=True):
    """A proxy, and how it is told to leave a stream alone."""

    name: str
    buffering: str
    compression: str
    idle: str
    upgrade: str


UNKNOWN: Final = Intermediary(
    "a proxy that does not say its name",
    "switch off response buffering for this route (nginx: `proxy_buffering off`; HAProxy: `option http-no-delay`; "
    "Caddy: `flush_interval -1`; Apache: `flushpackets=on`)",
    "leave `text/event-stream` out of compression (nginx: `gzip_types`; HAProxy: `compression type`; Caddy: `encode`)",
    "raise the idle time-out of the connection to the server (nginx: `proxy_read_timeout`; HAProxy: `timeout server`)",
    "let WebSocket upgrades through (nginx: `proxy_http_version 1.1` with the Upgrade and Connection headers)",
)

_KNOWN: Final = (
    (
        "cloudflare",
        Intermediary(
            "Cloudflare",
            "a cache rule that bypasses the cache for this path (and no feature that rewrites responses)",
            "`Cache-Control: no-transform` must reach it: look for what removes that header",
            "100 seconds without a byte are its limit: keep `limits.heartbeat` well below",
            "Network → WebSockets, in the dashboard",
        ),
    ),
    (
        "nginx",
        Intermediary(
            "nginx",
            "`proxy_buffering off;` in this location (and no `proxy_ignore_headers X-Accel-Buffering`)",
            "take text/event-stream out of `gzip_types` (and of `brotli_types`)",
            "`proxy_read_timeout` and `proxy_send_timeout`, 1h for instance",
            "`proxy_http_version 1.1;`, `proxy_set_header Upgrade $http_upgrade;` and "
            "`proxy_set_header Connection $connection_upgrade;`",
        ),
    ),
    (
        "caddy",
        Intermediary(
            "Caddy",
            "`flush_interval -1` in `reverse_proxy`",
            "`encode` without text/event-stream: `encode { match header Content-Type text/html* … }`",
            "`transport http { read_timeout 0 }`, and `timeouts` of the server",
            "`reverse_proxy` does it by itself: look for a matcher that keeps /v1/ws from it",
        ),
    ),
    (
        "haproxy",
        Intermediary(
            "HAProxy",
            "no `option http-buffer-request`, no filter that waits for the body, and `option http-no-delay`",
            "take text/event-stream out of `compression type`",
            "`timeout server`, `timeout client` and `timeout tunnel`, 1h for instance",
            "`timeout tunnel`; HAProxy passes upgrades by itself",
        ),
    ),
    (
        "apache",
        Intermediary(
            "Apache",
            "`ProxyPass … flushpackets=on`",
            '`SetEnvIf Request_URI "/events$" no-gzip`',
            "`ProxyTimeout`, or `timeout=` of ProxyPass",
            "`ProxyPass … upgrade=websocket`",
        ),
    ),
    (
        "traefik",
        Intermediary(
            "Traefik",
            "no `buffering` middleware on this router",
            "`excludedContentTypes: [text/event-stream]` in the compress middleware",
            "`respondingTimeouts.idleTimeout` and `serversTransport.forwardingTimeouts`",
            "Traefik passes upgrades by itself: look at the router's rule",
        ),
    ),
    (
        "envoy",
        Intermediary(
            "Envoy",
            "no `buffer` filter on this route",
            "take text/event-stream out of the compressor's `content_type`",
            "`timeout: 0s` of the route and `stream_idle_timeout`",
            "`upgrade_configs: [{upgrade_type: websocket}]`",
        ),
    ),
    (
        "awselb",
        Intermediary(
            "AWS load balancer",
            "nothing: it does not buffer; look behind it",
            "nothing: it does not compress; look behind it",
            "`idle_timeout.timeout_seconds` of the load balancer",
            "nothing: it passes upgrades; look at the target group",
        ),
    ),
)


def identify(headers: Mapping[str, str]) -> Intermediary | None:
    """Who says that it is there; None when nobody does. Header names are in lower case.

    Several may stand in a row: it is the one nearest to the client that is named.
    """
    marks = " ".join(headers.get(name, "") for name in ("server", "via", "x-powered-by")).lower()
    if "cf-ray" in headers:
        marks = "cloudflare " + marks
    for mark, intermediary in _KNOWN:
        if mark in marks:
            return intermediary
    return UNKNOWN if headers.get("via") or headers.get("server") else None
