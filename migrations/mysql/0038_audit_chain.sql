-- The audit trail as a chain: each line has a number in its merchant's chain and a hash over itself and the one before it, and says
-- by which key, by whom and from where it was asked. Rows that are there get theirs by `rushgate migrate`, from the program: no SQL
-- of both databases hashes alike. The release before writes rows without a number, which `rushgate audit verify` names.

ALTER TABLE audit
    ADD COLUMN merchant  VARCHAR(64)  NOT NULL DEFAULT 'default',
    ADD COLUMN number    BIGINT       NULL COMMENT 'in the merchant''s chain, from 1; null: in none',
    ADD COLUMN key_id    VARCHAR(64)  NULL,
    ADD COLUMN person    VARCHAR(255) NULL,
    ADD COLUMN address   VARCHAR(64)  NULL COMMENT 'null: nobody asked just then',
    ADD COLUMN note      TEXT         NULL,
    ADD COLUMN salt      VARCHAR(64)  NULL,
    ADD COLUMN content   VARCHAR(64)  NULL COMMENT 'hex SHA-256 of salt, detail and note as they were written',
    ADD COLUMN hash      VARCHAR(64)  NULL COMMENT 'hex SHA-256 of the line and the hash before it',
    ADD UNIQUE KEY audit_chain (merchant, number);

CREATE TABLE audit_heads (
    merchant  VARCHAR(64) NOT NULL,
    number    BIGINT      NOT NULL COMMENT 'of the last line; 0: there is none',
    hash      VARCHAR(64) NOT NULL,
    PRIMARY KEY (merchant)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO audit_heads (merchant, number, hash) VALUES ('default', 0, '');
