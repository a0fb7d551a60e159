-- The first schema. MariaDB 10.6+ and MySQL 8+ both take it as written; README.md says what each table means.
--
-- Ids that keep to [A-Za-z0-9._-] are utf8mb4_bin. That collation still pads with spaces ('a' = 'a '), so
-- text that comes from outside and identifies somebody (user_id, subject) is VARBINARY.

CREATE TABLE campaigns (
    seq          BIGINT      NOT NULL AUTO_INCREMENT,
    campaign_id  VARCHAR(64) NOT NULL,
    title        TEXT        NOT NULL,
    uid          VARCHAR(64) NOT NULL,
    buckets      BIGINT      NOT NULL,
    shards       BIGINT      NOT NULL,
    revision     BIGINT      NOT NULL COMMENT 'the active one',
    epoch        BIGINT      NOT NULL COMMENT 'of the newest activation',
    created_at   DATETIME(3) NOT NULL,
    PRIMARY KEY (seq),
    UNIQUE KEY campaigns_id (campaign_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE revisions (
    campaign_id  VARCHAR(64) NOT NULL,
    revision     BIGINT      NOT NULL,
    rules        LONGTEXT    NOT NULL COMMENT 'JSON: modules by digest, with their parameters',
    opens_at     DATETIME(3) NOT NULL,
    closes_at    DATETIME(3) NOT NULL,
    plan         LONGTEXT    NOT NULL COMMENT 'JSON: the merged plan',
    plan_digest  VARCHAR(64) NOT NULL,
    created_at   DATETIME(3) NOT NULL,
    PRIMARY KEY (campaign_id, revision)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE activations (
    campaign_id   VARCHAR(64) NOT NULL,
    epoch         BIGINT      NOT NULL,
    revision      BIGINT      NOT NULL,
    activated_at  DATETIME(3) NOT NULL,
    PRIMARY KEY (campaign_id, epoch)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE stock (
    campaign_id  VARCHAR(64) NOT NULL,
    sku_id       VARCHAR(64) NOT NULL,
    total        BIGINT      NOT NULL,
    sold         BIGINT      NOT NULL DEFAULT 0,
    position     BIGINT      NOT NULL COMMENT 'order in which the merchant listed the SKUs',
    PRIMARY KEY (campaign_id, sku_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE orders (
    order_id        VARCHAR(32)    NOT NULL,
    campaign_id     VARCHAR(64)    NOT NULL,
    sku_id          VARCHAR(64)    NOT NULL,
    user_id         VARBINARY(256) NOT NULL,
    quantity        BIGINT         NOT NULL,
    revision        BIGINT         NOT NULL,
    state           VARCHAR(16)    NOT NULL,
    placed_at       DATETIME(3)    NOT NULL,
    confirmed_at    DATETIME(3)    NULL,
    revoked_reason  VARCHAR(64)    NULL,
    shard           BIGINT         NOT NULL,
    plan_digest     VARCHAR(64)    NOT NULL,
    fingerprint     VARCHAR(32)    NOT NULL,
    receipt         MEDIUMTEXT     NOT NULL COMMENT 'JSON: module digests, charges, attributes',
    PRIMARY KEY (campaign_id, order_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE `usage` (
    campaign_id   VARCHAR(64)     NOT NULL,
    counter       VARCHAR(160)    NOT NULL,
    window_start  BIGINT          NOT NULL COMMENT 'ms since 1970 UTC; 0: whole campaign; rolling: moment of the order',
    subject       VARBINARY(2080) NOT NULL,
    used          BIGINT          NOT NULL,
    PRIMARY KEY (campaign_id, counter, window_start, subject)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE landing_offsets (
    topic        VARCHAR(190) NOT NULL,
    `partition`  BIGINT       NOT NULL,
    next_offset  BIGINT       NOT NULL,
    PRIMARY KEY (topic, `partition`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE dead_letters (
    topic        VARCHAR(190) NOT NULL,
    `partition`  BIGINT       NOT NULL,
    `offset`     BIGINT       NOT NULL,
    record_key   LONGBLOB     NOT NULL,
    payload      LONGBLOB     NOT NULL,
    error        TEXT         NOT NULL,
    landed_at    DATETIME(3)  NOT NULL,
    PRIMARY KEY (topic, `partition`, `offset`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE modules (
    seq          BIGINT       NOT NULL AUTO_INCREMENT,
    digest       VARCHAR(64)  NOT NULL,
    module_id    VARCHAR(190) NOT NULL,
    version      VARCHAR(190) NOT NULL,
    descriptor   LONGTEXT     NOT NULL COMMENT 'JSON',
    size         BIGINT       NOT NULL,
    uploaded_at  DATETIME(3)  NOT NULL,
    PRIMARY KEY (seq),
    UNIQUE KEY modules_digest (digest),
    KEY modules_id (module_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Bytes in pieces: one packet of MariaDB holds 16 MiB by default, a module may be larger.
CREATE TABLE module_chunks (
    digest    VARCHAR(64) NOT NULL,
    position  BIGINT      NOT NULL,
    bytes     MEDIUMBLOB  NOT NULL,
    PRIMARY KEY (digest, position)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE audit (
    seq     BIGINT       NOT NULL AUTO_INCREMENT,
    at      DATETIME(3)  NOT NULL,
    actor   TEXT         NOT NULL,
    action  VARCHAR(190) NOT NULL,
    target  TEXT         NOT NULL,
    detail  LONGTEXT     NOT NULL COMMENT 'JSON',
    PRIMARY KEY (seq)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE leases (
    name        VARCHAR(190) NOT NULL,
    owner       VARCHAR(190) NOT NULL,
    expires_ms  BIGINT       NOT NULL COMMENT 'ms since 1970 UTC',
    PRIMARY KEY (name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
