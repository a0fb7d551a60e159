-- Webhooks: endpoints that hear what becomes of orders, and what each is to be told.
--
-- A delivery is written down after Kafka has acknowledged its event and before that counts as told, once for each endpoint: so
-- none is missing, and what is told again is the same row. Its order's earlier numbers go first.

CREATE TABLE webhooks (
    webhook_id       TEXT    NOT NULL,
    campaign_id      TEXT,
    url              TEXT    NOT NULL,
    events           TEXT    NOT NULL,
    secret           TEXT    NOT NULL,
    previous_secret  TEXT,
    previous_until   TEXT,
    note             TEXT,
    created_at       TEXT    NOT NULL,
    disabled_at      TEXT,
    disabled_why     TEXT,
    failing_since    TEXT,
    PRIMARY KEY (webhook_id)
) WITHOUT ROWID;

CREATE TABLE webhook_deliveries (
    webhook_id    TEXT    NOT NULL,
    order_id      TEXT    NOT NULL,
    campaign_id   TEXT    NOT NULL,
    number        INTEGER NOT NULL,
    event         TEXT    NOT NULL,
    body          TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    attempts      INTEGER NOT NULL,
    next_at       TEXT    NOT NULL,
    last_status   INTEGER,
    last_error    TEXT,
    last_answer   TEXT,
    created_at    TEXT    NOT NULL,
    delivered_at  TEXT,
    PRIMARY KEY (webhook_id, order_id, campaign_id, number)
) WITHOUT ROWID;

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, state, next_at);
CREATE INDEX webhook_deliveries_log ON webhook_deliveries (webhook_id, state, created_at, order_id, number);
CREATE INDEX webhook_deliveries_campaign ON webhook_deliveries (campaign_id);
