"""The Python client: a session without I/O, transports over aiohttp, and `Client`, which joins them.

`BlockingClient` is the same for code without an event loop.
"""

from tokentape.client.answers import Located, Model, Page, Present, Stream
from tokentape.client.blocking import BlockingClient, BlockingWatch
from tokentape.client.client import Client
from tokentape.client.errors import Unreachable
from tokentape.client.session import Item, Opened, Patience, Wait
from tokentape.client.transports import Transport
from tokentape.client.watch import Notice, Watch
from tokentape.core.backoff import Backoff
from tokentape.hub.channels import Publish

__all__ = [
    "Backoff",
    "BlockingClient",
    "BlockingWatch",
    "Client",
    "Item",
    "Located",
    "Model",
    "Notice",
    "Opened",
    "Page",
    "Patience",
    "Present",
    "Publish",
    "Stream",
    "Transport",
    "Unreachable",
    "Wait",
    "Watch",
]
