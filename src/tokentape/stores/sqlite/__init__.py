"""The SQLite store: one file, one process, and one commit for everything that waits.

| Module | Job |
|---|---|
| store | coroutines, for the event loop |
| writer | the one thread that writes, and its queue |
| engine | what that thread does: a transaction for all calls that wait |
| journal | what a commit writes |
| catalog, head | the streams, and the state in memory of those in use |
| segments | where records stay, and how they are read |
| upkeep | has done between commits: flush (from the journal into segments), sweep (retention), checkpoint |
| database | opening, locking, and SQLite's errors; the tables are in schema.sql |
"""

from tokentape.stores.sqlite.database import Durability
from tokentape.stores.sqlite.engine import Tuning
from tokentape.stores.sqlite.store import SqliteStore

__all__ = ["Durability", "SqliteStore", "Tuning"]
