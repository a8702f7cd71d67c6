//! The statements. Lists come in as one JSON array and results go out as one row, since each
//! statement is a hop to another thread and each row of a stream costs another 25 µs.

pub const BEGIN: &str = "BEGIN IMMEDIATE";
pub const COMMIT: &str = "COMMIT";
pub const SAVEPOINT: &str = "SAVEPOINT event";
pub const RELEASE: &str = "RELEASE event";
pub const ROLLBACK: &str = "ROLLBACK TO event";

/// relay, namespace → the relay's epoch, the last batch's epoch and sequence, the last offset.
pub const GUARD: &str = "\
SELECT (SELECT epoch FROM relay WHERE id = ?1), b.epoch, b.sequence,
       (SELECT seq FROM sqlite_sequence WHERE name = 'log')
FROM (SELECT 1) LEFT JOIN batch b ON b.relay = ?1 AND b.namespace = ?2";

/// relay, namespace, epoch, sequence → response
pub const RESPONSE: &str = "\
SELECT response FROM batch WHERE relay = ?1 AND namespace = ?2 AND epoch = ?3 AND sequence = ?4";

/// relay, epoch
pub const NEW_LIFE: &str = "\
INSERT INTO relay (id, epoch) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch";

/// relay, epoch
pub const FORGET_MEMBERS_OF_OLD_LIVES: &str = "\
DELETE FROM member WHERE socket IN (SELECT id FROM socket WHERE relay = ?1 AND epoch < ?2)";

/// relay, epoch
pub const FORGET_OLD_LIVES: &str = "DELETE FROM socket WHERE relay = ?1 AND epoch < ?2";

/// [socket]
pub const FORGET_MEMBERS: &str =
    "DELETE FROM member WHERE socket IN (SELECT value FROM json_each(?1))";

/// [socket]
pub const FORGET_SOCKETS: &str = "DELETE FROM socket WHERE id IN (SELECT value FROM json_each(?1))";

/// [[socket, data]], namespace, relay, epoch
pub const CONNECT: &str = "\
INSERT INTO socket (id, namespace, relay, epoch, data)
SELECT value ->> 0, ?2, ?3, ?4, value ->> 1 FROM json_each(?1) WHERE true
ON CONFLICT (id) DO UPDATE SET relay = excluded.relay, epoch = excluded.epoch, data = excluded.data";

/// [[socket, data]], namespace
pub const UPDATE: &str = "\
UPDATE socket SET data = new.data
FROM (SELECT value ->> 0 AS id, value ->> 1 AS data FROM json_each(?1)) AS new
WHERE socket.id = new.id AND socket.namespace = ?2";

/// [[socket, room]], namespace
pub const LEAVE: &str = "\
DELETE FROM member WHERE (namespace, room, socket) IN
    (SELECT ?2, value ->> 1, value ->> 0 FROM json_each(?1))";

/// [[socket, room]], namespace. A socket that is not connected joins nothing: it would stay for good.
pub const JOIN: &str = "\
INSERT OR IGNORE INTO member (namespace, room, socket)
SELECT ?2, j.value ->> 1, s.id
FROM json_each(?1) AS j CROSS JOIN socket AS s ON s.id = j.value ->> 0 AND s.namespace = ?2";

/// [[id, sender]], namespace → [[index, ack]]
pub const REPETITIONS: &str = "\
SELECT json_group_array(json_array(j.key, l.ack))
FROM json_each(?1) AS j CROSS JOIN log AS l
ON l.namespace = ?2 AND l.id = j.value ->> 0 AND l.sender = j.value ->> 1";

/// Stores, counts and keeps in one go (`migrations/0002_finish.sql`):
/// [[room, event, data, id]] or [[room, event, data, id, target, attachments, sender, ack]], the
/// other one empty; [[room, event, number]], namespace, first offset, time;
/// relay (NULL: the batch is not over), epoch, sequence, response
pub const FINISH: &str = "\
INSERT INTO finish (plain, complete, counts, namespace, first, at, relay, epoch, sequence, response)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// namespace, room → [[socket, data]]
pub const MEMBERS: &str = "\
SELECT json_group_array(json_array(s.id, s.data))
FROM member AS m CROSS JOIN socket AS s ON s.id = m.socket
WHERE m.namespace = ?1 AND m.room = ?2";

/// namespace, event → [[room, members, messages]]
pub const ROOMS: &str = "\
SELECT json_group_array(json_array(room, members, messages)) FROM (
    SELECT room, sum(members) AS members, sum(messages) AS messages FROM (
        SELECT room, count(*) AS members, 0 AS messages FROM member
        WHERE namespace = ?1 GROUP BY room
        UNION ALL
        SELECT room, 0, messages FROM tally WHERE namespace = ?1 AND event = ?2)
    GROUP BY room ORDER BY room)";

/// namespace, id, room, event → offset. Where a second sender has taken the same id, the first counts.
pub const OFFSET_OF: &str = "\
SELECT min(offset) FROM log WHERE namespace = ?1 AND id = ?2 AND room = ?3 AND event = ?4";

/// namespace, room, event, offset, limit → [[offset, data, attachments]], newest first
pub const HISTORY: &str = "\
SELECT json_group_array(json_array(offset, data, attachments)) FROM (
    SELECT offset, data, attachments FROM log
    WHERE namespace = ?1 AND room = ?2 AND event = ?3 AND offset < ?4
    ORDER BY offset DESC LIMIT ?5)";
