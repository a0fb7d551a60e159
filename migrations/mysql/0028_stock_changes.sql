-- Units that a merchant adds to a running sale, or takes back, and SKUs that come later: each change is a row before anything
-- is done, and `done_at` says that the engine has it too.
--
-- The release before makes no changes, and reads totals as they are. `revisions.stock` is what a revision was compiled for; null:
-- what the campaign has, as long as it has not changed since.

CREATE TABLE stock_changes (
    campaign_id  VARCHAR(64)  NOT NULL,
    number       BIGINT       NOT NULL COMMENT 'from 1; the shard remembers the last one that it has',
    operation_id VARCHAR(64)  NOT NULL,
    sku_id       VARCHAR(128) NOT NULL,
    kind         VARCHAR(16)  NOT NULL COMMENT 'add, remove or sku',
    asked        BIGINT       NOT NULL COMMENT 'units',
    units        BIGINT       NULL COMMENT 'by how many the total has changed; null: that is not decided',
    total        BIGINT       NULL COMMENT 'of the SKU, after it',
    revision     BIGINT       NULL COMMENT 'activated with it',
    epoch        BIGINT       NULL COMMENT 'of that activation; null: the total is as it was',
    actor        TEXT         NOT NULL,
    note         TEXT         NULL,
    begun_at     DATETIME(3)  NOT NULL,
    done_at      DATETIME(3)  NULL,
    PRIMARY KEY (campaign_id, number),
    UNIQUE KEY stock_changes_operation (operation_id),
    KEY stock_changes_open (done_at, campaign_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

ALTER TABLE campaigns
    ADD COLUMN stock_change BIGINT NOT NULL DEFAULT 0
        COMMENT 'number of the last one in stock_changes';

ALTER TABLE revisions
    ADD COLUMN stock LONGTEXT NULL
        COMMENT 'JSON: SKU to total that it was compiled for; null: those there are';
