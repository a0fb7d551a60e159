-- For how long a campaign is kept after it closed, of each revision: the active one's counts.

ALTER TABLE revisions ADD COLUMN retention_days INTEGER NOT NULL DEFAULT 7;
