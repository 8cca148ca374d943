"""The Durable Streams protocol on `/v1/stream/…`, over any store (docs/durable-streams.md).

`headers` reads what a request asks for, `source` finds the stream that it means; `creation`, `appending`, `reading`
and `live` do it, `forks` remembers who was forked from whom, and `routes` puts it together.
"""

from tokentape.server.durable_streams.headers import RESPONSE_HEADERS
from tokentape.server.durable_streams.routes import durable_routes

__all__ = ["RESPONSE_HEADERS", "durable_routes"]
