-- Buyers whose data is erased: see ../mysql/0036_erasures.sql.

CREATE TABLE erasures (
    erasure_id  TEXT    NOT NULL,
    user_id     TEXT,
    user_hash   TEXT    NOT NULL,
    key_hash    TEXT,
    asked       TEXT    NOT NULL,
    pseudonym   TEXT,
    secret      TEXT,
    lists       INTEGER NOT NULL,
    lists_at    TEXT,
    actor       TEXT    NOT NULL,
    note        TEXT,
    asked_at    TEXT    NOT NULL,
    settled_at  TEXT    NOT NULL,
    done_at     TEXT,
    erased      TEXT    NOT NULL,
    PRIMARY KEY (erasure_id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX erasures_user ON erasures (user_id);
CREATE UNIQUE INDEX erasures_key ON erasures (key_hash);
CREATE INDEX erasures_hash ON erasures (user_hash, asked_at);

CREATE TABLE erasure_keys (
    key_id  INTEGER NOT NULL PRIMARY KEY,
    secret  TEXT    NOT NULL
);
