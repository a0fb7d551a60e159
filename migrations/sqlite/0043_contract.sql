-- One contract for changes: see ../mysql/0043_contract.sql.

ALTER TABLE campaigns ADD COLUMN tag TEXT NULL;
ALTER TABLE webhooks ADD COLUMN tag TEXT NULL;
ALTER TABLE revisions ADD COLUMN operation_id TEXT NULL;
