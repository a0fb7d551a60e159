-- For how long a campaign is kept after it closed, of each revision: the active one's counts.

ALTER TABLE revisions
    ADD COLUMN retention_days BIGINT NOT NULL DEFAULT 7
        COMMENT 'after closes_at the state in Redis goes, and the campaign is archived';
