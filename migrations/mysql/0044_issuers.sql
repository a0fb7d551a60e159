-- Merchants whose buyers have an issuer of their own: who signs their tokens, and where its keys are published. And requests to erase
-- the buyer of one merchant. What was there is as before: without an issuer the one of the configuration holds, and requests are of all
-- merchants. The release before reads neither, and takes tokens as the configuration says: upgrade all gateways before the first issuer
-- is named.

ALTER TABLE merchants
    ADD COLUMN issuer         TEXT   NULL COMMENT 'what their tokens have in iss; null: that of the configuration',
    ADD COLUMN audience       TEXT   NULL COMMENT 'and in aud; null: anything',
    ADD COLUMN jwks_url       TEXT   NULL COMMENT 'where its keys are published',
    ADD COLUMN issuer_changes BIGINT NOT NULL DEFAULT 0 COMMENT 'counts changes of these three';

ALTER TABLE erasures
    ADD COLUMN merchant VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '' COMMENT 'empty: of all',
    DROP KEY erasures_user,
    ADD UNIQUE KEY erasures_user (user_id, merchant);
