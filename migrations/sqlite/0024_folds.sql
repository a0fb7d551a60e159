-- Attributes that a revision folds before rules see them, and lists whose members are folded likewise: a version of such a
-- list is kept under the list's id, a tilde and the steps.

ALTER TABLE revisions ADD COLUMN folds TEXT NULL;
