-- Four eyes: campaigns in which a revision needs the approval of another person. Who made a revision and what it holds is written down
-- with it; rows of before, and of a gateway of the release before, say nothing of that, and cannot be approved.

ALTER TABLE campaigns
    ADD COLUMN four_eyes BIGINT NOT NULL DEFAULT 0 COMMENT '1: on; 2: on, and revision in force waits for its first approval';

ALTER TABLE revisions
    ADD COLUMN made_by TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL COMMENT 'person',
    ADD COLUMN made_with VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL COMMENT 'key',
    ADD COLUMN content VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL COMMENT 'hex SHA-256 over all it holds';

ALTER TABLE api_keys
    ADD COLUMN made_with VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL COMMENT 'key; null: the root token';

UPDATE api_keys SET made_with = SUBSTRING(created_by, -17, 16) WHERE created_by LIKE '% (key ________________)';

CREATE TABLE approvals (
    seq           BIGINT       NOT NULL AUTO_INCREMENT,
    campaign_id   VARCHAR(64)  NOT NULL,
    revision      BIGINT       NOT NULL,
    digest        VARCHAR(64)  NOT NULL COMMENT 'of what was approved',
    parts         TEXT         NOT NULL COMMENT 'JSON: digest of each part',
    person        TEXT         NOT NULL,
    key_id        VARCHAR(32)  NOT NULL,
    note          TEXT         NULL,
    approved_at   DATETIME(3)  NOT NULL,
    withdrawn_at  DATETIME(3)  NULL,
    PRIMARY KEY (seq),
    KEY approvals_of (campaign_id, revision)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Changes of a running sale that wait for another person.
CREATE TABLE proposals (
    seq           BIGINT       NOT NULL AUTO_INCREMENT,
    proposal_id   VARCHAR(32)  NOT NULL,
    campaign_id   VARCHAR(64)  NOT NULL,
    kind          VARCHAR(32)  NOT NULL COMMENT 'as the audit trail names it',
    body          MEDIUMTEXT   NOT NULL COMMENT 'JSON: what was asked for',
    against       BIGINT       NOT NULL COMMENT 'the revision in force when it was asked for',
    digest        VARCHAR(64)  NOT NULL COMMENT 'over all of the above',
    actor         TEXT         NOT NULL,
    person        TEXT         NOT NULL,
    key_id        VARCHAR(32)  NOT NULL,
    note          TEXT         NULL,
    created_at    DATETIME(3)  NOT NULL,
    state         VARCHAR(16)  NOT NULL COMMENT 'waiting, making, done, failed or withdrawn',
    decided_by    TEXT         NULL COMMENT 'person',
    decided_with  VARCHAR(32)  NULL COMMENT 'key',
    outcome       TEXT         NULL,
    PRIMARY KEY (seq),
    UNIQUE KEY proposals_id (proposal_id),
    KEY proposals_of (campaign_id, seq)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
