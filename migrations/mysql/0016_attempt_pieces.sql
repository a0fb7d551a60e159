-- Recorded attempts are kept in compressed pieces: a row per attempt cost the database more than deciding it did.
--
-- Rows of `attempts` and `samples` stay and are read on; gateways of this release write none. The release before this one
-- writes its rows as ever.

CREATE TABLE buyer_samples (
    campaign_id  VARCHAR(64) NOT NULL,
    halvings     BIGINT      NOT NULL COMMENT 'buyers of this band and of higher ones are kept',
    bands        TEXT        NOT NULL COMMENT 'JSON: attempts kept of each band of buyers',
    skipped      BIGINT      NOT NULL COMMENT 'attempts decided of buyers who are not kept',
    dropped      BIGINT      NOT NULL COMMENT 'attempts of kept buyers that could not be written',
    arrivals     BIGINT      NOT NULL COMMENT 'writes so far, of all gateways',
    begun_at     DATETIME(3) NOT NULL COMMENT 'the first attempt that was recorded',
    PRIMARY KEY (campaign_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE attempt_pieces (
    campaign_id  VARCHAR(64) NOT NULL,
    band         BIGINT      NOT NULL COMMENT 'of its buyers: leading zero bits of SHA-256(campaign, NUL, user), 20 at most',
    arrival      BIGINT      NOT NULL COMMENT 'the write it came with',
    token        BIGINT      NOT NULL COMMENT 'random: tells whether a write whose answer was lost is there',
    first_at     DATETIME(3) NOT NULL,
    last_at      DATETIME(3) NOT NULL,
    attempts     BIGINT      NOT NULL,
    payload      MEDIUMBLOB  NOT NULL COMMENT 'gzip: a line of JSON per attempt',
    PRIMARY KEY (campaign_id, band, arrival),
    KEY attempt_pieces_moment (campaign_id, first_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
