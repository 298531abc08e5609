-- From version 2 to 3: an entry of the log has a kind, so that edits and reactions can follow without new tables.

PRAGMA user_version = 3;

DROP VIEW said;
ALTER TABLE journal ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE journal ADD COLUMN of INTEGER;
ALTER TABLE message ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN of INTEGER;

CREATE VIEW said AS
    SELECT * FROM message UNION ALL SELECT room, seq, time, author, author_key, id, msg, kind, of FROM journal;
