-- Uploaded lists: one row per version, and their members by bucket.

CREATE TABLE audiences (
    audience_id  TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    -- Its members are kept under this.
    upload       TEXT    NOT NULL,
    members      INTEGER NOT NULL,
    buckets      INTEGER NOT NULL,
    digest       TEXT    NOT NULL,
    uploaded_at  TEXT    NOT NULL,
    PRIMARY KEY (audience_id, version)
);

CREATE TABLE audience_buckets (
    upload   TEXT    NOT NULL,
    bucket   INTEGER NOT NULL,
    members  BLOB    NOT NULL,
    PRIMARY KEY (upload, bucket)
);
