-- Keys of requests that joined an earlier one: see ../mysql/0040_erasure_joins.sql.

CREATE TABLE erasure_joins (
    key_hash    TEXT NOT NULL PRIMARY KEY,
    erasure_id  TEXT NOT NULL,
    asked       TEXT NOT NULL
) WITHOUT ROWID;
