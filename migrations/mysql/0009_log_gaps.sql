-- Where landing went on although the log did not hold what was expected: records removed before they landed, and logs
-- that were made anew or lost their tail.

CREATE TABLE log_gaps (
    seq          BIGINT       NOT NULL AUTO_INCREMENT,
    topic        VARCHAR(190) NOT NULL,
    `partition`  BIGINT       NOT NULL,
    expected     BIGINT       NOT NULL COMMENT 'next_offset before',
    next_offset  BIGINT       NOT NULL COMMENT 'where landing went on',
    log_start    BIGINT       NOT NULL COMMENT 'first offset of the log then',
    log_end      BIGINT       NOT NULL COMMENT 'one past its last record',
    records      BIGINT       NOT NULL COMMENT 'removed before they landed',
    found_at     DATETIME(3)  NOT NULL,
    PRIMARY KEY (seq),
    KEY log_gaps_partition (topic, `partition`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
