-- The recorded sample: decided attempts, rejected ones included. Personal data: user ids, and addresses
-- where a rule reads them.

CREATE TABLE attempts (
    seq          BIGINT         NOT NULL AUTO_INCREMENT COMMENT 'order of arrival',
    campaign_id  VARCHAR(64)    NOT NULL,
    decided_at   DATETIME(3)    NOT NULL COMMENT 'the clock of the engine',
    order_id     VARCHAR(32)    NOT NULL,
    user_id      VARBINARY(256) NOT NULL,
    user_hash    BIGINT         NOT NULL COMMENT 'CRC-32 of user_id: decides whether the buyer is in the sample',
    sku_id       VARCHAR(64)    NOT NULL,
    quantity     BIGINT         NOT NULL,
    attributes   TEXT           NULL COMMENT 'JSON: what the plan read',
    revision     BIGINT         NOT NULL,
    outcome      VARCHAR(190)   NOT NULL COMMENT 'admitted, or the reason',
    PRIMARY KEY (seq),
    KEY attempts_moment (campaign_id, decided_at),
    KEY attempts_buyer (campaign_id, user_hash)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE samples (
    campaign_id  VARCHAR(64) NOT NULL,
    halvings     BIGINT      NOT NULL COMMENT 'buyers whose user_hash is below 2^32 / 2^halvings are kept',
    attempts     BIGINT      NOT NULL COMMENT 'rows of those buyers',
    dropped      BIGINT      NOT NULL COMMENT 'attempts that could not be written in time',
    PRIMARY KEY (campaign_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
