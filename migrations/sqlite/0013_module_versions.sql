-- What `id@version` stands for, for good: a name that was given is never given to other bytes, also after its module was deleted.
--
-- Until now other bytes could be uploaded under the same version, and the last upload was what the name stood for: so it stays.

CREATE TABLE module_versions (
    module_id   TEXT NOT NULL,
    version     TEXT NOT NULL,
    digest      TEXT NOT NULL,
    origin      TEXT NOT NULL,
    deleted_at  TEXT,
    PRIMARY KEY (module_id, version)
) WITHOUT ROWID;

INSERT INTO module_versions (module_id, version, digest, origin)
    SELECT m.module_id, m.version, m.digest, 'upload'
    FROM modules m
    JOIN (SELECT MAX(seq) AS seq FROM modules GROUP BY module_id, version) newest ON newest.seq = m.seq;
