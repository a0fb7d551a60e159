-- Whether a running sale is paused.
--
-- Nullable or with a default: the release before makes campaigns that were never paused. Its gateways know no pause and go on
-- admitting, so a sale is paused for all only when none of them is left.

ALTER TABLE campaigns ADD COLUMN pauses INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campaigns ADD COLUMN paused_at TEXT;
ALTER TABLE campaigns ADD COLUMN resume_at TEXT;
ALTER TABLE campaigns ADD COLUMN pause_note TEXT;

-- Changes that are to be made at a moment: made once, by whichever gateway is alive then.
CREATE TABLE scheduled_changes (
    change_id    TEXT    NOT NULL PRIMARY KEY,
    campaign_id  TEXT    NOT NULL,
    body         TEXT    NOT NULL,
    due_at_ms    INTEGER NOT NULL,
    actor        TEXT    NOT NULL,
    note         TEXT,
    state        TEXT    NOT NULL,
    outcome      TEXT,
    created_at   TEXT    NOT NULL
);

CREATE INDEX scheduled_changes_due ON scheduled_changes (state, due_at_ms);
CREATE INDEX scheduled_changes_campaign ON scheduled_changes (campaign_id, state);
