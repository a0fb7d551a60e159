-- Replays that are to happen later, and an index that counts what lies among the dead letters without reading the rows.

ALTER TABLE dead_letters ADD COLUMN replay_at TEXT NULL;
ALTER TABLE dead_letters ADD COLUMN replay_to TEXT NULL;

CREATE INDEX dead_letters_replay ON dead_letters (replay_at);
CREATE INDEX dead_letters_class ON dead_letters (stage, class);
