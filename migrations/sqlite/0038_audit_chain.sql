-- The audit trail as a chain: each line has a number in its merchant's chain and a hash over itself and the one before it, and says
-- by which key, by whom and from where it was asked. Rows that are there get theirs by `rushgate migrate`, from the program: no SQL
-- of both databases hashes alike. The release before writes rows without a number, which `rushgate audit verify` names.

ALTER TABLE audit ADD COLUMN merchant TEXT NOT NULL DEFAULT 'default';
ALTER TABLE audit ADD COLUMN number INTEGER NULL;
ALTER TABLE audit ADD COLUMN key_id TEXT NULL;
ALTER TABLE audit ADD COLUMN person TEXT NULL;
ALTER TABLE audit ADD COLUMN address TEXT NULL;
ALTER TABLE audit ADD COLUMN note TEXT NULL;
ALTER TABLE audit ADD COLUMN salt TEXT NULL;
ALTER TABLE audit ADD COLUMN content TEXT NULL;
ALTER TABLE audit ADD COLUMN hash TEXT NULL;
CREATE UNIQUE INDEX audit_chain ON audit (merchant, number);

CREATE TABLE audit_heads (
    merchant  TEXT    NOT NULL PRIMARY KEY,
    number    INTEGER NOT NULL,
    hash      TEXT    NOT NULL
) WITHOUT ROWID;

INSERT INTO audit_heads (merchant, number, hash) VALUES ('default', 0, '');
