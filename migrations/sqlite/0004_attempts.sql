-- The recorded sample: decided attempts, rejected ones included. Personal data: user ids, and addresses
-- where a rule reads them.

CREATE TABLE attempts (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    campaign_id  TEXT    NOT NULL,
    decided_at   TEXT    NOT NULL,
    order_id     TEXT    NOT NULL,
    user_id      TEXT    NOT NULL,
    user_hash    INTEGER NOT NULL,
    sku_id       TEXT    NOT NULL,
    quantity     INTEGER NOT NULL,
    attributes   TEXT,
    revision     INTEGER NOT NULL,
    outcome      TEXT    NOT NULL
);

CREATE INDEX attempts_moment ON attempts (campaign_id, decided_at);
CREATE INDEX attempts_buyer ON attempts (campaign_id, user_hash);

CREATE TABLE samples (
    campaign_id  TEXT    NOT NULL PRIMARY KEY,
    halvings     INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    dropped      INTEGER NOT NULL
) WITHOUT ROWID;
