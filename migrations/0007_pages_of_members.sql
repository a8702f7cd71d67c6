-- Rooms can be read page by page, and what a join or a leave costs does not depend on how many others are there.

-- Who a socket belongs to: the `id` of its data, where that is an object which has a text of that name.
-- Where it has none, the socket belongs to nobody else: its own id.
ALTER TABLE socket ADD COLUMN user TEXT GENERATED ALWAYS AS (
    CASE WHEN json_valid(data) AND json_type(data, '$.id') = 'text' AND data ->> '$.id' <> ''
    THEN data ->> '$.id' ELSE id END) VIRTUAL;

-- As in 0001, in the order in which pages give it: the sockets of one user in a room are neighbours.
CREATE TABLE member_by_user (
    namespace TEXT NOT NULL,
    room TEXT NOT NULL,
    user TEXT NOT NULL,
    socket TEXT NOT NULL,
    since INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (namespace, room, user, socket)
) WITHOUT ROWID;

INSERT INTO member_by_user (namespace, room, user, socket, since)
SELECT m.namespace, m.room, s.user, s.id, m.since FROM member AS m CROSS JOIN socket AS s ON s.id = m.socket;

DROP TABLE member;

ALTER TABLE member_by_user RENAME TO member;

CREATE INDEX member_by_socket ON member (socket);

-- How many sockets and how many users are in a room: counting them there would read them all. A room that is
-- empty has no row. The triggers below keep it, whatever changes `member`.
CREATE TABLE occupancy (
    namespace TEXT NOT NULL,
    room TEXT NOT NULL,
    sockets INTEGER NOT NULL,
    users INTEGER NOT NULL,
    PRIMARY KEY (namespace, room)
) WITHOUT ROWID;

INSERT INTO occupancy (namespace, room, sockets, users)
SELECT namespace, room, count(*), count(DISTINCT user) FROM member GROUP BY namespace, room;

CREATE TRIGGER member_joined AFTER INSERT ON member
BEGIN
    INSERT INTO occupancy (namespace, room, sockets, users) VALUES (NEW.namespace, NEW.room, 1, 1)
    ON CONFLICT (namespace, room) DO UPDATE SET sockets = sockets + 1, users = users + (NOT EXISTS (
        SELECT 1 FROM member WHERE namespace = NEW.namespace AND room = NEW.room AND user = NEW.user
        AND socket <> NEW.socket));
END;

CREATE TRIGGER member_left AFTER DELETE ON member
BEGIN
    UPDATE occupancy SET sockets = sockets - 1, users = users - (NOT EXISTS (
        SELECT 1 FROM member WHERE namespace = OLD.namespace AND room = OLD.room AND user = OLD.user))
    WHERE namespace = OLD.namespace AND room = OLD.room;
    DELETE FROM occupancy WHERE namespace = OLD.namespace AND room = OLD.room AND sockets = 0;
END;

CREATE TRIGGER member_changed AFTER UPDATE OF user ON member
BEGIN
    UPDATE occupancy SET users = users - (NOT EXISTS (
        SELECT 1 FROM member WHERE namespace = OLD.namespace AND room = OLD.room AND user = OLD.user))
    + (NOT EXISTS (
        SELECT 1 FROM member WHERE namespace = NEW.namespace AND room = NEW.room AND user = NEW.user
        AND socket <> NEW.socket))
    WHERE namespace = NEW.namespace AND room = NEW.room;
END;

-- A socket whose data names another user belongs to that one in its rooms as well.
CREATE TRIGGER socket_changed AFTER UPDATE OF data ON socket WHEN NEW.user <> OLD.user
BEGIN
    UPDATE member SET user = NEW.user WHERE socket = NEW.id;
END;
