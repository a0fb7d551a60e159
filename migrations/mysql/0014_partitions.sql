-- How many partitions the orders topic had when a campaign was made: its orders go to the same ones when it grows.
--
-- Null for campaigns from before: their orders go by their key, as they did.

ALTER TABLE campaigns
    ADD COLUMN partitions BIGINT NULL
        COMMENT 'of the orders topic when the campaign was made; null: its orders go by key';
