"""The store on Redis (7.0 or later) or Valkey: for several processes and machines that share their streams.

| Module | Job |
|---|---|
| store | coroutines, for the event loop |
| url | from a URL to a `Target` |
| link | connections, and commands over them: one attempt, or as many as there is time for |
| errors | Redis's errors in our words, and which are worth another attempt |
| opening | what is checked when the store is opened |
| keys | the names of all keys |
| state | what is kept of a stream beside its records |
| entries | an append on its way, and what came of it |
| calls | the entries of a round as few script calls |
| writer | what is handed in, in rounds: one write for all that waits |
| reads | what is asked for at the same time, as one call |
| reader | the one connection on which wake-ups arrive |
| positions | where the streams in use stand, so that a lost wake-up does no harm |
| index | the names of all streams, for listing |
| leases, presence, queue | these capabilities |
| scripts/*.lua | every change of a stream, each as one atomic step |

A stream is a Redis Stream with the ids `<offset>-0`, and a hash with its state; all its keys have one hash tag, so that
they share a slot of a cluster. What is accepted survives what Redis survives, as it is configured.
"""

from tokentape.stores.redis.store import RedisStore, Tuning
from tokentape.stores.redis.url import Target, parse_url

__all__ = ["RedisStore", "Target", "Tuning", "parse_url"]
