-- Sealed records: the keys that were ever used, and from which offsets on a record without a seal is forged.

CREATE TABLE seal_keys (
    key_id         VARCHAR(32)  NOT NULL,
    check_value    VARCHAR(64)  NOT NULL COMMENT 'tells two secrets under one id apart',
    first_used_at  DATETIME(3)  NOT NULL,
    retired_at     DATETIME(3)  NULL COMMENT 'null: records under this key are waited for',
    PRIMARY KEY (key_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Any row: the cut-over is decided. A partition without a row takes no record without a seal.
CREATE TABLE seal_cut_over (
    topic        VARCHAR(190) NOT NULL COMMENT 'empty in the row that only says that it is decided',
    `partition`  BIGINT       NOT NULL,
    from_offset  BIGINT       NOT NULL COMMENT 'first offset at which a record without a seal is forged',
    decided_at   DATETIME(3)  NOT NULL,
    PRIMARY KEY (topic, `partition`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
