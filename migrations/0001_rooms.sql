-- Who is connected, who is in which room, what was said, and the last batch of each relay.
-- A statement ends with a semicolon at the end of a line; one that makes a trigger, with the line `END;`.

-- A relay's youngest life. A greater epoch declares the sockets of the smaller ones gone.
CREATE TABLE relay (
    id TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL
) WITHOUT ROWID;

-- The latest batch of each relay in each namespace, so that a retry gets the same response.
CREATE TABLE batch (
    relay TEXT NOT NULL,
    namespace TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    response BLOB NOT NULL,
    PRIMARY KEY (relay, namespace)
);

-- Connected sockets; data is their public JSON.
CREATE TABLE socket (
    id TEXT PRIMARY KEY,
    namespace TEXT NOT NULL,
    relay TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    data TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX socket_by_relay ON socket (relay, epoch);

-- Who is in which room. A socket's own room has no row.
CREATE TABLE member (
    namespace TEXT NOT NULL,
    room TEXT NOT NULL,
    socket TEXT NOT NULL,
    PRIMARY KEY (namespace, room, socket)
) WITHOUT ROWID;

CREATE INDEX member_by_socket ON member (socket);

-- Every emission that was not volatile, in the order of its commit.
-- room is the one room it went to, or NULL; target has {rooms, except} where that does not say all.
-- Both NULL: everyone in the namespace.
CREATE TABLE log (
    offset INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    room TEXT,
    target TEXT,
    event TEXT NOT NULL,
    data TEXT NOT NULL,
    attachments TEXT,
    id TEXT,
    sender TEXT,
    ack TEXT,
    at INTEGER NOT NULL
);

CREATE INDEX log_by_room ON log (namespace, room, event) WHERE room IS NOT NULL;

CREATE UNIQUE INDEX log_by_id ON log (namespace, id, sender) WHERE id IS NOT NULL;

-- How many emissions of each event a room has in the log: counting them there would read them all.
CREATE TABLE tally (
    namespace TEXT NOT NULL,
    event TEXT NOT NULL,
    room TEXT NOT NULL,
    messages INTEGER NOT NULL,
    PRIMARY KEY (namespace, event, room)
) WITHOUT ROWID;
