-- Issuers of merchants, and erasures of the buyer of one: see ../mysql/0044_issuers.sql.

ALTER TABLE merchants ADD COLUMN issuer TEXT;
ALTER TABLE merchants ADD COLUMN audience TEXT;
ALTER TABLE merchants ADD COLUMN jwks_url TEXT;
ALTER TABLE merchants ADD COLUMN issuer_changes INTEGER NOT NULL DEFAULT 0;

ALTER TABLE erasures ADD COLUMN merchant TEXT NOT NULL DEFAULT '';
DROP INDEX erasures_user;
CREATE UNIQUE INDEX erasures_user ON erasures (user_id, merchant);
