-- How far the changes of orders were told to everybody else, beside how far their partition has landed.

ALTER TABLE landing_offsets
    ADD COLUMN told BIGINT NOT NULL DEFAULT 0 COMMENT 'the events of all orders below were published',
    ADD COLUMN told_since BIGINT NOT NULL DEFAULT 0
        COMMENT 'ms since 1970 UTC: no order that is not told was placed earlier; 0: nobody knows';

UPDATE landing_offsets SET told = next_offset;
