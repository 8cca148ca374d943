"""Our protocols for uvicorn, by its public extension point: `uvicorn.Config(http=…, ws=…)`, or on its command line.

    uvicorn --http tokentape.server.protocols:HttpProtocol --ws tokentape.server.protocols:WebSocketProtocol app:app

They put a `Link` into `scope["extensions"]["tokentape.transport"]`, and bound what a connection may hold.
"""

from __future__ import annotations

from collections import Counter

from tokentape.server.config import Limits
from tokentape.server.protocols.http import HttpProtocol
from tokentape.server.protocols.websocket import WebSocketProtocol
from tokentape.server.transport import Connections

__all__ = ["HttpProtocol", "WebSocketProtocol", "protocols"]


def protocols(
    limits: Limits, connections: Connections | None = None
) -> tuple[type[HttpProtocol], type[WebSocketProtocol]]:
    """Both protocols with these limits, for `uvicorn.Config(http=…, ws=…)`; `connections` is where they count."""
    bounds = {
        "max_connections": limits.connections,
        "max_per_address": limits.connections_per_address,
        "header_deadline": float(limits.header_deadline),
        "stall": float(limits.write_deadline),
        "addresses": Counter(),
        "tally": connections or Connections(),
    }
    return type("HttpProtocol", (HttpProtocol,), bounds), type("WebSocketProtocol", (WebSocketProtocol,), bounds)
