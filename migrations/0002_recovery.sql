-- Sessions that outlive their connection, a log that does not grow for good, and a batch's end.

-- By which connection a socket is here, and what is needed to take up its session: the client's
-- secret (NULL where sessions are not recovered), what only its namespace knows of it, and the last
-- offset when it came.
ALTER TABLE socket ADD COLUMN connection TEXT;
ALTER TABLE socket ADD COLUMN pid TEXT;
ALTER TABLE socket ADD COLUMN private TEXT;
ALTER TABLE socket ADD COLUMN since INTEGER NOT NULL DEFAULT 0;

CREATE UNIQUE INDEX socket_by_pid ON socket (pid) WHERE pid IS NOT NULL;

-- The last offset when the socket joined: what was said before was not for it.
ALTER TABLE member ADD COLUMN since INTEGER NOT NULL DEFAULT 0;

-- Sessions whose socket is gone; rooms is [[room, since]], gone is when, in milliseconds since 1970.
CREATE TABLE session (
    pid TEXT PRIMARY KEY,
    namespace TEXT NOT NULL,
    socket TEXT NOT NULL,
    data TEXT NOT NULL,
    private TEXT,
    since INTEGER NOT NULL,
    rooms TEXT NOT NULL,
    gone INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX session_by_time ON session (namespace, gone);

CREATE INDEX session_by_socket ON session (socket);

-- Every socket's id that is the name of a room.
CREATE VIEW own_room AS SELECT id FROM socket UNION ALL SELECT socket AS id FROM session;

-- 1: not in the history of any room (for one socket, for several rooms, for everyone), kept only for
-- sessions to recover.
ALTER TABLE log ADD COLUMN brief INTEGER;

CREATE INDEX log_brief ON log (namespace, room) WHERE brief = 1;

UPDATE log SET brief = 1 WHERE room IS NULL;

-- Up to which offset a room's emissions are deleted (the room '': those that are brief), and when the
-- last of them was made.
CREATE TABLE horizon (
    namespace TEXT NOT NULL,
    room TEXT NOT NULL,
    offset INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (namespace, room)
) WITHOUT ROWID;

-- When a namespace was last tidied up, up to which offset it has no brief emissions any more, and at
-- which room it goes on.
CREATE TABLE tidied (
    namespace TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    brief INTEGER NOT NULL,
    room TEXT NOT NULL
) WITHOUT ROWID;

-- What the event of a sender that has this id was answered.
CREATE TABLE answer (
    namespace TEXT NOT NULL,
    sender TEXT NOT NULL,
    id TEXT NOT NULL,
    ack TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (namespace, sender, id)
) WITHOUT ROWID;

CREATE INDEX answer_by_time ON answer (namespace, at);

-- Which events a room has in the log is asked by room.
ALTER TABLE tally RENAME TO tally_before;

CREATE TABLE tally (
    namespace TEXT NOT NULL,
    room TEXT NOT NULL,
    event TEXT NOT NULL,
    messages INTEGER NOT NULL,
    PRIMARY KEY (namespace, room, event)
) WITHOUT ROWID;

INSERT INTO tally (namespace, room, event, messages)
SELECT namespace, room, event, messages FROM tally_before;

DROP TABLE tally_before;

-- The end of a batch in one statement instead of three: each is a hop to another thread, and what
-- one message at rest waits for is mostly hops. Inserting into this view stores emissions (plain or
-- full, lists as sql.rs describes them), counts them, and keeps the batch's response. Brief is '?' for:
-- if the room is a socket's own.

CREATE VIEW finish AS
SELECT NULL AS plain, NULL AS complete, NULL AS counts, NULL AS namespace, NULL AS first,
       NULL AS at, NULL AS relay, NULL AS epoch, NULL AS sequence, NULL AS response;

CREATE TRIGGER finish_batch INSTEAD OF INSERT ON finish
BEGIN
    INSERT INTO log (offset, namespace, room, event, data, id, at)
    SELECT NEW.first + key, NEW.namespace, value ->> 0, value ->> 1, value ->> 2, value ->> 3, NEW.at
    FROM json_each(NEW.plain);
    INSERT INTO log (offset, namespace, room, event, data, id, target, attachments, sender, ack, brief, at)
    SELECT NEW.first + key, coalesce(value ->> 9, NEW.namespace), value ->> 0, value ->> 1, value ->> 2,
           value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
           CASE value ->> 8 WHEN '?' THEN (SELECT 1 FROM own_room WHERE id = value ->> 0) ELSE value ->> 8 END,
           NEW.at
    FROM json_each(NEW.complete);
    INSERT INTO tally (namespace, event, room, messages)
    SELECT coalesce(value ->> 3, NEW.namespace), value ->> 1, value ->> 0, value ->> 2
    FROM json_each(NEW.counts)
    WHERE NOT EXISTS (SELECT 1 FROM own_room WHERE id = value ->> 0)
    ON CONFLICT (namespace, room, event) DO UPDATE SET messages = messages + excluded.messages;
    INSERT INTO batch (relay, namespace, epoch, sequence, response)
    SELECT NEW.relay, NEW.namespace, NEW.epoch, NEW.sequence, NEW.response
    WHERE NEW.relay IS NOT NULL
    ON CONFLICT (relay, namespace) DO UPDATE
    SET epoch = excluded.epoch, sequence = excluded.sequence, response = excluded.response;
END;
