-- Attributes that a revision folds before rules see them, and lists whose members are folded likewise: a version of such a
-- list is kept under the list's id, a tilde and the steps, which makes it longer than an id may be.

ALTER TABLE revisions ADD COLUMN folds TEXT NULL COMMENT 'JSON: attribute to steps; null: none is folded';

ALTER TABLE audiences MODIFY COLUMN audience_id VARCHAR(128) NOT NULL;
