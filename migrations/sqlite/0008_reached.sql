-- How far landing ever was: an offset that somebody set back is told from records that were removed before they landed.

ALTER TABLE landing_offsets ADD COLUMN reached INTEGER NOT NULL DEFAULT 0;

UPDATE landing_offsets SET reached = next_offset;
