-- Who sends records, and with which keys: nothing is taken from a process that still uses it.

CREATE TABLE seal_senders (
    process    TEXT    NOT NULL,
    key_id     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    seals      INTEGER NOT NULL,
    stopped    INTEGER NOT NULL,
    seen_at    TEXT    NOT NULL,
    PRIMARY KEY (process, key_id)
) WITHOUT ROWID;

CREATE INDEX seal_senders_key ON seal_senders (key_id);

-- Nobody sends so any more: first this is said, then senders are waited for, then it takes effect where records are landed.
CREATE TABLE seal_ends (
    key_id        TEXT NOT NULL,
    announced_at  TEXT NOT NULL,
    PRIMARY KEY (key_id)
) WITHOUT ROWID;
