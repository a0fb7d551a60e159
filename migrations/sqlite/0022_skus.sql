-- SKUs are what shops write: printable text of 128 bytes at most (src/order/sku.rs). Text of SQLite has no width and is
-- compared byte by byte: nothing is to be changed.

SELECT 1;
