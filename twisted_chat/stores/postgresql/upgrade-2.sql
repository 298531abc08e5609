-- From version 1: who is at which server. All of it is about the present, so the tables are not logged: after a crash of
-- the database they are empty, and each server announces again who is there.

UPDATE store SET version = 2;

-- An import makes rules, and gives them the number of the epoch at its end.
ALTER TABLE rule ALTER COLUMN changed SET DEFAULT 0;

-- The servers that are alive, and until when that is known. A server that is dead for a minute is forgotten.
CREATE UNLOGGED TABLE lease (
    server uuid PRIMARY KEY,
    until  timestamptz NOT NULL
);

CREATE UNLOGGED TABLE nick (
    key      text COLLATE "C" NOT NULL,
    server   uuid    NOT NULL,
    name     text    NOT NULL,
    skeleton text COLLATE "C" NOT NULL, -- what all names that look like this one have in common
    account  boolean NOT NULL,          -- its bearer has logged in, and may be at several servers
    token    bytea,                     -- the hash of the token by which its bearer is known when it connects again
    PRIMARY KEY (key, server)
);

CREATE INDEX nick_like ON nick (skeleton);
CREATE INDEX nick_of_server ON nick (server);

CREATE UNLOGGED TABLE member (
    room   text COLLATE "C" NOT NULL,
    key    text COLLATE "C" NOT NULL,
    server uuid NOT NULL,
    shown  text NOT NULL, -- the name of the room
    name   text NOT NULL,
    PRIMARY KEY (room, key, server)
);

CREATE INDEX member_of_server ON member (server);

-- What is too long for a notification. It is read at once, and forgotten after a minute.
CREATE UNLOGGED TABLE parcel (
    id   bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    body text        NOT NULL,
    time timestamptz NOT NULL DEFAULT now()
);

-- The nicks and members at other servers that are alive.
CREATE FUNCTION nicks_elsewhere(server uuid) RETURNS SETOF nick LANGUAGE sql STABLE AS $$
    SELECT n.* FROM nick AS n JOIN lease AS l ON l.server = n.server
    WHERE n.server <> nicks_elsewhere.server AND l.until > now()
$$;

CREATE FUNCTION members_elsewhere(server uuid) RETURNS SETOF member LANGUAGE sql STABLE AS $$
    SELECT m.* FROM member AS m JOIN lease AS l ON l.server = m.server
    WHERE m.server <> members_elsewhere.server AND l.until > now()
$$;

-- Claims a nick for a server. Returns 'alike' or 'taken' if somebody at another server is in the way, and '' otherwise.
CREATE FUNCTION claim(server uuid, key text, name text, skeleton text, account boolean, token bytea) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    other nick%ROWTYPE;
BEGIN
    PERFORM pg_advisory_xact_lock(1417102184, hashtext(claim.skeleton)); -- two servers may claim it at the same moment
    FOR other IN SELECT * FROM nicks_elsewhere(claim.server) AS n WHERE n.skeleton = claim.skeleton LOOP
        IF other.key <> claim.key THEN
            RETURN 'alike';
        ELSIF other.token = claim.token THEN
            DELETE FROM nick AS n WHERE n.key = other.key AND n.server = other.server;
            PERFORM tell(json_build_object('events', json_build_array(
                json_build_object('kind', 'taken', 'server', other.server, 'nick', other.key))));
        ELSIF NOT claim.account THEN
            RETURN 'taken';
        END IF;
    END LOOP;
    INSERT INTO nick AS n VALUES (claim.key, claim.server, claim.name, claim.skeleton, claim.account, claim.token)
    ON CONFLICT (key, server) DO NOTHING;
    RETURN '';
END $$;

-- Tells other servers what has happened, and who has entered rooms and left them: a name is NULL for one that has left.
CREATE FUNCTION publish(server uuid, bodies text[], rooms text[], shown text[], keys text[], names text[])
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    one text;
    number bigint;
BEGIN
    DELETE FROM member AS m USING unnest(publish.rooms, publish.keys, publish.names) AS u (room, key, name)
    WHERE m.room = u.room AND m.key = u.key AND m.server = publish.server AND u.name IS NULL;
    INSERT INTO member (room, key, server, shown, name)
    SELECT u.room, u.key, publish.server, u.shown, u.name
    FROM unnest(publish.rooms, publish.shown, publish.keys, publish.names) AS u (room, shown, key, name)
    WHERE u.name IS NOT NULL ON CONFLICT (room, key, server) DO UPDATE SET name = excluded.name;
    FOREACH one IN ARRAY bodies LOOP
        IF octet_length(one) < 8000 THEN
            PERFORM pg_notify('twisted_chat', one);
        ELSE
            INSERT INTO parcel (body) VALUES (one) RETURNING id INTO number;
            PERFORM tell(json_build_object('parcel', number));
        END IF;
    END LOOP;
END $$;

