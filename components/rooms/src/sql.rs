//! The statements. Lists come in as one JSON array and results go out as one row, since each
//! statement is a hop to another thread and each row of a stream costs another 25 µs.

pub mod gc;

pub const SAVEPOINT: &str = "SAVEPOINT event";
pub const RELEASE: &str = "RELEASE event";
pub const ROLLBACK: &str = "ROLLBACK TO event";

/// relay, namespace, time → the relay's epoch, the last batch's epoch and sequence, the last offset, when
/// the namespace's garbage was last collected, when the relay was last heard, the head of the namespace's log, whether another
/// relay was heard since that time.
pub const GUARD: &str = "\
SELECT r.epoch, b.epoch, b.sequence,
       (SELECT seq FROM sqlite_sequence WHERE name = 'log'),
       (SELECT at FROM gc_cursor WHERE namespace = ?2),
       r.heard,
       (SELECT offset FROM head WHERE namespace = ?2),
       EXISTS (SELECT 1 FROM relay WHERE id <> ?1 AND heard > ?3)
FROM (SELECT 1) LEFT JOIN relay r ON r.id = ?1 LEFT JOIN batch b ON b.relay = ?1 AND b.namespace = ?2";

/// relay, namespace, epoch, sequence → response
pub const RESPONSE: &str = "\
SELECT response FROM batch WHERE relay = ?1 AND namespace = ?2 AND epoch = ?3 AND sequence = ?4";

/// relay, epoch, time: a life of the relay begins, or goes on
pub const NOTE_LIFE: &str = "\
INSERT INTO relay (id, epoch, heard) VALUES (?1, ?2, ?3)
ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, heard = excluded.heard";

/// relay, time → 1 if there is that relay: it was heard. The row is another than before in any case, or nothing would
/// be written.
pub const HEARD: &str = "UPDATE relay SET heard = max(heard + 1, ?2) WHERE id = ?1 RETURNING 1";

/// time → [[relay, epoch]] of those that have sockets and were last heard before
pub const ABSENT: &str = "\
SELECT json_group_array(json_array(id, epoch)) FROM relay
WHERE heard < ?1 AND EXISTS (SELECT 1 FROM socket WHERE socket.relay = relay.id)";

/// relay, epoch, time
pub const SUSPEND_OLD_LIVES: &str = "\
INSERT OR REPLACE INTO session (pid, namespace, socket, data, private, since, expires, rooms, gone)
SELECT pid, namespace, id, data, private, since, expires,
       (SELECT json_group_array(json_array(room, since)) FROM member WHERE member.socket = socket.id), ?3
FROM socket WHERE relay = ?1 AND epoch < ?2 AND pid IS NOT NULL";

/// relay, epoch
pub const FORGET_MEMBERS_OF_OLD_LIVES: &str = "\
DELETE FROM member WHERE socket IN (SELECT id FROM socket WHERE relay = ?1 AND epoch < ?2)";

/// relay, epoch
pub const FORGET_OLD_LIVES: &str = "DELETE FROM socket WHERE relay = ?1 AND epoch < ?2";

/// [socket], time
pub const SUSPEND: &str = "\
INSERT OR REPLACE INTO session (pid, namespace, socket, data, private, since, expires, rooms, gone)
SELECT s.pid, s.namespace, s.id, s.data, s.private, s.since, s.expires,
       (SELECT json_group_array(json_array(room, since)) FROM member WHERE member.socket = s.id), ?2
FROM json_each(?1) AS j CROSS JOIN socket AS s ON s.id = j.value WHERE s.pid IS NOT NULL";

/// [socket]
pub const FORGET_MEMBERS: &str =
    "DELETE FROM member WHERE socket IN (SELECT value FROM json_each(?1))";

/// [socket]
pub const FORGET_SOCKETS: &str = "DELETE FROM socket WHERE id IN (SELECT value FROM json_each(?1))";

