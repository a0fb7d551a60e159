-- Who sends records, and with which keys: nothing is taken from a process that still uses it.

CREATE TABLE seal_senders (
    process    VARCHAR(64)  NOT NULL,
    key_id     VARCHAR(32)  NOT NULL COMMENT 'empty: it has no key, and sends records without a seal',
    name       VARCHAR(190) NOT NULL COMMENT 'role, host and process id, for people',
    seals      BIGINT       NOT NULL COMMENT '1: it seals with this key; 0: it only verifies with it',
    stopped    BIGINT       NOT NULL COMMENT '1: it sends nothing any more, and everything it sent is answered',
    seen_at    DATETIME(3)  NOT NULL,
    PRIMARY KEY (process, key_id),
    KEY seal_senders_key (key_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Nobody sends so any more: first this is said, then senders are waited for, then it takes effect where records are landed.
CREATE TABLE seal_ends (
    key_id        VARCHAR(32)  NOT NULL COMMENT 'empty: records without a seal',
    announced_at  DATETIME(3)  NOT NULL,
    PRIMARY KEY (key_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
