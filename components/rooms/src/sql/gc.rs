//! The statements that delete what need not be kept.

/// namespace, time
pub const FORGET_SESSIONS: &str = "DELETE FROM session WHERE namespace = ?1 AND gone < ?2";

/// namespace, time
pub const FORGET_ANSWERS: &str = "DELETE FROM answer WHERE namespace = ?1 AND at < ?2";

/// namespace → the offset up to which there are no ephemeral emissions, the room to go on after
pub const CURSOR: &str = "SELECT ephemeral, room FROM gc_cursor WHERE namespace = ?1";

/// namespace, time, offset, room
pub const KEEP_CURSOR: &str = "\
INSERT INTO gc_cursor (namespace, at, ephemeral, room) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (namespace) DO UPDATE SET at = excluded.at, ephemeral = excluded.ephemeral, room = excluded.room";

/// offset → the first emission from there on: its offset, its time
pub const NEXT: &str = "SELECT offset, at FROM log WHERE offset >= ?1 ORDER BY offset LIMIT 1";

/// namespace → whether it has ephemeral emissions, or commands
pub const HAS_EPHEMERAL: &str =
    "SELECT EXISTS (SELECT 1 FROM log WHERE namespace = ?1 AND ephemeral IS NOT NULL)";

/// namespace, from, to, the name under which it is kept
pub const MARK_EPHEMERAL: &str = "\
INSERT INTO truncation (namespace, room, offset, at)
SELECT ?1, ?4, max(offset), at FROM log NOT INDEXED
WHERE offset > ?2 AND offset <= ?3 AND namespace = ?1 AND ephemeral IS NOT NULL GROUP BY namespace
ON CONFLICT (namespace, room) DO UPDATE SET offset = excluded.offset, at = excluded.at";

/// namespace, from, to. By the range of offsets, each of which is looked at once, and not by the index of
/// ephemeral emissions, all of which would be looked at each time.
pub const FORGET_EPHEMERAL: &str = "\
DELETE FROM log NOT INDEXED WHERE offset > ?2 AND offset <= ?3 AND namespace = ?1 AND ephemeral IS NOT NULL";

/// namespace, room, limit → [[room, emissions]] of the rooms that come after it
pub const ROOMS_AFTER: &str = "\
SELECT json_group_array(json_array(room, emissions)) FROM (
    SELECT room, sum(messages) AS emissions FROM counter WHERE namespace = ?1 AND room > ?2
    GROUP BY room ORDER BY room LIMIT ?3)";

/// namespace, [room], offset, limit → [offset] of emissions up to the offset
pub const OLD: &str = "\
SELECT json_group_array(offset) FROM (
    SELECT l.offset FROM json_each(?2) AS j
    CROSS JOIN counter AS t ON t.namespace = ?1 AND t.room = j.value
    CROSS JOIN log AS l ON l.namespace = ?1 AND l.room = t.room AND l.event = t.event AND l.offset <= ?3
    ORDER BY l.offset LIMIT ?4)";

/// namespace, [room], number, limit, offset → [offset] of emissions up to the offset that have at least so many after
/// them in their room
pub const TOO_MANY: &str = "\
SELECT json_group_array(offset) FROM (
    SELECT offset FROM (
        SELECT l.offset, row_number() OVER (PARTITION BY l.room ORDER BY l.offset DESC) AS place
        FROM json_each(?2) AS j
        CROSS JOIN counter AS t ON t.namespace = ?1 AND t.room = j.value
        CROSS JOIN log AS l ON l.namespace = ?1 AND l.room = t.room AND l.event = t.event)
    WHERE place > ?3 AND offset <= ?5 ORDER BY offset LIMIT ?4)";

/// [offset]
pub const MARK_OLD: &str = "\
INSERT INTO truncation (namespace, room, offset, at)
SELECT l.namespace, l.room, max(l.offset), l.at
FROM json_each(?1) AS j CROSS JOIN log AS l ON l.offset = j.value GROUP BY l.namespace, l.room
ON CONFLICT (namespace, room) DO UPDATE SET offset = excluded.offset, at = excluded.at";

/// [offset]
pub const DISCOUNT: &str = "\
INSERT INTO counter (namespace, room, event, messages)
SELECT l.namespace, l.room, l.event, -count(*)
FROM json_each(?1) AS j CROSS JOIN log AS l ON l.offset = j.value
GROUP BY l.namespace, l.room, l.event
ON CONFLICT (namespace, room, event) DO UPDATE SET messages = messages + excluded.messages";

/// [offset]
pub const FORGET_OLD: &str = "DELETE FROM log WHERE offset IN (SELECT value FROM json_each(?1))";
