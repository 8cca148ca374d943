-- The SQLite store's file, version 2. Why records live in a journal first: docs/adr/0002-sqlite-through-apsw.md.

-- What never changes about a stream. Ids are never used again: the journal and `garbage` name streams by id.
CREATE TABLE stream (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL UNIQUE,
  epoch      TEXT NOT NULL,
  config     BLOB NOT NULL,              -- JSON of StreamConfig
  created_at INTEGER NOT NULL,           -- milliseconds since the Unix epoch, as all `_at`
  expires_at INTEGER                     -- of its retention, where there is one
) STRICT;
CREATE INDEX stream_expires_at ON stream (expires_at) WHERE expires_at IS NOT NULL;

-- A stream's state as of journal row `journal`; later rows of the journal move it on. No row: nothing happened yet.
CREATE TABLE head (
  stream       INTEGER PRIMARY KEY,
  journal      INTEGER NOT NULL,
  first        INTEGER NOT NULL,
  last         INTEGER NOT NULL,
  bytes        INTEGER NOT NULL,
  appended_at  INTEGER NOT NULL,         -- 0: never
  closed_at    INTEGER NOT NULL,         -- 0: open
  sequence     TEXT,
  idle_until   REAL,                     -- steady seconds (retention.py); NULL: never, as the next two
  closed_until REAL,
  due          REAL                      -- the earlier of the two
) STRICT;
CREATE INDEX head_due ON head (due) WHERE due IS NOT NULL;

-- One row per commit: MessagePack of Row (journal.py), all changes of all streams. Rows go once they are in `head` and `segment`.
CREATE TABLE journal (
  seq     INTEGER PRIMARY KEY,
  changes BLOB NOT NULL
) STRICT;

-- A run of records of one stream: MessagePack array of their bytes, for the offsets `first`…`last`.
CREATE TABLE segment (
  stream  INTEGER NOT NULL,
  last    INTEGER NOT NULL,
  first   INTEGER NOT NULL,
  records BLOB NOT NULL,
  PRIMARY KEY (stream, last)
) STRICT, WITHOUT ROWID;

CREATE TABLE record_key (
  stream   INTEGER NOT NULL,
  key      TEXT NOT NULL,
  position INTEGER NOT NULL,             -- the record's offset
  PRIMARY KEY (stream, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_key_position ON record_key (stream, position);

CREATE TABLE producer (
  stream INTEGER NOT NULL,
  id     TEXT NOT NULL,
  epoch  INTEGER NOT NULL,
  seq    INTEGER NOT NULL,
  place  INTEGER NOT NULL DEFAULT 0,     -- grows with each write: those that wrote last are kept
  PRIMARY KEY (stream, id)
) STRICT, WITHOUT ROWID;

-- Leases acquired and not released. Those of an earlier process are dead.
CREATE TABLE lease (
  name   TEXT PRIMARY KEY,
  token  INTEGER NOT NULL,
  holder TEXT NOT NULL,
  value  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Deleted streams whose records are still being removed, a slice at a time.
CREATE TABLE garbage (
  stream INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE counter (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('journal', 0), ('lease', 0);
