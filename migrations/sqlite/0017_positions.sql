-- A record holds many orders: what fails of it is named by its offset and the order's position in it. All that failed before
-- was the only order of its record.

-- SQLite does not change a table's key: it is made anew.
CREATE TABLE dead_letters_placed (
    topic        TEXT    NOT NULL,
    `partition`  INTEGER NOT NULL,
    `offset`     INTEGER NOT NULL,
    position     INTEGER NOT NULL DEFAULT 0,
    record_key   BLOB    NOT NULL,
    payload      BLOB    NOT NULL,
    error        TEXT    NOT NULL,
    landed_at    TEXT    NOT NULL,
    stage        TEXT    NOT NULL DEFAULT 'dead',
    class        TEXT    NOT NULL DEFAULT 'undecodable',
    attempts     INTEGER NOT NULL DEFAULT 1,
    replays      INTEGER NOT NULL DEFAULT 0,
    order_id     TEXT    NULL,
    campaign_id  TEXT    NULL,
    sku_id       TEXT    NULL,
    quantity     INTEGER NULL,
    recorded_at  TEXT    NULL,
    changed_at   TEXT    NULL,
    replay_at    TEXT    NULL,
    replay_to    TEXT    NULL,
    PRIMARY KEY (topic, `partition`, `offset`, position)
);

INSERT INTO dead_letters_placed (topic, `partition`, `offset`, record_key, payload, error, landed_at, stage, class,
                                 attempts, replays, order_id, campaign_id, sku_id, quantity, recorded_at, changed_at,
                                 replay_at, replay_to)
    SELECT topic, `partition`, `offset`, record_key, payload, error, landed_at, stage, class,
           attempts, replays, order_id, campaign_id, sku_id, quantity, recorded_at, changed_at,
           replay_at, replay_to
    FROM dead_letters;

DROP TABLE dead_letters;

ALTER TABLE dead_letters_placed RENAME TO dead_letters;

CREATE INDEX dead_letters_stage ON dead_letters (stage, landed_at);
CREATE INDEX dead_letters_order ON dead_letters (campaign_id, order_id);
CREATE INDEX dead_letters_replay ON dead_letters (replay_at);
CREATE INDEX dead_letters_class ON dead_letters (stage, class);
