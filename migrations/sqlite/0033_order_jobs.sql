-- Orders that are cancelled or refunded in bulk: what was asked for, how far it has come, and what became of the orders.

CREATE TABLE order_jobs (
    campaign_id   TEXT   NOT NULL,
    job_id        TEXT   NOT NULL,
    to_state      TEXT   NOT NULL,
    filter        TEXT   NOT NULL, -- JSON
    actor         TEXT   NOT NULL,
    reason        TEXT   NOT NULL,
    note          TEXT   NULL,
    releases      TEXT   NOT NULL, -- stock+allowance, stock or none
    rate          BIGINT NOT NULL, -- orders a second
    matched       BIGINT NOT NULL, -- orders, when it was asked for
    changed       BIGINT NOT NULL DEFAULT 0,
    skipped       BIGINT NOT NULL DEFAULT 0, -- in a state that does not allow it
    failed        BIGINT NOT NULL DEFAULT 0,
    last_placed   TEXT   NULL, -- of the last order it came to
    last_order    TEXT   NOT NULL DEFAULT '',
    begun_at      TEXT   NOT NULL,
    ended_at      TEXT   NULL,
    stopped       BIGINT NOT NULL DEFAULT 0, -- 1: somebody stopped it
    PRIMARY KEY (campaign_id, job_id)
);

CREATE INDEX order_jobs_open ON order_jobs (ended_at, begun_at);
