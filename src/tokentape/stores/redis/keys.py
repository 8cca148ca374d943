"""The names of all keys. Those of one stream have one hash tag, and so live in one slot of a cluster."""

from __future__ import annotations


class Keys:
    """Builds names from a prefix, which keeps several deployments on one server apart."""

    def __init__(self, prefix: str, db: int) -> None:
        self._prefix = prefix
        self.index = f"{prefix}{{index}}:streams"
        """A sorted set of the names of all streams, all with the score 0."""
        self.leases = f"{prefix}{{leases}}"
        """A hash of all leases by name."""
        self.token = f"{prefix}{{leases}}:token"
        """The last fencing token."""
        self.channel = f"{prefix}wake:{db}"
        """Where wake-ups are published. Channels know no databases, so the number is part of the name."""
        self.broadcasts = f"{prefix}live:{db}"
        """Where broadcasts are."""

    def stream(self, name: str) -> tuple[str, str]:
        """State and log of a stream, in the order that the scripts expect."""
        base = f"{self._prefix}{{{_tag(name)}}}"
        return f"{base}:state", f"{base}:log"

    def state(self, name: str) -> str:
        """The first of `stream`."""
        return f"{self._prefix}{{{_tag(name)}}}:state"

    def queue(self, name: str) -> str:
        """The entries of a queue."""
        return f"{self._prefix}{{{_tag(name)}}}:jobs"

    def presence(self, name: str) -> tuple[str, str]:
        """Who is present on a stream: members, and the ends of their time."""
        base = f"{self._prefix}{{{_tag(name)}}}"
        return f"{base}:here", f"{base}:until"


def _tag(name: str) -> str:
    """A name as a hash tag: that ends at the first closing brace, and must not be empty.

    Streams of the names that a server accepts are written as they are; the library allows any.
    """
    return name.replace("%", "%25").replace("}", "%7D") or "%"
