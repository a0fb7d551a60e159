-- Keys of requests to erase a buyer that came while an earlier one was open, and joined it. The release before neither reads nor
-- writes the table: to it, such a request is a new one whenever it comes again.

CREATE TABLE erasure_joins (
    key_hash    VARCHAR(64) NOT NULL COMMENT 'as erasures.key_hash',
    erasure_id  VARCHAR(32) NOT NULL COMMENT 'the one that covers it',
    asked       VARCHAR(64) NOT NULL COMMENT 'SHA-256 over the request',
    PRIMARY KEY (key_hash)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
