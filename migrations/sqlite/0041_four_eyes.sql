-- Four eyes: see ../mysql/0041_four_eyes.sql.

ALTER TABLE campaigns ADD COLUMN four_eyes INTEGER NOT NULL DEFAULT 0;

ALTER TABLE revisions ADD COLUMN made_by TEXT;
ALTER TABLE revisions ADD COLUMN made_with TEXT;
ALTER TABLE revisions ADD COLUMN content TEXT;

ALTER TABLE api_keys ADD COLUMN made_with TEXT;

UPDATE api_keys SET made_with = substr(created_by, -17, 16) WHERE created_by LIKE '% (key ________________)';

CREATE TABLE approvals (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    campaign_id   TEXT NOT NULL,
    revision      INTEGER NOT NULL,
    digest        TEXT NOT NULL,
    parts         TEXT NOT NULL,
    person        TEXT NOT NULL,
    key_id        TEXT NOT NULL,
    note          TEXT,
    approved_at   TEXT NOT NULL,
    withdrawn_at  TEXT
);

CREATE INDEX approvals_of ON approvals (campaign_id, revision);

CREATE TABLE proposals (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    proposal_id   TEXT NOT NULL UNIQUE,
    campaign_id   TEXT NOT NULL,
    kind          TEXT NOT NULL,
    body          TEXT NOT NULL,
    against       INTEGER NOT NULL,
    digest        TEXT NOT NULL,
    actor         TEXT NOT NULL,
    person        TEXT NOT NULL,
    key_id        TEXT NOT NULL,
    note          TEXT,
    created_at    TEXT NOT NULL,
    state         TEXT NOT NULL,
    decided_by    TEXT,
    decided_with  TEXT,
    outcome       TEXT
);

CREATE INDEX proposals_of ON proposals (campaign_id, seq);
