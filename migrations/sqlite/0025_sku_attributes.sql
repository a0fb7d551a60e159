-- What a SKU is, for rules that ask: its attributes, by name.
--
-- Null where it has none, as every SKU from before. The release before neither reads nor writes the column, and cannot read
-- a plan that asks for one.

ALTER TABLE stock ADD COLUMN attributes TEXT;
