-- Changes of running campaigns that were asked for under an Idempotency-Key: the same request again gets the same answer.
--
-- A row without an answer is of a change that nobody has said to be done: the same request again goes on with it.
-- The release before neither reads nor writes the table.

CREATE TABLE operations (
    campaign_id      TEXT    NOT NULL,
    idempotency_key  TEXT    NOT NULL,
    operation_id     TEXT    NOT NULL,
    kind             TEXT    NOT NULL,
    asked            TEXT    NOT NULL,
    begun_at         TEXT    NOT NULL,
    busy_until_ms    INTEGER NOT NULL,
    answer           TEXT,
    PRIMARY KEY (campaign_id, idempotency_key)
);
