-- Units that a merchant adds to a running sale, or takes back, and SKUs that come later: each change is a row before anything
-- is done, and `done_at` says that the engine has it too.
--
-- The release before makes no changes, and reads totals as they are. `revisions.stock` is what a revision was compiled for; null:
-- what the campaign has, as long as it has not changed since.

CREATE TABLE stock_changes (
    campaign_id  TEXT    NOT NULL,
    number       INTEGER NOT NULL,
    operation_id TEXT    NOT NULL UNIQUE,
    sku_id       TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    asked        INTEGER NOT NULL,
    units        INTEGER,
    total        INTEGER,
    revision     INTEGER,
    epoch        INTEGER,
    actor        TEXT    NOT NULL,
    note         TEXT,
    begun_at     TEXT    NOT NULL,
    done_at      TEXT,
    PRIMARY KEY (campaign_id, number)
) WITHOUT ROWID;

CREATE INDEX stock_changes_open ON stock_changes (done_at, campaign_id);

ALTER TABLE campaigns ADD COLUMN stock_change INTEGER NOT NULL DEFAULT 0;

ALTER TABLE revisions ADD COLUMN stock TEXT;
