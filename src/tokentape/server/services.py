"""What the server serves: the composed parts of one process."""

from __future__ import annotations

from dataclasses import dataclass, field

from tokentape.hub import Hub
from tokentape.hub.channels import Channels
from tokentape.providers.catalog import Catalog
from tokentape.runs import Runs
from tokentape.server.config import ServerConfig
from tokentape.server.instances import Instances
from tokentape.server.transport import Connections
from tokentape.stores.base import Store


@dataclass(frozen=True)
class Services:
    """Composed by `tokentape.tape.Tape`; every route finds it as `app.state.services`."""

    store: Store
    hub: Hub
    runs: Runs
    channels: Channels
    catalog: Catalog
    config: ServerConfig
    version: str
    instances: Instances
    connections: Connections = field(default_factory=Connections)
    address: str = ""
    """Of the store, as it was given; empty for one that came as an object."""
