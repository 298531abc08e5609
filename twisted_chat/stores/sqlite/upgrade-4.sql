-- From version 3 to 4: the time by which retention deletes is kept for the next run, and when a topic was set.

PRAGMA user_version = 4;

ALTER TABLE store ADD COLUMN time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE store ADD COLUMN ahead REAL NOT NULL DEFAULT 0;

ALTER TABLE room ADD COLUMN topic_time INTEGER NOT NULL DEFAULT 0;
UPDATE room SET topic_time = 1000 * CAST(strftime('%s') AS INTEGER);
