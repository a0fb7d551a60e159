-- Changes of running campaigns that were asked for under an Idempotency-Key: the same request again gets the same answer.
--
-- A row without an answer is of a change that nobody has said to be done: the same request again goes on with it.
-- The release before neither reads nor writes the table.

CREATE TABLE operations (
    campaign_id      VARCHAR(64)  NOT NULL,
    idempotency_key  VARBINARY(255) NOT NULL,
    operation_id     VARCHAR(32)  NOT NULL COMMENT 'names the change where it is to be made once',
    kind             VARCHAR(64)  NOT NULL COMMENT 'as in audit.action',
    asked            VARCHAR(64)  NOT NULL COMMENT 'SHA-256 over the request',
    begun_at         DATETIME(3)  NOT NULL,
    busy_until_ms    BIGINT       NOT NULL COMMENT 'ms since 1970 UTC: until then somebody is at it',
    answer           LONGTEXT     NULL COMMENT 'JSON; null: not done yet',
    PRIMARY KEY (campaign_id, idempotency_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
