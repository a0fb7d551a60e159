-- How far the changes of orders were told to everybody else, beside how far their partition has landed.

ALTER TABLE landing_offsets ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
ALTER TABLE landing_offsets ADD COLUMN told_since INTEGER NOT NULL DEFAULT 0;

UPDATE landing_offsets SET told = next_offset;
