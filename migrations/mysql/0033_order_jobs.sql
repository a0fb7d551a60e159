-- Orders that are cancelled or refunded in bulk: what was asked for, how far it has come, and what became of the orders.

CREATE TABLE order_jobs (
    campaign_id   VARCHAR(64)  NOT NULL,
    job_id        VARCHAR(32)  NOT NULL,
    to_state      VARCHAR(16)  NOT NULL,
    filter        TEXT         NOT NULL COMMENT 'JSON',
    actor         VARCHAR(255) NOT NULL,
    reason        VARCHAR(64)  NOT NULL,
    note          TEXT         NULL,
    releases      VARCHAR(16)  NOT NULL COMMENT 'stock+allowance, stock or none',
    rate          BIGINT       NOT NULL COMMENT 'orders a second',
    matched       BIGINT       NOT NULL COMMENT 'orders, when it was asked for',
    changed       BIGINT       NOT NULL DEFAULT 0,
    skipped       BIGINT       NOT NULL DEFAULT 0 COMMENT 'in a state that does not allow it',
    failed        BIGINT       NOT NULL DEFAULT 0,
    last_placed   DATETIME(3)  NULL COMMENT 'of the last order it came to',
    last_order    VARCHAR(32)  NOT NULL DEFAULT '',
    begun_at      DATETIME(3)  NOT NULL,
    ended_at      DATETIME(3)  NULL,
    stopped       BIGINT       NOT NULL DEFAULT 0 COMMENT '1: somebody stopped it',
    PRIMARY KEY (campaign_id, job_id),
    KEY order_jobs_open (ended_at, begun_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