/// [[socket, data, connection, private, pid, since, expires]], namespace, relay, epoch. The connection and the
/// pid are [digests](crate::digest), here and everywhere.
pub const CONNECT: &str = "\
INSERT INTO socket (id, namespace, relay, epoch, data, connection, private, pid, since, expires)
SELECT value ->> 0, ?2, ?3, ?4, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
FROM json_each(?1) WHERE true
ON CONFLICT (id) DO UPDATE SET relay = excluded.relay, epoch = excluded.epoch, data = excluded.data,
    connection = excluded.connection, private = excluded.private, pid = excluded.pid,
    expires = excluded.expires";

/// [[socket, data]], namespace, relay. As the next ones it changes nothing of a socket that another relay has: its
/// client has come back there, and this is what it did by a connection that is lost.
pub const UPDATE: &str = "\
UPDATE socket SET data = new.data
FROM (SELECT value ->> 0 AS id, value ->> 1 AS data FROM json_each(?1)) AS new
WHERE socket.id = new.id AND socket.namespace = ?2 AND socket.relay = ?3";

/// [[socket, private, expires]], namespace, relay
pub const RENEW: &str = "\
UPDATE socket SET private = new.private, expires = new.expires
FROM (SELECT value ->> 0 AS id, value ->> 1 AS private, value ->> 2 AS expires FROM json_each(?1)) AS new
WHERE socket.id = new.id AND socket.namespace = ?2 AND socket.relay = ?3";

/// [[socket, room]], namespace, relay
pub const LEAVE: &str = "\
DELETE FROM member WHERE (namespace, room, user, socket) IN (
    SELECT m.namespace, m.room, m.user, m.socket
    FROM json_each(?1) AS j CROSS JOIN socket AS s ON s.id = j.value ->> 0 AND s.relay = ?3
    CROSS JOIN member AS m ON m.socket = s.id AND m.namespace = ?2 AND m.room = j.value ->> 1)";

/// [[socket, room, since]], namespace, relay. A socket that is not connected joins nothing: it would
/// stay for good.
pub const JOIN: &str = "\
INSERT OR IGNORE INTO member (namespace, room, user, socket, since)
SELECT ?2, j.value ->> 1, s.user, s.id, j.value ->> 2
FROM json_each(?1) AS j CROSS JOIN socket AS s
ON s.id = j.value ->> 0 AND s.namespace = ?2 AND s.relay = ?3";

/// The sockets in some of the rooms ?1 (all of the namespace ?2 if there are none) and in none of ?3.
macro_rules! target {
    ($rest:literal) => {
        concat!(
            "WITH target AS (
    SELECT id FROM socket WHERE namespace = ?2 AND json_array_length(?1) = 0
    UNION SELECT s.id FROM json_each(?1) AS j CROSS JOIN socket AS s ON s.id = j.value AND s.namespace = ?2
    UNION SELECT m.socket FROM json_each(?1) AS j CROSS JOIN member AS m ON m.namespace = ?2 AND m.room = j.value
    EXCEPT SELECT value FROM json_each(?3)
    EXCEPT SELECT m.socket FROM json_each(?3) AS j CROSS JOIN member AS m ON m.namespace = ?2 AND m.room = j.value)
",
            $rest
        )
    };
}

/// [room], namespace, [excepted room], [room to join], since
pub const MOVE_INTO: &str = target!(
    "INSERT OR IGNORE INTO member (namespace, room, user, socket, since)
SELECT ?2, j.value, s.user, s.id, ?5
FROM target AS t CROSS JOIN socket AS s ON s.id = t.id CROSS JOIN json_each(?4) AS j WHERE j.value <> s.id"
);

/// [room], namespace, [excepted room], [room to leave]
pub const MOVE_OUT: &str = target!(
    "DELETE FROM member WHERE (namespace, room, user, socket) IN (
    SELECT m.namespace, m.room, m.user, m.socket FROM target AS t CROSS JOIN member AS m
    ON m.socket = t.id AND m.namespace = ?2 AND m.room IN (SELECT value FROM json_each(?4)))"
);

