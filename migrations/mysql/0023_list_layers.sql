-- Lists of which single members are changed: a version shares the buckets that did not change with the one it was made from.
-- And lists of addresses, which match by ranges.

ALTER TABLE audiences
    ADD COLUMN base        BIGINT      NULL COMMENT 'the version that was uploaded whole; null: this one',
    ADD COLUMN base_upload VARCHAR(64) NULL COMMENT 'its members are kept under this, and what changed since',
    ADD COLUMN partitions  MEDIUMBLOB  NULL COMMENT 'what the digest is made of, of the newest version',
    ADD COLUMN kind        VARCHAR(16) NOT NULL DEFAULT 'texts' COMMENT 'of its members: texts or addresses',
    ADD COLUMN prefixes    LONGTEXT    NULL COMMENT 'JSON: how long the ranges of addresses are';

-- A bucket from a version on, until a later one has it.
CREATE TABLE audience_changes (
    upload   VARCHAR(64) NOT NULL,
    bucket   BIGINT      NOT NULL,
    version  BIGINT      NOT NULL,
    members  MEDIUMBLOB  NOT NULL COMMENT 'sorted, each followed by a line feed',
    PRIMARY KEY (upload, bucket, version)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
