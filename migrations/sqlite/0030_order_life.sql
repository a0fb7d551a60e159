-- The life of an order after it landed: it is paid, cancelled, expires, is refunded, and gives back what it holds.
--
-- What an order holds of the stock and of the limits is a column, which sums are read from; the state alone says nothing of it.
-- `releases` takes the place of `revocations`: a lander of the release before goes on writing there, and what it writes is taken over.
-- A gateway of the release before cannot read the new states: replace all of them before an order is paid or cancelled.

ALTER TABLE orders ADD COLUMN holds TEXT NOT NULL DEFAULT 'all';
ALTER TABLE orders ADD COLUMN pay_by TEXT NULL;
ALTER TABLE orders ADD COLUMN replaces TEXT NULL;

CREATE INDEX orders_pay_by ON orders (pay_by);

UPDATE orders SET holds = 'none' WHERE state = 'revoked';

CREATE TABLE order_changes (
    campaign_id      TEXT    NOT NULL,
    order_id         TEXT    NOT NULL,
    number           INTEGER NOT NULL,
    from_state       TEXT    NOT NULL,
    to_state         TEXT    NOT NULL,
    changed_at       TEXT    NOT NULL,
    actor            TEXT    NOT NULL,
    reason           TEXT    NOT NULL,
    note             TEXT,
    idempotency_key  TEXT,
    told_at          TEXT,
    PRIMARY KEY (campaign_id, order_id, number)
) WITHOUT ROWID;

CREATE INDEX order_changes_told ON order_changes (told_at);

CREATE TABLE releases (
    campaign_id    TEXT    NOT NULL,
    order_id       TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    stock          INTEGER NOT NULL,
    allowance      INTEGER NOT NULL,
    counters       TEXT    NOT NULL,
    released_at    TEXT    NOT NULL,
    given_back_at  TEXT,
    PRIMARY KEY (campaign_id, order_id)
) WITHOUT ROWID;

CREATE INDEX releases_waiting ON releases (given_back_at, campaign_id, order_id);

INSERT INTO releases (campaign_id, order_id, reason, stock, allowance, counters, released_at, given_back_at)
    SELECT campaign_id, order_id, reason, CASE WHEN reason IN ('over-limit', 'lost', 'discarded') THEN 1 ELSE 0 END, 1,
           counters, revoked_at, given_back_at
    FROM revocations;

DELETE FROM revocations;

ALTER TABLE campaigns ADD COLUMN hold_minutes INTEGER NULL;
ALTER TABLE campaigns ADD COLUMN buyer_cancels INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campaigns ADD COLUMN releases TEXT NULL;
