-- What a revision pins besides its rules: uploaded lists by version, and shadow rules.

ALTER TABLE revisions ADD COLUMN audiences TEXT;
ALTER TABLE revisions ADD COLUMN shadow    TEXT;
