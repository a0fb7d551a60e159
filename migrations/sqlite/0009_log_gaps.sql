-- Where landing went on although the log did not hold what was expected: records removed before they landed, and logs
-- that were made anew or lost their tail.

CREATE TABLE log_gaps (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    topic        TEXT    NOT NULL,
    `partition`  INTEGER NOT NULL,
    expected     INTEGER NOT NULL, -- next_offset before
    next_offset  INTEGER NOT NULL, -- where landing went on
    log_start    INTEGER NOT NULL, -- first offset of the log then
    log_end      INTEGER NOT NULL, -- one past its last record
    records      INTEGER NOT NULL, -- removed before they landed
    found_at     TEXT    NOT NULL
);
CREATE INDEX log_gaps_partition ON log_gaps (topic, `partition`);
