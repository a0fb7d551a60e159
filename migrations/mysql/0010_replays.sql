-- Replays that are to happen later, and an index that counts what lies among the dead letters without reading the rows.

ALTER TABLE dead_letters
    ADD COLUMN replay_at  DATETIME(3)  NULL COMMENT 'when a lander sends it back; null: nobody asked for it',
    ADD COLUMN replay_to  VARCHAR(190) NULL COMMENT 'the topic it is sent to; null: the one it came from',
    ADD KEY dead_letters_replay (replay_at),
    ADD KEY dead_letters_class (stage, class);
