-- Ids are their senders' own. The same sender can use one again in another room, or for another event: then it names
-- something else. (An emission that is in no single room has room NULL; for those the index does not tell repetitions.)
DROP INDEX log_by_id;

CREATE UNIQUE INDEX log_by_id ON log (namespace, id, room, event, sender) WHERE id IS NOT NULL;

-- The same for answers. An older version did not note the event: '' stands for any.
CREATE TABLE answer_by_event (
    namespace TEXT NOT NULL,
    sender TEXT NOT NULL,
    id TEXT NOT NULL,
    event TEXT NOT NULL,
    ack TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (namespace, sender, id, event)
) WITHOUT ROWID;

INSERT INTO answer_by_event (namespace, sender, id, event, ack, at)
SELECT namespace, sender, id, '', ack, at FROM answer;

DROP TABLE answer;

ALTER TABLE answer_by_event RENAME TO answer;

CREATE INDEX answer_by_time ON answer (namespace, at);
