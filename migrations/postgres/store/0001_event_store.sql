-- What the store is: format, number of shards, clock, number of openings.
CREATE TABLE meta (
    key   text COLLATE "C" NOT NULL PRIMARY KEY,
    value text NOT NULL
);

-- The logs of the role. The number is part of every event's id.
CREATE TABLE log (
    number smallint          NOT NULL PRIMARY KEY CHECK (number BETWEEN 0 AND 126),
    name   text COLLATE "C"  NOT NULL UNIQUE,
    log_id uuid              NOT NULL
);

-- One row per shard of every log, from the log's creation on: a missing row is
-- damage and not an empty shard. Whoever appends to a shard locks its row first.
-- The pages are left almost empty: each append writes the row anew, and finds
-- room beside it.
CREATE TABLE shard_head (
    log         smallint NOT NULL,
    shard       smallint NOT NULL,
    size        bigint   NOT NULL,
    leaf        bytea    NOT NULL,
    frontier    bytea    NOT NULL,
    recorded_at text     NOT NULL,
    -- SHA-256 over the rest of the row, because most damage to the frontier
    -- would otherwise show only when all records are hashed again.
    checksum    bytea    NOT NULL,
    PRIMARY KEY (log, shard)
) WITH (fillfactor = 20);

-- The records, by the month in which they were recorded: a month is a partition,
-- and can be moved to cheaper storage, or detached, by itself. Partitions are made
-- by the store. month = 12 * year + month of the year, from 0, in UTC.
-- id = log << 56 | shard << 40 | position, so that a shard is one range.
CREATE TABLE event (
    id      bigint  NOT NULL,
    month   integer NOT NULL,
    -- First 16 bytes of SHA-256 over log, category and id of the stream.
    stream  uuid    NOT NULL,
    version bigint  NOT NULL,
    leaf    bytea   NOT NULL,
    record  bytea   NOT NULL,
    PRIMARY KEY (id, month)
) PARTITION BY RANGE (month);
CREATE UNIQUE INDEX event_stream ON event (stream, version, month);

-- In which months a shard's records are: a read by position goes to one partition.
CREATE TABLE shard_month (
    log            smallint NOT NULL,
    shard          smallint NOT NULL,
    month          integer  NOT NULL,
    first_position bigint   NOT NULL,
    PRIMARY KEY (log, shard, month)
);

-- The last version of each stream, and in which months its records are. Also the
-- unique key that refuses a stream twice, which no index over all partitions can be.
CREATE TABLE stream (
    key         uuid    NOT NULL PRIMARY KEY,
    version     bigint  NOT NULL,
    first_month integer NOT NULL,
    last_month  integer NOT NULL
) WITH (fillfactor = 85);

-- Remembered commands. The id comes first, because UUIDv7 grows at one end.
CREATE TABLE command (
    id         uuid             NOT NULL,
    log        smallint         NOT NULL,
    department text COLLATE "C" NOT NULL,
    digest     bytea            NOT NULL,
    result     bytea            NOT NULL,
    PRIMARY KEY (id, log, department)
);

-- A row without `next` is no checkpoint yet: it is there to be locked by whoever
-- sets the first one.
CREATE TABLE checkpoint (
    consumer text COLLATE "C" NOT NULL,
    shard    smallint         NOT NULL,
    next     bigint,
    log_id   uuid,
    leaf     bytea,
    seen_at  text,
    epoch    bigint,
    hint     bigint,
    PRIMARY KEY (consumer, shard),
    CHECK (next IS NULL OR num_nulls(log_id, leaf, seen_at, epoch) = 0)
) WITH (fillfactor = 40);

CREATE TABLE view_name (
    number integer          NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name   text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE view_row (
    view  integer  NOT NULL,
    shard smallint NOT NULL,
    key   bytea    NOT NULL,
    value bytea    NOT NULL,
    PRIMARY KEY (view, shard, key)
) WITH (fillfactor = 85);

-- Who does what runs once per shard, and until when by the database's clock. The
-- epoch grows with each change of holder.
CREATE TABLE lease (
    name       text COLLATE "C" NOT NULL,
    shard      smallint         NOT NULL,
    epoch      bigint           NOT NULL,
    holder     uuid,
    expires_at timestamptz      NOT NULL,
    PRIMARY KEY (name, shard),
    CHECK (epoch > 0)
) WITH (fillfactor = 40);

-- The processes that share a name's shards, each as long as it says so.
CREATE TABLE lease_member (
    name       text COLLATE "C" NOT NULL,
    holder     uuid             NOT NULL,
    expires_at timestamptz      NOT NULL,
    PRIMARY KEY (name, holder)
);
