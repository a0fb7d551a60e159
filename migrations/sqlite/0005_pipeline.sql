-- The pipeline under faults: what a subject may use at most, records that failed and where they are now,
-- and revoked orders whose holds are to be given back.

-- SQLite changes neither a key nor a check of a table: it is made anew.
CREATE TABLE usage_guarded (
    campaign_id   TEXT    NOT NULL,
    counter       TEXT    NOT NULL,
    window_start  INTEGER NOT NULL,
    subject       TEXT    NOT NULL,
    used          INTEGER NOT NULL,
    allowed       INTEGER NULL,
    PRIMARY KEY (campaign_id, counter, subject, window_start),
    CHECK (used <= allowed)
) WITHOUT ROWID;

INSERT INTO usage_guarded (campaign_id, counter, window_start, subject, used)
    SELECT campaign_id, counter, window_start, subject, used FROM `usage`;

DROP TABLE `usage`;

ALTER TABLE usage_guarded RENAME TO `usage`;

ALTER TABLE dead_letters ADD COLUMN stage TEXT NOT NULL DEFAULT 'dead';
ALTER TABLE dead_letters ADD COLUMN class TEXT NOT NULL DEFAULT 'undecodable';
ALTER TABLE dead_letters ADD COLUMN attempts INTEGER NOT NULL DEFAULT 1;
ALTER TABLE dead_letters ADD COLUMN replays INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letters ADD COLUMN order_id TEXT NULL;
ALTER TABLE dead_letters ADD COLUMN campaign_id TEXT NULL;
ALTER TABLE dead_letters ADD COLUMN sku_id TEXT NULL;
ALTER TABLE dead_letters ADD COLUMN quantity INTEGER NULL;
ALTER TABLE dead_letters ADD COLUMN recorded_at TEXT NULL;
ALTER TABLE dead_letters ADD COLUMN changed_at TEXT NULL;

CREATE INDEX dead_letters_stage ON dead_letters (stage, landed_at);
CREATE INDEX dead_letters_order ON dead_letters (campaign_id, order_id);

CREATE TABLE revocations (
    campaign_id    TEXT NOT NULL,
    order_id       TEXT NOT NULL,
    reason         TEXT NOT NULL,
    counters       TEXT NOT NULL,
    revoked_at     TEXT NOT NULL,
    given_back_at  TEXT NULL,
    PRIMARY KEY (campaign_id, order_id)
) WITHOUT ROWID;

CREATE INDEX revocations_waiting ON revocations (given_back_at);
