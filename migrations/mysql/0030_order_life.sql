-- The life of an order after it landed: it is paid, cancelled, expires, is refunded, and gives back what it holds.
--
-- What an order holds of the stock and of the limits is a column, which sums are read from; the state alone says nothing of it.
-- `releases` takes the place of `revocations`: a lander of the release before goes on writing there, and what it writes is taken over.
-- A gateway of the release before cannot read the new states: replace all of them before an order is paid or cancelled.

ALTER TABLE orders
    ADD COLUMN holds    VARCHAR(16) NOT NULL DEFAULT 'all' COMMENT 'all, stock, allowance or none',
    ADD COLUMN pay_by   DATETIME(3) NULL COMMENT 'until then it waits for its payment; null: it does not wait',
    ADD COLUMN replaces VARCHAR(32) NULL COMMENT 'the order that was not paid in time, in whose place this one came',
    ADD KEY orders_pay_by (pay_by);

UPDATE orders SET holds = 'none' WHERE state = 'revoked';

CREATE TABLE order_changes (
    campaign_id      VARCHAR(64)    NOT NULL,
    order_id         VARCHAR(32)    NOT NULL,
    number           BIGINT         NOT NULL COMMENT 'of the order''s changes; 1: it was confirmed or revoked',
    from_state       VARCHAR(16)    NOT NULL COMMENT 'empty: it had not landed',
    to_state         VARCHAR(16)    NOT NULL,
    changed_at       DATETIME(3)    NOT NULL,
    actor            VARCHAR(255)   NOT NULL,
    reason           VARCHAR(64)    NOT NULL,
    note             TEXT           NULL,
    idempotency_key  VARBINARY(255) NULL,
    told_at          DATETIME(3)    NULL COMMENT 'when its event was published; null: not yet',
    PRIMARY KEY (campaign_id, order_id, number),
    KEY order_changes_told (told_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE releases (
    campaign_id    VARCHAR(64)  NOT NULL,
    order_id       VARCHAR(32)  NOT NULL,
    reason         VARCHAR(64)  NOT NULL,
    stock          BIGINT       NOT NULL COMMENT '1: Redis gets its units back',
    allowance      BIGINT       NOT NULL COMMENT '1: Redis gets its charges back',
    counters       TEXT         NOT NULL COMMENT 'JSON: counters whose charges stay, because they were full',
    released_at    DATETIME(3)  NOT NULL,
    given_back_at  DATETIME(3)  NULL COMMENT 'when Redis had it back; null: not yet',
    PRIMARY KEY (campaign_id, order_id),
    KEY releases_waiting (given_back_at, campaign_id, order_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO releases (campaign_id, order_id, reason, stock, allowance, counters, released_at, given_back_at)
    SELECT campaign_id, order_id, reason, CASE WHEN reason IN ('over-limit', 'lost', 'discarded') THEN 1 ELSE 0 END, 1,
           counters, revoked_at, given_back_at
    FROM revocations;

DELETE FROM revocations;

ALTER TABLE campaigns
    ADD COLUMN hold_minutes  BIGINT NULL COMMENT 'an order that is not paid for so long expires; null: none does',
    ADD COLUMN buyer_cancels BIGINT NOT NULL DEFAULT 0 COMMENT '1: buyers may cancel what is not paid',
    ADD COLUMN releases      TEXT   NULL COMMENT 'JSON: reason to what comes back; null: everything does';
