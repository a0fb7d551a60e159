-- The first schema for SQLite: the same tables and columns as mysql/0001_init.sql.
--
-- Only INTEGER, TEXT and BLOB are used; times are TEXT in UTC as 'YYYY-MM-DD HH:MM:SS.mmm'. Text compares byte
-- by byte here.

CREATE TABLE campaigns (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    campaign_id  TEXT    NOT NULL UNIQUE,
    title        TEXT    NOT NULL,
    uid          TEXT    NOT NULL,
    buckets      INTEGER NOT NULL,
    shards       INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    created_at   TEXT    NOT NULL
);

CREATE TABLE revisions (
    campaign_id  TEXT    NOT NULL,
    revision     INTEGER NOT NULL,
    rules        TEXT    NOT NULL,
    opens_at     TEXT    NOT NULL,
    closes_at    TEXT    NOT NULL,
    plan         TEXT    NOT NULL,
    plan_digest  TEXT    NOT NULL,
    created_at   TEXT    NOT NULL,
    PRIMARY KEY (campaign_id, revision)
) WITHOUT ROWID;

CREATE TABLE activations (
    campaign_id   TEXT    NOT NULL,
    epoch         INTEGER NOT NULL,
    revision      INTEGER NOT NULL,
    activated_at  TEXT    NOT NULL,
    PRIMARY KEY (campaign_id, epoch)
) WITHOUT ROWID;

CREATE TABLE stock (
    campaign_id  TEXT    NOT NULL,
    sku_id       TEXT    NOT NULL,
    total        INTEGER NOT NULL,
    sold         INTEGER NOT NULL DEFAULT 0,
    position     INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, sku_id)
) WITHOUT ROWID;

CREATE TABLE orders (
    order_id        TEXT    NOT NULL,
    campaign_id     TEXT    NOT NULL,
    sku_id          TEXT    NOT NULL,
    user_id         TEXT    NOT NULL,
    quantity        INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    placed_at       TEXT    NOT NULL,
    confirmed_at    TEXT,
    revoked_reason  TEXT,
    shard           INTEGER NOT NULL,
    plan_digest     TEXT    NOT NULL,
    fingerprint     TEXT    NOT NULL,
    receipt         TEXT    NOT NULL,
    PRIMARY KEY (campaign_id, order_id)
) WITHOUT ROWID;

CREATE TABLE `usage` (
    campaign_id   TEXT    NOT NULL,
    counter       TEXT    NOT NULL,
    window_start  INTEGER NOT NULL,
    subject       TEXT    NOT NULL,
    used          INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, counter, window_start, subject)
) WITHOUT ROWID;

CREATE TABLE landing_offsets (
    topic        TEXT    NOT NULL,
    `partition`  INTEGER NOT NULL,
    next_offset  INTEGER NOT NULL,
    PRIMARY KEY (topic, `partition`)
) WITHOUT ROWID;

CREATE TABLE dead_letters (
    topic        TEXT    NOT NULL,
    `partition`  INTEGER NOT NULL,
    `offset`     INTEGER NOT NULL,
    record_key   BLOB    NOT NULL,
    payload      BLOB    NOT NULL,
    error        TEXT    NOT NULL,
    landed_at    TEXT    NOT NULL,
    PRIMARY KEY (topic, `partition`, `offset`)
);

CREATE TABLE modules (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    digest       TEXT    NOT NULL UNIQUE,
    module_id    TEXT    NOT NULL,
    version      TEXT    NOT NULL,
    descriptor   TEXT    NOT NULL,
    size         INTEGER NOT NULL,
    uploaded_at  TEXT    NOT NULL
);

CREATE INDEX modules_id ON modules (module_id);

CREATE TABLE module_chunks (
    digest    TEXT    NOT NULL,
    position  INTEGER NOT NULL,
    bytes     BLOB    NOT NULL,
    PRIMARY KEY (digest, position)
);

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      TEXT NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    target  TEXT NOT NULL,
    detail  TEXT NOT NULL
);

CREATE TABLE leases (
    name        TEXT    NOT NULL PRIMARY KEY,
    owner       TEXT    NOT NULL,
    expires_ms  INTEGER NOT NULL
) WITHOUT ROWID;
