-- Uploaded lists: one row per version, and their members by bucket.

CREATE TABLE audiences (
    audience_id  VARCHAR(64) NOT NULL,
    version      BIGINT      NOT NULL,
    upload       VARCHAR(64) NOT NULL COMMENT 'its members are kept under this',
    members      BIGINT      NOT NULL COMMENT 'different ones',
    buckets      BIGINT      NOT NULL,
    digest       VARCHAR(64) NOT NULL COMMENT 'SHA-256 over the members, whatever their order',
    uploaded_at  DATETIME(3) NOT NULL,
    PRIMARY KEY (audience_id, version)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A bucket is one row: what is loaded next to a shard is read in the same pieces.
CREATE TABLE audience_buckets (
    upload   VARCHAR(64) NOT NULL,
    bucket   BIGINT      NOT NULL,
    members  MEDIUMBLOB  NOT NULL COMMENT 'sorted, each followed by a line feed',
    PRIMARY KEY (upload, bucket)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
