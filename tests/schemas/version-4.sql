-- The embedded store, version 4 (PRAGMA user_version). Times are milliseconds since 1970, names are shown as they
-- were first written, a key is what a name is known by (names.py).

PRAGMA application_id = 0x54774368;  -- "TwCh"
PRAGMA user_version = 4;

CREATE TABLE room (
    id      INTEGER PRIMARY KEY,
    key     TEXT NOT NULL UNIQUE,
    name    TEXT NOT NULL,              -- empty where retention has taken all, and only the numbers go on
    topic   TEXT NOT NULL DEFAULT '',
    trimmed INTEGER NOT NULL DEFAULT 0, -- the newest number that retention has taken away
    skipped INTEGER NOT NULL DEFAULT 0, -- numbers between the oldest and the newest message that none has (an import)
    topic_time INTEGER NOT NULL DEFAULT 0 -- when the topic was set
) STRICT;

-- One row. The epoch is raised by another program that writes to the file beside the server (`twisted-chat import`), so
-- that the server looks again at what it knows.
CREATE TABLE store (
    epoch INTEGER NOT NULL,
    time  INTEGER NOT NULL DEFAULT 0, -- by which retention has deleted last; 0 if it never has
    ahead REAL NOT NULL DEFAULT 0     -- seconds for which the server has run with a clock that was set ahead of it
) STRICT;
INSERT INTO store (epoch) VALUES (1);

-- What was said last, in the order of time: appending here is all that an ack waits for, and costs the same for one
-- room and for a thousand. The server moves it on to `message`, where it can be found, in bulk.
CREATE TABLE journal (
    row        INTEGER PRIMARY KEY,
    room       INTEGER NOT NULL REFERENCES room (id),
    seq        INTEGER NOT NULL,
    time       INTEGER NOT NULL,
    author     TEXT NOT NULL,
    author_key TEXT NOT NULL,
    id         TEXT,
    msg        TEXT NOT NULL,
    kind       TEXT NOT NULL DEFAULT '', -- of entry: '' is a message; later ones are called as on the wire ('edit')
    of         INTEGER,                  -- the number of the message that an entry of another kind is about
    deleted    INTEGER                   -- the number of the entry that took the text away
) STRICT;

CREATE TABLE message (
    room       INTEGER NOT NULL REFERENCES room (id),
    seq        INTEGER NOT NULL,
    time       INTEGER NOT NULL,
    author     TEXT NOT NULL,
    author_key TEXT NOT NULL,
    id         TEXT,
    msg        TEXT NOT NULL,
    kind       TEXT NOT NULL DEFAULT '',
    of         INTEGER,
    deleted    INTEGER,
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;

-- Saying twice is saying once.
CREATE UNIQUE INDEX said_once ON message (room, author_key, id) WHERE id IS NOT NULL;

-- All that is kept, for whoever reads the file beside the server.
CREATE VIEW said AS
    SELECT * FROM message UNION ALL SELECT room, seq, time, author, author_key, id, msg, kind, of, deleted FROM journal;

-- Who has an account. A name that is removed stays here: its next bearer would read the old one's direct messages.
CREATE TABLE account (
    key      TEXT PRIMARY KEY,
    name     TEXT NOT NULL,
    skeleton TEXT NOT NULL UNIQUE,      -- what all names that look like this one have in common
    password TEXT NOT NULL,             -- its hash, with the parameters; '' where no password is right
    created  INTEGER NOT NULL,
    state    TEXT NOT NULL,             -- 'active', 'pending', 'suspended', 'removed'
    ended    INTEGER NOT NULL DEFAULT 0 -- the epoch as of which the server has to end the sessions of this account
) STRICT, WITHOUT ROWID;

CREATE INDEX account_ended ON account (ended) WHERE ended > 0;

CREATE TABLE token (
    digest  BLOB PRIMARY KEY, -- the hash of the secret
    account TEXT NOT NULL REFERENCES account (key),
    label   TEXT NOT NULL,
    created INTEGER NOT NULL,
    used    INTEGER,
    UNIQUE (account, label)
) STRICT, WITHOUT ROWID;

-- The rules that are in force. The server has all of them in memory.
CREATE TABLE rule (
    room    TEXT NOT NULL, -- its key; '' for the whole server
    kind    TEXT NOT NULL, -- 'role', 'ban', 'mute', 'lock', 'slow', 'invite'
    subject TEXT NOT NULL, -- the key of a nick, an address or a network; '' for everybody in the room
    shown   TEXT NOT NULL,
    address TEXT NOT NULL,
    value   INTEGER NOT NULL,
    until   INTEGER,
    msg     TEXT NOT NULL,
    author  TEXT NOT NULL,
    time    INTEGER NOT NULL,
    PRIMARY KEY (room, kind, subject)
) STRICT, WITHOUT ROWID;

-- The audit log: who did what to whom, when and why.
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    kind    TEXT NOT NULL,
    author  TEXT NOT NULL,
    account TEXT NOT NULL,
    room    TEXT NOT NULL,
    target  TEXT NOT NULL,
    value   TEXT NOT NULL,
    msg     TEXT NOT NULL,
    until   INTEGER,
    time    INTEGER NOT NULL
) STRICT;

CREATE INDEX audit_of_room ON audit (room);

CREATE TABLE report (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT, -- those that were seen to are deleted, and no number is given twice
    room   TEXT NOT NULL,
    of     INTEGER NOT NULL,
    author TEXT NOT NULL,
    msg    TEXT NOT NULL,
    time   INTEGER NOT NULL
) STRICT;
