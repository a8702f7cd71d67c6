-- Whose batches emitted what is in the log. The emissions of one source arrive in their order; between
-- two there is none, so what a client has seen can be said exactly only for each by itself.

-- The relay's name, and behind it the namespace of the batch where that is another than the emission's.
-- NULL: an older version did not note it.
ALTER TABLE log ADD COLUMN source TEXT;

-- The last offset when its session was taken up. A client that has seen anything later has seen all up to
-- there. Since is, from then on, up to where it had seen all before.
ALTER TABLE socket ADD COLUMN given INTEGER NOT NULL DEFAULT 0;

ALTER TABLE session ADD COLUMN given INTEGER NOT NULL DEFAULT 0;

-- As in 0002; now the relay is always there, and response is NULL where the batch is not over.
DROP VIEW finish;

CREATE VIEW finish AS
SELECT NULL AS plain, NULL AS complete, NULL AS counts, NULL AS namespace, NULL AS first,
       NULL AS at, NULL AS relay, NULL AS epoch, NULL AS sequence, NULL AS response;

CREATE TRIGGER finish_batch INSTEAD OF INSERT ON finish
BEGIN
    INSERT INTO log (offset, namespace, room, event, data, id, source, at)
    SELECT NEW.first + key, NEW.namespace, value ->> 0, value ->> 1, value ->> 2, value ->> 3, NEW.relay, NEW.at
    FROM json_each(NEW.plain);
    INSERT INTO log (offset, namespace, room, event, data, id, target, attachments, sender, ack, brief, source, at)
    SELECT NEW.first + key, coalesce(value ->> 9, NEW.namespace), value ->> 0, value ->> 1, value ->> 2,
           value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
           CASE value ->> 8 WHEN '?' THEN (SELECT 1 FROM own_room WHERE id = value ->> 0) ELSE value ->> 8 END,
           CASE WHEN value ->> 9 <> NEW.namespace THEN NEW.relay || NEW.namespace ELSE NEW.relay END,
           NEW.at
    FROM json_each(NEW.complete);
    INSERT INTO tally (namespace, event, room, messages)
    SELECT coalesce(value ->> 3, NEW.namespace), value ->> 1, value ->> 0, value ->> 2
    FROM json_each(NEW.counts)
    WHERE NOT EXISTS (SELECT 1 FROM own_room WHERE id = value ->> 0)
    ON CONFLICT (namespace, room, event) DO UPDATE SET messages = messages + excluded.messages;
    INSERT INTO batch (relay, namespace, epoch, sequence, response)
    SELECT NEW.relay, NEW.namespace, NEW.epoch, NEW.sequence, NEW.response
    WHERE NEW.response IS NOT NULL
    ON CONFLICT (relay, namespace) DO UPDATE
    SET epoch = excluded.epoch, sequence = excluded.sequence, response = excluded.response;
END;
