-- What `id@version` stands for, for good: a name that was given is never given to other bytes, also after its module was deleted.
--
-- Until now other bytes could be uploaded under the same version, and the last upload was what the name stood for: so it stays.

CREATE TABLE module_versions (
    module_id   VARCHAR(190) NOT NULL,
    version     VARCHAR(190) NOT NULL,
    digest      VARCHAR(64)  NOT NULL,
    origin      VARCHAR(16)  NOT NULL COMMENT 'upload, builtin, or replacement of a built-in one',
    deleted_at  DATETIME(3)  NULL COMMENT 'its module was deleted then; the name stays taken',
    PRIMARY KEY (module_id, version)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO module_versions (module_id, version, digest, origin)
    SELECT m.module_id, m.version, m.digest, 'upload'
    FROM modules m
    JOIN (SELECT MAX(seq) AS seq FROM modules GROUP BY module_id, version) newest ON newest.seq = m.seq;
