-- A record holds many orders: what fails of it is named by its offset and the order's position in it. All that failed before
-- was the only order of its record.

ALTER TABLE dead_letters
    ADD COLUMN position BIGINT NOT NULL DEFAULT 0 COMMENT 'of the order in its record, from 0' AFTER `offset`,
    DROP PRIMARY KEY,
    ADD PRIMARY KEY (topic, `partition`, `offset`, position);
