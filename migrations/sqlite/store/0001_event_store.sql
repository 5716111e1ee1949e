-- What the store is: format, number of shards, clock, lease epoch.
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- The logs of all roles. The number is part of every event's id.
CREATE TABLE log (
    number INTEGER NOT NULL PRIMARY KEY CHECK (number BETWEEN 0 AND 126),
    name   TEXT    NOT NULL UNIQUE,
    log_id BLOB    NOT NULL CHECK (length(log_id) = 16)
);

-- One row per shard of every log, from the log's creation on: a missing row is
-- damage and not an empty shard.
CREATE TABLE shard_head (
    log         INTEGER NOT NULL,
    shard       INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    leaf        BLOB    NOT NULL,
    frontier    BLOB    NOT NULL,
    recorded_at TEXT    NOT NULL,
    -- SHA-256 over the rest of the row, because most damage to the frontier
    -- would otherwise show only when all records are hashed again.
    checksum    BLOB    NOT NULL,
    PRIMARY KEY (log, shard)
) WITHOUT ROWID;

-- The records. id = log << 56 | shard << 40 | position, so that a shard is one
-- range of the table and needs no second index. A table with rowid, because
-- WITHOUT ROWID keeps only a quarter of a page of each row in the tree.
CREATE TABLE event (
    id      INTEGER NOT NULL PRIMARY KEY,
    -- First 16 bytes of SHA-256 over log, category and id of the stream.
    stream  BLOB    NOT NULL,
    version INTEGER NOT NULL,
    leaf    BLOB    NOT NULL,
    record  BLOB    NOT NULL
);
CREATE UNIQUE INDEX event_stream ON event (stream, version);

-- Remembered commands. The id comes first, because UUIDv7 grows at one end.
CREATE TABLE command (
    id         BLOB    NOT NULL,
    log        INTEGER NOT NULL,
    department TEXT    NOT NULL,
    digest     BLOB    NOT NULL,
    result     BLOB    NOT NULL,
    PRIMARY KEY (id, log, department)
) WITHOUT ROWID;

CREATE TABLE checkpoint (
    consumer TEXT    NOT NULL,
    shard    INTEGER NOT NULL,
    next     INTEGER NOT NULL,
    log_id   BLOB    NOT NULL,
    leaf     BLOB    NOT NULL,
    seen_at  TEXT    NOT NULL,
    epoch    INTEGER NOT NULL,
    PRIMARY KEY (consumer, shard)
) WITHOUT ROWID;

CREATE TABLE view_name (
    number INTEGER NOT NULL PRIMARY KEY,
    name   TEXT    NOT NULL UNIQUE
);

CREATE TABLE view_row (
    view  INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    key   BLOB    NOT NULL,
    value BLOB    NOT NULL,
    PRIMARY KEY (view, shard, key)
) WITHOUT ROWID;