/// [room], namespace, [excepted room] → [[socket, its relay]]
pub const LOCATED: &str = target!(
    "SELECT json_group_array(json_array(s.id, s.relay)) FROM target AS t CROSS JOIN socket AS s ON s.id = t.id"
);

/// [namespace] → [[namespace, the head of its log]]
pub const HEADS: &str = "\
SELECT json_group_array(json_array(namespace, offset)) FROM head
WHERE namespace IN (SELECT value FROM json_each(?1))";

/// [[id, sender, event, room, rooms, other namespace]], namespace → [[index, ack]]. Of an emission to one room there is the
/// room, of one to several the list of them.
pub const REPETITIONS: &str = "\
SELECT json_group_array(json_array(j.key, l.ack))
FROM json_each(?1) AS j CROSS JOIN log AS l
ON l.namespace = coalesce(j.value ->> 5, ?2) AND l.id = j.value ->> 0 AND l.room IS j.value ->> 3
   AND l.event = j.value ->> 2 AND l.sender = j.value ->> 1 AND l.target ->> '$.rooms' IS j.value ->> 4";

/// Stores, counts and keeps in one go (`migrations/0008_one_order.sql`):
/// [[room, event, data, id]] or [[room, event, data, id, target, attachments, sender, ack, ephemeral,
/// other namespace]], the other one empty; [[room, event, number, other namespace]], [[namespace, its head]],
/// namespace, first offset, time;
/// relay, epoch, sequence, response (NULL: the batch is not over)
pub const FINISH: &str = "\
INSERT INTO finish (plain, complete, counts, heads, namespace, first, at, relay, epoch, sequence, response)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

/// namespace, room → [[socket, data]]
pub const MEMBERS: &str = "\
SELECT json_group_array(json_array(id, data)) FROM (
    SELECT s.id, s.data FROM member AS m CROSS JOIN socket AS s ON s.id = m.socket
    WHERE m.namespace = ?1 AND m.room = ?2
    UNION ALL SELECT id, data FROM socket WHERE id = ?2 AND namespace = ?1)";

/// namespace, room, after which user, limit → users in the room; [[socket, data]], one socket of each user
pub const PAGE: &str = "\
SELECT coalesce((SELECT users FROM occupancy WHERE namespace = ?1 AND room = ?2), 0),
       (SELECT json_group_array(json_array(s.id, s.data)) FROM (
            SELECT user, min(socket) AS socket FROM member
            WHERE namespace = ?1 AND room = ?2 AND user > ?3
            GROUP BY user ORDER BY user LIMIT ?4) AS page
        CROSS JOIN socket AS s ON s.id = page.socket)";

/// [[room, user]], namespace → [[index, sockets]] of those that have any
pub const SOCKETS_OF: &str = "\
SELECT json_group_array(json_array(place, sockets)) FROM (
    SELECT j.key AS place, count(*) AS sockets FROM json_each(?1) AS j
    CROSS JOIN member AS m ON m.namespace = ?2 AND m.room = j.value ->> 0 AND m.user = j.value ->> 1
    GROUP BY j.key)";

/// namespace → [[socket, data]]
pub const SOCKETS: &str = "\
SELECT json_group_array(json_array(id, data)) FROM socket WHERE namespace = ?1";

/// namespace, socket → [room]
pub const ROOMS_OF: &str = "\
SELECT json_group_array(room) FROM member WHERE socket = ?2 AND namespace = ?1";

/// [[socket, connection]] → [index]. A row of an older version of the schema has no connection.
pub const CONNECTED: &str = "\
SELECT json_group_array(j.key) FROM json_each(?1) AS j CROSS JOIN socket AS s ON s.id = j.value ->> 0
WHERE s.connection IS NULL OR s.connection = j.value ->> 1";

