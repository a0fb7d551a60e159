-- SKUs are what shops write: printable text of 128 bytes at most (src/order/sku.rs).
--
-- The columns stay text and only get wider, which servers do without copying `orders`: the release before reads and writes
-- them on, and operators' queries stay as they are. This collation folds nothing. It does not see a space at the end of a
-- text, so no id of a SKU has one there.

ALTER TABLE stock MODIFY COLUMN sku_id VARCHAR(128) NOT NULL;

ALTER TABLE orders MODIFY COLUMN sku_id VARCHAR(128) NOT NULL;

ALTER TABLE attempts MODIFY COLUMN sku_id VARCHAR(128) NOT NULL;

ALTER TABLE dead_letters MODIFY COLUMN sku_id VARCHAR(128) NULL;
