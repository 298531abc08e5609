-- From version 1 to 2: the journal has a row for each message. It was one of JSON for each turn of the server, and to
-- read that back took longer than all else of moving it on.

PRAGMA user_version = 2;

INSERT INTO message SELECT * FROM journaled;
DROP VIEW said;
DROP VIEW journaled;
DROP TABLE journal;

CREATE TABLE journal (
    row        INTEGER PRIMARY KEY,
    room       INTEGER NOT NULL REFERENCES room (id),
    seq        INTEGER NOT NULL,
    time       INTEGER NOT NULL,
    author     TEXT NOT NULL,
    author_key TEXT NOT NULL,
    id         TEXT,
    msg        TEXT NOT NULL
) STRICT;

CREATE VIEW said AS
    SELECT * FROM message UNION ALL SELECT room, seq, time, author, author_key, id, msg FROM journal;
