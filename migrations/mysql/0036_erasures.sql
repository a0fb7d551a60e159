-- Buyers whose data is erased: each request is a row before anything is erased, and is worked off from it, however often that is
-- broken off.
--
-- The row names its buyer until everything is erased. Then it keeps a keyed hash alone: who asks by name is told that it is done,
-- and an order of that buyer that lands late opens it again. The release before neither reads nor writes the tables.

CREATE TABLE erasures (
    erasure_id  VARCHAR(32)    NOT NULL,
    user_id     VARBINARY(256) NULL COMMENT 'null: it is done',
    user_hash   VARCHAR(64)    NOT NULL COMMENT 'under the key of erasure_keys',
    key_hash    VARCHAR(64)    NULL COMMENT 'of the Idempotency-Key, under the same key',
    asked       VARCHAR(64)    NOT NULL COMMENT 'SHA-256 over the request',
    pseudonym   VARCHAR(32)    NULL COMMENT 'what orders say instead; null: it is done',
    secret      VARCHAR(64)    NULL COMMENT 'hex: what subjects are hashed under; null: it is done',
    lists       BIGINT         NOT NULL COMMENT '1: the buyer is taken off lists as well',
    lists_at    DATETIME(3)    NULL COMMENT 'when that was done',
    actor       VARCHAR(255)   NOT NULL,
    note        TEXT           NULL,
    asked_at    DATETIME(3)    NOT NULL COMMENT 'orders and attempts of this moment and before are erased',
    settled_at  DATETIME(3)    NOT NULL COMMENT 'it is not done before',
    done_at     DATETIME(3)    NULL,
    erased      TEXT           NOT NULL COMMENT 'JSON: how many of each kind',
    PRIMARY KEY (erasure_id),
    UNIQUE KEY erasures_user (user_id),
    UNIQUE KEY erasures_key (key_hash),
    KEY erasures_hash (user_hash, asked_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One row, made with the first erasure.
CREATE TABLE erasure_keys (
    key_id  BIGINT      NOT NULL,
    secret  VARCHAR(64) NOT NULL COMMENT 'hex',
    PRIMARY KEY (key_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
