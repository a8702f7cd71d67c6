-- The end of a batch in one statement instead of three: each is a hop to another thread, and what
-- one message at rest waits for is mostly hops. Inserting into this view stores emissions (plain or
-- full, lists as sql.rs describes them), counts them, and keeps the batch's response.

CREATE VIEW finish AS
SELECT NULL AS plain, NULL AS complete, NULL AS counts, NULL AS namespace, NULL AS first,
       NULL AS at, NULL AS relay, NULL AS epoch, NULL AS sequence, NULL AS response;

CREATE TRIGGER finish_batch INSTEAD OF INSERT ON finish
BEGIN
    INSERT INTO log (offset, namespace, room, event, data, id, at)
    SELECT NEW.first + key, NEW.namespace, value ->> 0, value ->> 1, value ->> 2, value ->> 3, NEW.at
    FROM json_each(NEW.plain); -- not the end
    INSERT INTO log (offset, namespace, room, event, data, id, target, attachments, sender, ack, at)
    SELECT NEW.first + key, NEW.namespace, value ->> 0, value ->> 1, value ->> 2, value ->> 3,
           value ->> 4, value ->> 5, value ->> 6, value ->> 7, NEW.at
    FROM json_each(NEW.complete); -- not the end
    INSERT INTO tally (namespace, event, room, messages)
    SELECT NEW.namespace, value ->> 1, value ->> 0, value ->> 2 FROM json_each(NEW.counts)
    WHERE NOT EXISTS (SELECT 1 FROM socket WHERE id = value ->> 0)
    ON CONFLICT (namespace, event, room) DO UPDATE SET messages = messages + excluded.messages; -- not the end
    INSERT INTO batch (relay, namespace, epoch, sequence, response)
    SELECT NEW.relay, NEW.namespace, NEW.epoch, NEW.sequence, NEW.response
    WHERE NEW.relay IS NOT NULL
    ON CONFLICT (relay, namespace) DO UPDATE
    SET epoch = excluded.epoch, sequence = excluded.sequence, response = excluded.response; -- not the end
END;
