-- From version 3 to 4: the time by which retention deletes is kept for the next run.

PRAGMA user_version = 4;

ALTER TABLE store ADD COLUMN time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE store ADD COLUMN ahead REAL NOT NULL DEFAULT 0;
