-- The pipeline under faults: what a subject may use at most, records that failed and where they are now,
-- and revoked orders whose holds are to be given back.

-- `used` of a row never passes `allowed`: the database itself is the last guard of a limit. The subject comes before the
-- window, so that the entries of one subject's rolling window lie together.
ALTER TABLE `usage`
    ADD COLUMN allowed BIGINT NULL COMMENT 'most units under the limits that admitted them; null: no limit',
    DROP PRIMARY KEY,
    ADD PRIMARY KEY (campaign_id, counter, subject, window_start),
    ADD CONSTRAINT usage_allowed CHECK (used <= allowed);

ALTER TABLE dead_letters
    ADD COLUMN stage        VARCHAR(16)  NOT NULL DEFAULT 'dead' COMMENT 'retry, dead, replayed, parked, discarded or landed',
    ADD COLUMN class        VARCHAR(32)  NOT NULL DEFAULT 'undecodable' COMMENT 'of the last error',
    ADD COLUMN attempts     BIGINT       NOT NULL DEFAULT 1 COMMENT 'landings that were tried',
    ADD COLUMN replays      BIGINT       NOT NULL DEFAULT 0 COMMENT 'times it was sent back to its topic',
    ADD COLUMN order_id     VARCHAR(32)  NULL COMMENT 'null where the record is no order',
    ADD COLUMN campaign_id  VARCHAR(64)  NULL,
    ADD COLUMN sku_id       VARCHAR(64)  NULL,
    ADD COLUMN quantity     BIGINT       NULL,
    ADD COLUMN recorded_at  DATETIME(3)  NULL COMMENT 'the timestamp it had in its topic',
    ADD COLUMN changed_at   DATETIME(3)  NULL COMMENT 'of the last change of stage',
    ADD KEY dead_letters_stage (stage, landed_at),
    ADD KEY dead_letters_order (campaign_id, order_id);

CREATE TABLE revocations (
    campaign_id    VARCHAR(64)  NOT NULL,
    order_id       VARCHAR(32)  NOT NULL,
    reason         VARCHAR(64)  NOT NULL,
    counters       TEXT         NOT NULL COMMENT 'JSON: counters that were full',
    revoked_at     DATETIME(3)  NOT NULL,
    given_back_at  DATETIME(3)  NULL COMMENT 'when Redis got back what the order held',
    PRIMARY KEY (campaign_id, order_id),
    KEY revocations_waiting (given_back_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
