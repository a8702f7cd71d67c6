-- Each namespace has one log in one order, and every relay delivers it in that order. A relay tells from the head of
-- the log, and from the offset before each part of it, whether it has got everything.

-- The offset of the last entry of each namespace's log, whether or not that entry is still there.
CREATE TABLE head (
    namespace TEXT PRIMARY KEY,
    offset INTEGER NOT NULL
) WITHOUT ROWID;

-- What was the last offset of all namespaces is at or after the last of each.
INSERT INTO head (namespace, offset)
SELECT namespace, seq FROM (
    SELECT namespace FROM log
    UNION SELECT namespace FROM tally
    UNION SELECT namespace FROM horizon
    UNION SELECT namespace FROM tidied
    UNION SELECT namespace FROM socket
    UNION SELECT namespace FROM session
    UNION SELECT namespace FROM batch
    UNION SELECT namespace FROM answer)
CROSS JOIN (SELECT max(seq) AS seq FROM sqlite_sequence WHERE name = 'log')
WHERE seq IS NOT NULL;

DROP VIEW finish;

-- Everything comes in one order, so the offset says all of what a client has seen.
ALTER TABLE log DROP COLUMN source;
ALTER TABLE socket DROP COLUMN given;
ALTER TABLE session DROP COLUMN given;

-- What is in no room's history is ephemeral: 1 is an emission, 2 a command for relays. Of a command, data is its JSON,
-- sender the relay whose batch gave it, and target, where it is for some sockets, [[socket, relay]]. No session wants
-- commands, and they are deleted as ephemeral emissions are.
DROP INDEX log_brief;

ALTER TABLE log RENAME COLUMN brief TO ephemeral;

CREATE INDEX log_ephemeral ON log (namespace, room, ephemeral) WHERE ephemeral IS NOT NULL;

-- Counters of stored emissions, marks up to where a log was truncated, and how far the collection of garbage has come.
ALTER TABLE tally RENAME TO counter;
ALTER TABLE horizon RENAME TO truncation;
ALTER TABLE tidied RENAME TO gc_cursor;
ALTER TABLE gc_cursor RENAME COLUMN brief TO ephemeral;

-- As in 0005, without sources and with heads: [[namespace, its last offset]] of those that the batch has emitted to.
CREATE VIEW finish AS
SELECT NULL AS plain, NULL AS complete, NULL AS counts, NULL AS heads, NULL AS namespace, NULL AS first,
       NULL AS at, NULL AS relay, NULL AS epoch, NULL AS sequence, NULL AS response;

CREATE TRIGGER finish_batch INSTEAD OF INSERT ON finish
BEGIN
    INSERT INTO log (offset, namespace, room, event, data, id, at)
    SELECT NEW.first + key, NEW.namespace, value ->> 0, value ->> 1, value ->> 2, value ->> 3, NEW.at
    FROM json_each(NEW.plain);
    INSERT INTO log (offset, namespace, room, event, data, id, target, attachments, sender, ack, ephemeral, at)
    SELECT NEW.first + key, coalesce(value ->> 9, NEW.namespace), value ->> 0, value ->> 1, value ->> 2,
           value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
           CASE value ->> 8 WHEN '?' THEN (SELECT 1 FROM own_room WHERE id = value ->> 0) ELSE value ->> 8 END,
           NEW.at
    FROM json_each(NEW.complete);
    INSERT INTO counter (namespace, event, room, messages)
    SELECT coalesce(value ->> 3, NEW.namespace), value ->> 1, value ->> 0, value ->> 2
    FROM json_each(NEW.counts)
    WHERE NOT EXISTS (SELECT 1 FROM own_room WHERE id = value ->> 0)
    ON CONFLICT (namespace, room, event) DO UPDATE SET messages = messages + excluded.messages;
    INSERT INTO head (namespace, offset)
    SELECT value ->> 0, value ->> 1 FROM json_each(NEW.heads) WHERE true
    ON CONFLICT (namespace) DO UPDATE SET offset = excluded.offset;
    INSERT INTO batch (relay, namespace, epoch, sequence, response)
    SELECT NEW.relay, NEW.namespace, NEW.epoch, NEW.sequence, NEW.response
    WHERE NEW.response IS NOT NULL
    ON CONFLICT (relay, namespace) DO UPDATE
    SET epoch = excluded.epoch, sequence = excluded.sequence, response = excluded.response;
END;
