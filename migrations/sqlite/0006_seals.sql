-- Sealed records: the keys that were ever used, and from which offsets on a record without a seal is forged.

CREATE TABLE seal_keys (
    key_id         TEXT NOT NULL,
    check_value    TEXT NOT NULL,
    first_used_at  TEXT NOT NULL,
    retired_at     TEXT NULL,
    PRIMARY KEY (key_id)
) WITHOUT ROWID;

-- Any row: the cut-over is decided. A partition without a row takes no record without a seal.
CREATE TABLE seal_cut_over (
    topic        TEXT    NOT NULL,
    `partition`  INTEGER NOT NULL,
    from_offset  INTEGER NOT NULL,
    decided_at   TEXT    NOT NULL,
    PRIMARY KEY (topic, `partition`)
) WITHOUT ROWID;
