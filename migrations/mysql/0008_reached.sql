-- How far landing ever was: an offset that somebody set back is told from records that were removed before they landed.

ALTER TABLE landing_offsets
    ADD COLUMN reached BIGINT NOT NULL DEFAULT 0 COMMENT 'highest next_offset that landing came to; all below was taken in';

UPDATE landing_offsets SET reached = next_offset;
