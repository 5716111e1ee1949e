-- Ids that logs had before their present ones, the oldest with number 0, and how
-- many records of each shard are left of each: a log that is restored from a
-- backup has a new id from there on.
CREATE TABLE former_log_id (
    log    INTEGER NOT NULL,
    number INTEGER NOT NULL,
    shard  INTEGER NOT NULL,
    log_id BLOB    NOT NULL CHECK (length(log_id) = 16),
    size   INTEGER NOT NULL,
    PRIMARY KEY (log, number, shard)
) WITHOUT ROWID;
