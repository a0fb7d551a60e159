-- How a campaign's orders travel: each alone (1), or all of an outbox entry together (2). A build from before this reads and
-- relays the first form alone, so a deployment goes over when nobody runs one any more: `rushgate migrate --cut-over`.

ALTER TABLE campaigns
    ADD COLUMN record_version BIGINT NOT NULL DEFAULT 1
        COMMENT 'of the records that carry its orders; it only rises';

ALTER TABLE seal_senders
    ADD COLUMN record_version BIGINT NOT NULL DEFAULT 1
        COMMENT 'the highest that the process reads and writes';

-- Campaigns are made with the highest.
CREATE TABLE record_versions (
    version     BIGINT      NOT NULL,
    decided_at  DATETIME(3) NOT NULL,
    PRIMARY KEY (version)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Nobody runs an older build where there is neither a campaign nor a process yet.
INSERT INTO record_versions (version, decided_at)
    SELECT 2, UTC_TIMESTAMP(3) FROM (SELECT 1 AS one) AS once
    WHERE NOT EXISTS (SELECT 1 FROM campaigns) AND NOT EXISTS (SELECT 1 FROM seal_senders);
