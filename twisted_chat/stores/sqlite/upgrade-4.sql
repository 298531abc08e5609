-- From version 3 to 4: deleted messages; the time by which retention deletes is kept for the next run, and when a topic was set; accounts,
-- and the rules about them.

PRAGMA user_version = 4;

ALTER TABLE store ADD COLUMN time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE store ADD COLUMN ahead REAL NOT NULL DEFAULT 0;

ALTER TABLE journal ADD COLUMN deleted INTEGER;
ALTER TABLE message ADD COLUMN deleted INTEGER;
DROP VIEW said;
CREATE VIEW said AS
    SELECT * FROM message
    UNION ALL SELECT room, seq, time, author, author_key, id, msg, kind, of, deleted FROM journal;

ALTER TABLE room ADD COLUMN topic_time INTEGER NOT NULL DEFAULT 0;
UPDATE room SET topic_time = 1000 * CAST(strftime('%s') AS INTEGER);

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
