-- Rows are only ever appended, and erased by overwriting them in place with as
-- many zeros, never deleted: even with secure_delete, SQLite may leave a copy
-- behind when it moves rows between pages, and such rows are never moved.

-- Derived from the master key the ring was created with.
CREATE TABLE master_check (
    id    INTEGER PRIMARY KEY CHECK (id = 0),
    value BLOB NOT NULL CHECK (length(value) = 32)
) STRICT;

-- Data keys, one live one per stream. An erased row keeps the key's id.
CREATE TABLE data_key (
    number  INTEGER PRIMARY KEY,
    lookup  BLOB NOT NULL CHECK (length(lookup) = 32),
    key_id  BLOB NOT NULL CHECK (length(key_id) = 16),
    wrapped BLOB NOT NULL,
    erased  INTEGER NOT NULL CHECK (erased IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX data_key_by_lookup ON data_key (lookup) WHERE erased = 0;
CREATE UNIQUE INDEX data_key_by_id ON data_key (key_id);

-- Pseudonyms of officers (1) and natural persons (2). An erased row keeps nothing.
CREATE TABLE pseudonym (
    number  INTEGER PRIMARY KEY,
    kind    INTEGER NOT NULL CHECK (kind IN (1, 2)),
    lookup  BLOB NOT NULL CHECK (length(lookup) = 32),
    id      BLOB NOT NULL CHECK (length(id) = 16),
    wrapped BLOB NOT NULL,
    erased  INTEGER NOT NULL CHECK (erased IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX pseudonym_by_lookup ON pseudonym (lookup, kind) WHERE erased = 0;
CREATE UNIQUE INDEX pseudonym_by_id ON pseudonym (id, kind) WHERE erased = 0;
