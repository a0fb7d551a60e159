-- Recorded attempts are kept in compressed pieces: a row per attempt cost the database more than deciding it did.
--
-- Rows of `attempts` and `samples` stay and are read on; gateways of this release write none. The release before this one
-- writes its rows as ever.

CREATE TABLE buyer_samples (
    campaign_id  TEXT    NOT NULL PRIMARY KEY,
    halvings     INTEGER NOT NULL,
    bands        TEXT    NOT NULL,
    skipped      INTEGER NOT NULL,
    dropped      INTEGER NOT NULL,
    arrivals     INTEGER NOT NULL,
    begun_at     TEXT    NOT NULL
) WITHOUT ROWID;

CREATE TABLE attempt_pieces (
    campaign_id  TEXT    NOT NULL,
    band         INTEGER NOT NULL,
    arrival      INTEGER NOT NULL,
    token        INTEGER NOT NULL,
    first_at     TEXT    NOT NULL,
    last_at      TEXT    NOT NULL,
    attempts     INTEGER NOT NULL,
    payload      BLOB    NOT NULL,
    PRIMARY KEY (campaign_id, band, arrival)
);

CREATE INDEX attempt_pieces_moment ON attempt_pieces (campaign_id, first_at);
