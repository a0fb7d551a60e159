-- Webhooks: endpoints that hear what becomes of orders, and what each is to be told.
--
-- A delivery is written down after Kafka has acknowledged its event and before that counts as told, once for each endpoint: so
-- none is missing, and what is told again is the same row. Its order's earlier numbers go first.

CREATE TABLE webhooks (
    webhook_id       VARCHAR(32)  NOT NULL,
    campaign_id      VARCHAR(64)  NULL COMMENT 'null: all campaigns',
    url              TEXT         NOT NULL,
    events           TEXT         NOT NULL COMMENT 'JSON list; empty: every event',
    secret           VARCHAR(255) NOT NULL,
    previous_secret  VARCHAR(255) NULL COMMENT 'signs as well until previous_until',
    previous_until   DATETIME(3)  NULL,
    note             TEXT         NULL,
    created_at       DATETIME(3)  NOT NULL,
    disabled_at      DATETIME(3)  NULL COMMENT 'nothing is sent since then; null: it is sent to',
    disabled_why     TEXT         NULL COMMENT 'null: somebody disabled it',
    failing_since    DATETIME(3)  NULL COMMENT 'nothing was delivered since then, and something failed',
    PRIMARY KEY (webhook_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE webhook_deliveries (
    webhook_id    VARCHAR(32) NOT NULL,
    order_id      VARCHAR(32) NOT NULL COMMENT 'of webhook.disabled: the id of that webhook',
    campaign_id   VARCHAR(64) NOT NULL COMMENT 'empty: an event that is of no order',
    number        BIGINT      NOT NULL COMMENT 'of the order''s changes; order and number are the webhook-id',
    event         VARCHAR(32) NOT NULL,
    body          MEDIUMTEXT  NOT NULL COMMENT 'JSON, as it is sent',
    state         VARCHAR(16) NOT NULL COMMENT 'waiting, delivered or failed',
    attempts      BIGINT      NOT NULL,
    next_at       DATETIME(3) NOT NULL COMMENT 'not before',
    last_status   BIGINT      NULL COMMENT 'of HTTP; null: none came',
    last_error    TEXT        NULL,
    last_answer   TEXT        NULL COMMENT 'the beginning of the body that came',
    created_at    DATETIME(3) NOT NULL,
    delivered_at  DATETIME(3) NULL,
    PRIMARY KEY (webhook_id, order_id, campaign_id, number),
    KEY webhook_deliveries_due (webhook_id, state, next_at),
    KEY webhook_deliveries_log (webhook_id, state, created_at, order_id, number),
    KEY webhook_deliveries_campaign (campaign_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
