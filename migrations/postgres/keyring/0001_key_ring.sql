-- A row that is erased is deleted, and its partition then written anew without it,
-- with new files: in Postgres a row that is overwritten or deleted stays in its page.
-- Hence the partitions: only a part of the table is written anew.

CREATE TABLE meta (
    key   text COLLATE "C" NOT NULL PRIMARY KEY,
    value text NOT NULL
);

-- Derived from the master key the ring was created with.
CREATE TABLE master_check (
    id    integer NOT NULL PRIMARY KEY CHECK (id = 0),
    value bytea   NOT NULL CHECK (length(value) = 32)
);

-- Data keys, one live one per stream.
CREATE TABLE data_key (
    lookup  bytea NOT NULL CHECK (length(lookup) = 32),
    key_id  uuid  NOT NULL,
    wrapped bytea NOT NULL,
    PRIMARY KEY (lookup)
) PARTITION BY HASH (lookup);
CREATE INDEX data_key_by_id ON data_key (key_id);

-- Ids of erased keys, and nothing else of them.
CREATE TABLE erased_key (
    key_id uuid NOT NULL PRIMARY KEY
);

-- Pseudonyms of officers (1) and natural persons (2).
CREATE TABLE pseudonym (
    kind    smallint NOT NULL CHECK (kind IN (1, 2)),
    lookup  bytea    NOT NULL CHECK (length(lookup) = 32),
    id      uuid     NOT NULL,
    wrapped bytea    NOT NULL,
    PRIMARY KEY (lookup, kind)
) PARTITION BY HASH (lookup);
CREATE INDEX pseudonym_by_id ON pseudonym (id, kind);

-- Partitions that still hold erased bytes.
CREATE TABLE to_wipe (
    partition text COLLATE "C" NOT NULL PRIMARY KEY
);

DO $$
DECLARE
    parent text;
    name   text;
    part   record;
BEGIN
    FOREACH parent IN ARRAY ARRAY['data_key', 'pseudonym'] LOOP
        FOR n IN 0..15 LOOP
            name := parent || '_' || lpad(n::text, 2, '0');
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
                name, parent, n);
        END LOOP;
    END LOOP;
    -- Statistics are samples of the rows, and would keep some of what is erased.
    FOR part IN
        SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
            AND a.attnum > 0 AND NOT a.attisdropped
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET STATISTICS 0', part.relname, part.attname);
    END LOOP;
END $$;
