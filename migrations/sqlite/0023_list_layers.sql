-- Lists of which single members are changed: a version shares the buckets that did not change with the one it was made from.
-- And lists of addresses, which match by ranges.

-- The version that was uploaded whole; null: this one.
ALTER TABLE audiences ADD COLUMN base INTEGER NULL;
-- Its members are kept under this, and what changed since.
ALTER TABLE audiences ADD COLUMN base_upload TEXT NULL;
-- What the digest is made of, of the newest version.
ALTER TABLE audiences ADD COLUMN partitions BLOB NULL;
-- Of its members: texts or addresses.
ALTER TABLE audiences ADD COLUMN kind TEXT NOT NULL DEFAULT 'texts';
-- JSON: how long the ranges of addresses are.
ALTER TABLE audiences ADD COLUMN prefixes TEXT NULL;

-- A bucket from a version on, until a later one has it.
CREATE TABLE audience_changes (
    upload   TEXT    NOT NULL,
    bucket   INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    members  BLOB    NOT NULL,
    PRIMARY KEY (upload, bucket, version)
);
