-- Which pages in browsers may read what gateways answer about a campaign.
--
-- Nullable: the release before makes campaigns that say nothing, and its gateways answer no browser from another origin.

ALTER TABLE campaigns
    ADD COLUMN origins LONGTEXT NULL
        COMMENT 'JSON: origins whose pages may read answers; null: those of the configuration';
