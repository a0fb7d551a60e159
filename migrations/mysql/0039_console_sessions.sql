-- Who is logged in at the console. A cookie has a random id alone; here are its hash and that of the key it was made with, so that
-- a key that is no longer good ends its sessions, and whoever reads the table can be nobody. The release before does not know it.

CREATE TABLE console_sessions (
    session_hash  VARCHAR(64)  NOT NULL COMMENT 'hex SHA-256 of the cookie',
    key_hash      VARCHAR(64)  NOT NULL COMMENT 'hex SHA-256 of the key',
    begun_at      DATETIME(3)  NOT NULL,
    expires_at    DATETIME(3)  NOT NULL,
    PRIMARY KEY (session_hash),
    KEY console_sessions_key (key_hash),
    KEY console_sessions_expiry (expires_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