-- Announces all who are at a server. Returns the keys of the nicks that somebody at another server has by now.
CREATE FUNCTION announce(
    server uuid, keys text[], names text[], skeletons text[], accounts boolean[], tokens bytea[],
    rooms text[], shown text[], member_keys text[], member_names text[]
) RETURNS SETOF text LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM beat(announce.server);
    DELETE FROM nick AS n WHERE n.server = announce.server;
    DELETE FROM member AS m WHERE m.server = announce.server;
    RETURN QUERY SELECT u.key FROM unnest(announce.keys, announce.accounts) AS u (key, account)
    JOIN nicks_elsewhere(announce.server) AS n ON n.key = u.key WHERE NOT u.account;
    INSERT INTO nick (key, server, name, skeleton, account, token)
    SELECT u.key, announce.server, u.name, u.skeleton, u.account, u.token
    FROM unnest(announce.keys, announce.names, announce.skeletons, announce.accounts, announce.tokens)
        AS u (key, name, skeleton, account, token);
    INSERT INTO member (room, key, server, shown, name)
    SELECT u.room, u.key, announce.server, u.shown, u.name
    FROM unnest(announce.rooms, announce.shown, announce.member_keys, announce.member_names)
        AS u (room, shown, key, name);
    PERFORM tell('{"look": true}');
END $$;

-- Renews the lease of a server for ten seconds. False if it had none, so that it has to announce who is there.
CREATE FUNCTION beat(server uuid) RETURNS boolean LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    WITH dead AS (DELETE FROM lease AS l WHERE l.until < now() - interval '1 minute' RETURNING l.server),
    nicks AS (DELETE FROM nick AS n USING dead WHERE n.server = dead.server)
    DELETE FROM member AS m USING dead WHERE m.server = dead.server;
    DELETE FROM parcel WHERE time < now() - interval '1 minute';
    UPDATE lease AS l SET until = now() + interval '10 seconds' WHERE l.server = beat.server AND l.until > now();
    IF FOUND THEN
        RETURN true;
    END IF;
    INSERT INTO lease AS l VALUES (beat.server, now() + interval '10 seconds')
    ON CONFLICT (server) DO UPDATE SET until = excluded.until;
    RETURN false;
END $$;

-- For an import: makes rooms, locks them in the order of their keys, and returns their rows.
CREATE FUNCTION import_rooms(keys text[], names text[]) RETURNS TABLE (id bigint, key text, topic text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    made bigint;
BEGIN
    INSERT INTO room AS r (key, name)
    SELECT u.key, u.name FROM unnest(import_rooms.keys, import_rooms.names) WITH ORDINALITY AS u (key, name, place)
    ORDER BY u.place
    ON CONFLICT (key) DO UPDATE SET name = excluded.name WHERE r.name = '';
    GET DIAGNOSTICS made = ROW_COUNT;
    UPDATE store SET rooms = rooms + made WHERE made > 0;
    RETURN QUERY SELECT r.id, r.key, r.topic FROM room AS r WHERE r.key = ANY (import_rooms.keys)
    ORDER BY r.key FOR NO KEY UPDATE;
END $$;

-- For an import: stores messages that are not there, in rooms that are locked.
CREATE FUNCTION import_messages(
    rooms bigint[], seqs bigint[], times bigint[], authors text[], author_keys text[], ids text[], msgs text[],
    kinds text[], ofs bigint[], deleted bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO message (room, seq, time, author, author_key, id, msg, kind, of, deleted)
    SELECT * FROM unnest(rooms, seqs, times, authors, author_keys, ids, msgs, kinds, ofs, import_messages.deleted);
    WITH added AS (
        SELECT u.room, min(u.seq) AS first, max(u.seq) AS last, count(*) AS count
        FROM unnest(rooms, seqs) AS u (room, seq) GROUP BY u.room
    ), ends AS (
        SELECT r.id, greatest(r.head, added.last) AS head,
            CASE WHEN r.oldest_time IS NULL THEN added.first ELSE least(r.oldest, added.first) END AS oldest,
            CASE WHEN r.oldest_time IS NULL THEN 0 ELSE r.head - r.oldest + 1 END AS reached, added.count
        FROM room AS r JOIN added ON added.room = r.id
    )
    UPDATE room AS r SET head = ends.head, oldest = ends.oldest,
        oldest_time = (SELECT m.time FROM message AS m WHERE m.room = r.id AND m.seq = ends.oldest),
        skipped = r.skipped + ends.head - ends.oldest + 1 - ends.reached - ends.count
    FROM ends WHERE r.id = ends.id;
END $$;

-- For an import: tells all servers what was written, and goes on with numbers that nobody has.
CREATE FUNCTION import_done(keys text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now bigint := begin_epoch();
BEGIN
    UPDATE rule SET changed = now WHERE changed = 0;
    PERFORM setval(pg_get_serial_sequence('audit', 'seq'), greatest((SELECT max(seq) FROM audit), 1));
    PERFORM setval(pg_get_serial_sequence('report', 'seq'), greatest((SELECT max(seq) FROM report), 1));
    PERFORM tell(json_build_object('anew', keys));
END $$;
