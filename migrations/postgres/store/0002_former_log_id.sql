-- Ids that logs had before their present ones, the oldest with number 0, and how
-- many records of each shard are left of each: a log that is restored from a
-- backup has a new id from there on.
CREATE TABLE former_log_id (
    log    smallint NOT NULL,
    number smallint NOT NULL,
    shard  smallint NOT NULL,
    log_id uuid     NOT NULL,
    size   bigint   NOT NULL,
    PRIMARY KEY (log, number, shard)
);
