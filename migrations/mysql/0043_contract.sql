-- One contract for changes: tags of what changes, and keys of what is made.
--
-- The release before changes campaigns and endpoints without giving them another tag: If-Match sees its changes no sooner than it is gone.
-- It neither reads nor writes anything else of this.

ALTER TABLE campaigns
    ADD COLUMN tag VARCHAR(32) NULL COMMENT 'of the last change; null: none since there are tags, it is uid then';

ALTER TABLE webhooks
    ADD COLUMN tag VARCHAR(32) NULL COMMENT 'of the last change; null: none since there are tags, it is webhook_id then';

ALTER TABLE revisions
    ADD COLUMN operation_id VARCHAR(32) NULL COMMENT 'of the request under an Idempotency-Key that made it';

-- What is made belongs to a merchant: `merchant:<id>`, or `merchant:` of none.
ALTER TABLE operations
    MODIFY COLUMN campaign_id VARCHAR(80) NOT NULL COMMENT 'what the key is for: a campaign, or merchant:<id> of what is made';
