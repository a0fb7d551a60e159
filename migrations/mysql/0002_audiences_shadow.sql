-- What a revision pins besides its rules: uploaded lists by version, and shadow rules.

ALTER TABLE revisions
    ADD COLUMN audiences LONGTEXT COMMENT 'JSON: list id → version and buckets',
    ADD COLUMN shadow    LONGTEXT COMMENT 'JSON: rules that decide beside the others, with their merged plan';
