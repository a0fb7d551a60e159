-- Merchants, who own campaigns, lists, webhooks and modules of their own; and keys, with which people and programs use the control
-- plane. What is there belongs to `default`, and modules to all. The release before writes rows without a merchant: they are of `default`.

CREATE TABLE merchants (
    seq          BIGINT       NOT NULL AUTO_INCREMENT,
    merchant_id  VARCHAR(64)  NOT NULL,
    name         TEXT         NOT NULL,
    created_at   DATETIME(3)  NOT NULL,
    PRIMARY KEY (seq),
    UNIQUE KEY merchants_id (merchant_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO merchants (merchant_id, name, created_at) VALUES ('default', 'default', UTC_TIMESTAMP(3));

CREATE TABLE api_keys (
    seq           BIGINT       NOT NULL AUTO_INCREMENT,
    key_id        VARCHAR(32)  NOT NULL,
    merchant      VARCHAR(64)  NULL COMMENT 'null: of all',
    name          TEXT         NOT NULL,
    person        TEXT         NOT NULL COMMENT 'who holds it',
    digest        VARCHAR(64)  NOT NULL COMMENT 'hex SHA-256 of its text',
    scopes        TEXT         NOT NULL COMMENT 'JSON list',
    created_at    DATETIME(3)  NOT NULL,
    created_by    TEXT         NOT NULL,
    expires_at    DATETIME(3)  NULL COMMENT 'null: never',
    revoked_at    DATETIME(3)  NULL COMMENT 'null: it is good',
    last_used_at  DATETIME(3)  NULL COMMENT 'to the minute',
    PRIMARY KEY (seq),
    UNIQUE KEY api_keys_id (key_id),
    UNIQUE KEY api_keys_digest (digest),
    KEY api_keys_merchant (merchant, seq)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A list has one owner, whatever its versions: whoever uploads its first takes the id.
CREATE TABLE audience_owners (
    audience_id  VARCHAR(64)  NOT NULL,
    merchant     VARCHAR(64)  NOT NULL,
    PRIMARY KEY (audience_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO audience_owners (audience_id, merchant)
SELECT DISTINCT audience_id, 'default' FROM audiences WHERE audience_id NOT LIKE '%~%';

ALTER TABLE campaigns
    ADD COLUMN merchant VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT 'default',
    ADD KEY campaigns_merchant (merchant, seq);

ALTER TABLE webhooks
    ADD COLUMN merchant VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT 'default';

ALTER TABLE modules
    ADD COLUMN merchant VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL COMMENT 'null: of all';
