-- How a campaign's orders travel: see ../mysql/0018_record_version.sql.

ALTER TABLE campaigns ADD COLUMN record_version INTEGER NOT NULL DEFAULT 1;

ALTER TABLE seal_senders ADD COLUMN record_version INTEGER NOT NULL DEFAULT 1;

CREATE TABLE record_versions (
    version     INTEGER NOT NULL PRIMARY KEY,
    decided_at  TEXT    NOT NULL
);

INSERT INTO record_versions (version, decided_at)
    SELECT 2, strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE NOT EXISTS (SELECT 1 FROM campaigns)
        AND NOT EXISTS (SELECT 1 FROM seal_senders);
