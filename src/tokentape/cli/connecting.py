"""The client of a command. Apart from what all commands share: a server needs none, and loading one takes a while."""

from __future__ import annotations

import os

from tokentape.client import Client, Patience, Transport


def connect(url: str, transport: Transport = "sse", *, patience: Patience | None = None) -> Client:
    """A client of the server at `url`; the credential comes from the environment, where `ps` does not show it."""
    return Client(url, token=os.environ.get("TOKENTAPE_TOKEN") or None, transport=transport, patience=patience)
