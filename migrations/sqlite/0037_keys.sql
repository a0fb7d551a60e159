-- Merchants, and the keys of the control plane: see ../mysql/0037_keys.sql.

CREATE TABLE merchants (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    merchant_id  TEXT NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    created_at   TEXT NOT NULL
);

INSERT INTO merchants (merchant_id, name, created_at)
VALUES ('default', 'default', strftime('%Y-%m-%d %H:%M:%f', 'now'));

CREATE TABLE api_keys (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    key_id        TEXT NOT NULL UNIQUE,
    merchant      TEXT,
    name          TEXT NOT NULL,
    person        TEXT NOT NULL,
    digest        TEXT NOT NULL UNIQUE,
    scopes        TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    created_by    TEXT NOT NULL,
    expires_at    TEXT,
    revoked_at    TEXT,
    last_used_at  TEXT
);

CREATE INDEX api_keys_merchant ON api_keys (merchant, seq);

CREATE TABLE audience_owners (
    audience_id  TEXT NOT NULL,
    merchant     TEXT NOT NULL,
    PRIMARY KEY (audience_id)
) WITHOUT ROWID;

INSERT INTO audience_owners (audience_id, merchant)
SELECT DISTINCT audience_id, 'default' FROM audiences WHERE audience_id NOT LIKE '%~%';

ALTER TABLE campaigns ADD COLUMN merchant TEXT NOT NULL DEFAULT 'default';
CREATE INDEX campaigns_merchant ON campaigns (merchant, seq);
ALTER TABLE webhooks ADD COLUMN merchant TEXT NOT NULL DEFAULT 'default';
ALTER TABLE modules ADD COLUMN merchant TEXT;