/// namespace, sender, id, event → ack. An older version has kept answers without their events.
pub const ANSWER: &str = "\
SELECT ack FROM answer WHERE namespace = ?1 AND sender = ?2 AND id = ?3 AND event IN (?4, '') LIMIT 1";

/// [[sender, id, event, ack]], namespace, time
pub const KEEP_ANSWERS: &str = "\
INSERT OR IGNORE INTO answer (namespace, sender, id, event, ack, at)
SELECT ?2, value ->> 0, value ->> 1, value ->> 2, value ->> 3, ?3 FROM json_each(?1)";

/// when; its namespace has no name that one could have
pub const PROBE: &str = "\
INSERT OR REPLACE INTO answer (namespace, sender, id, event, ack, at) VALUES ('', '', 'probe', '', '', ?1)";

pub const END_PROBE: &str = "DELETE FROM answer WHERE namespace = ''";

/// namespace, event → [[room, members, messages]]
pub const ROOMS: &str = "\
SELECT json_group_array(json_array(room, members, messages)) FROM (
    SELECT room, sum(members) AS members, sum(messages) AS messages FROM (
        SELECT room, sockets AS members, 0 AS messages FROM occupancy WHERE namespace = ?1
        UNION ALL
        SELECT room, 0, messages FROM counter WHERE namespace = ?1 AND event = ?2)
    GROUP BY room ORDER BY room)";

/// namespace, id, room, event → [offset], the first two
pub const OFFSETS_OF: &str = "\
SELECT json_group_array(offset) FROM (
    SELECT offset FROM log WHERE namespace = ?1 AND id = ?2 AND room = ?3 AND event = ?4 ORDER BY offset LIMIT 2)";

/// namespace, room, event, offset, limit, bytes → [[offset, data, attachments]], newest first; so many that those
/// but the last have fewer bytes. Sizes are read without the rows.
pub const HISTORY: &str = "\
WITH page AS (
    SELECT offset, sum(size) OVER (ORDER BY offset DESC) - size AS later FROM (
        SELECT offset, octet_length(data) + coalesce(octet_length(attachments), 0) AS size FROM log
        WHERE namespace = ?1 AND room = ?2 AND event = ?3 AND offset < ?4
        ORDER BY offset DESC LIMIT ?5))
SELECT json_group_array(json_array(offset, data, attachments)) FROM (
    SELECT l.offset, l.data, l.attachments FROM page AS p CROSS JOIN log AS l ON l.offset = p.offset
    WHERE p.later < ?6 ORDER BY p.offset DESC)";

/// pid, namespace → socket, data, private, since, [[room, since]], when it went and NULL, or NULL and the
/// relay that it is connected to, when its time is over
pub const SESSION: &str = "\
SELECT socket, data, private, since, rooms, gone, NULL, expires
FROM session WHERE pid = ?1 AND namespace = ?2
UNION ALL
SELECT id, data, private, since,
       (SELECT json_group_array(json_array(room, since)) FROM member WHERE socket = s.id), NULL, relay, expires
FROM socket AS s WHERE pid = ?1 AND namespace = ?2";

/// namespace, [room], offset, time → whether emissions of a room are deleted that come after the offset and were
/// made at that time or later: whether its truncation mark is beyond.
pub const IS_TRUNCATED: &str = "\
SELECT EXISTS (
    SELECT 1 FROM json_each(?2) AS j CROSS JOIN truncation AS h ON h.namespace = ?1 AND h.room = j.value
    WHERE h.offset > ?3 AND h.at >= ?4)";

