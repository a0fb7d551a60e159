-- Who is logged in at the console: see ../mysql/0039_console_sessions.sql.

CREATE TABLE console_sessions (
    session_hash  TEXT  NOT NULL,
    key_hash      TEXT  NOT NULL,
    begun_at      TEXT  NOT NULL,
    expires_at    TEXT  NOT NULL,
    PRIMARY KEY (session_hash)
) WITHOUT ROWID;

CREATE INDEX console_sessions_key ON console_sessions (key_hash);
CREATE INDEX console_sessions_expiry ON console_sessions (expires_at);
