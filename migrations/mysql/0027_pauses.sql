-- Whether a running sale is paused.
--
-- Nullable or with a default: the release before makes campaigns that were never paused. Its gateways know no pause and go on
-- admitting, so a sale is paused for all only when none of them is left.

ALTER TABLE campaigns
    ADD COLUMN pauses BIGINT NOT NULL DEFAULT 0
        COMMENT 'pauses and resumes so far: of two, the later has the higher number',
    ADD COLUMN paused_at DATETIME(3) NULL
        COMMENT 'null: the sale goes on',
    ADD COLUMN resume_at DATETIME(3) NULL
        COMMENT 'when the pause ends by itself; null: when somebody resumes it',
    ADD COLUMN pause_note TEXT NULL
        COMMENT 'why, by whoever paused it';

CREATE TABLE scheduled_changes (
    change_id    VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
    campaign_id  VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    body         TEXT NOT NULL
        COMMENT 'JSON: what is to be done',
    due_at_ms    BIGINT NOT NULL
        COMMENT 'milliseconds since 1970 UTC',
    actor        VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    note         TEXT NULL,
    state        VARCHAR(16) NOT NULL
        COMMENT 'waiting, making, done, failed or cancelled',
    outcome      TEXT NULL,
    created_at   DATETIME(3) NOT NULL,
    INDEX scheduled_changes_due (state, due_at_ms),
    INDEX scheduled_changes_campaign (campaign_id, state)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
  COMMENT 'changes that are to be made at a moment: made once, by whichever gateway is alive then';