/// namespace, [[room, since]], offset, own room, limit, page → how many were missed, their bytes, how many are in the
/// page, [[offset, room, target, data, attachments]], oldest first. Those to one room, those to the socket alone, those
/// to several rooms or everyone. The page has so many that those but the last have fewer bytes.
pub const MISSED: &str = "\
WITH missed (offset, size) AS MATERIALIZED (
    SELECT offset, size FROM (
        SELECT l.offset, octet_length(l.data) + coalesce(octet_length(l.attachments), 0) AS size
        FROM json_each(?2) AS j
        CROSS JOIN counter AS t ON t.namespace = ?1 AND t.room = j.value ->> 0
        CROSS JOIN log AS l ON l.namespace = ?1 AND l.room = t.room AND l.event = t.event
            AND l.offset > max(?3, j.value ->> 1)
        UNION ALL
        SELECT offset, octet_length(data) + coalesce(octet_length(attachments), 0) FROM log
        WHERE namespace = ?1 AND room = ?4 AND ephemeral = 1 AND offset > ?3
        UNION ALL
        SELECT offset, octet_length(data) + coalesce(octet_length(attachments), 0) FROM log
        WHERE namespace = ?1 AND room IS NULL AND ephemeral = 1 AND offset > ?3)
    ORDER BY offset LIMIT ?5),
page (offset) AS MATERIALIZED (
    SELECT offset FROM (SELECT offset, sum(size) OVER (ORDER BY offset) - size AS earlier FROM missed)
    WHERE earlier < ?6)
SELECT (SELECT count(*) FROM missed), (SELECT coalesce(sum(size), 0) FROM missed), (SELECT count(*) FROM page),
    (SELECT json_group_array(json_array(offset, room, target, data, attachments)) FROM (
        SELECT l.offset, l.room, l.target, l.data, l.attachments
        FROM page AS p CROSS JOIN log AS l ON l.offset = p.offset ORDER BY p.offset))";

/// namespace → the head of its log
pub const HEAD: &str = "SELECT offset FROM head WHERE namespace = ?1";

/// namespace, offset, bytes, limit → the head of the namespace's log, how many entries there are after the offset (not
/// more than the limit), whether some after it were deleted, how many are in the page, [[offset, ephemeral, room, target,
/// data, attachments, sender]], in the log's order. The page has so many that those but the last have fewer bytes.
/// By the range of offsets: a relay is not far behind, and what others have said meanwhile is little.
pub const REPLAY: &str = "\
WITH last (head) AS MATERIALIZED (
    SELECT coalesce((SELECT offset FROM head WHERE namespace = ?1), 0)),
entry (offset, size) AS MATERIALIZED (
    SELECT offset, octet_length(data) + coalesce(octet_length(attachments), 0) FROM log NOT INDEXED
    WHERE offset > ?2 AND offset <= (SELECT head FROM last) AND namespace = ?1
    ORDER BY offset LIMIT ?4),
page (offset) AS MATERIALIZED (
    SELECT offset FROM (SELECT offset, sum(size) OVER (ORDER BY offset) - size AS earlier FROM entry)
    WHERE earlier < ?3)
SELECT (SELECT head FROM last), (SELECT count(*) FROM entry),
    EXISTS (SELECT 1 FROM truncation WHERE namespace = ?1 AND offset > ?2), (SELECT count(*) FROM page),
    (SELECT json_group_array(json_array(offset, ephemeral, room, target, data, attachments, sender)) FROM (
        SELECT l.offset, l.ephemeral, l.room, l.target, l.data, l.attachments, l.sender
        FROM page AS p CROSS JOIN log AS l ON l.offset = p.offset ORDER BY p.offset))";

/// pid
pub const END_SESSION: &str = "DELETE FROM session WHERE pid = ?1";

/// socket, namespace, relay, epoch, data, connection, private, pid, since, expires
pub const RESUME: &str = "\
INSERT INTO socket (id, namespace, relay, epoch, data, connection, private, pid, since, expires)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (id) DO UPDATE SET relay = excluded.relay, epoch = excluded.epoch, connection = excluded.connection,
    since = excluded.since";

/// socket, namespace, [[room, since]]
pub const RESUME_IN_ROOMS: &str = "\
INSERT OR IGNORE INTO member (namespace, room, user, socket, since)
SELECT ?2, j.value ->> 0, s.user, s.id, j.value ->> 1
FROM socket AS s CROSS JOIN json_each(?3) AS j WHERE s.id = ?1";
