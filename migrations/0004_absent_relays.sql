-- When a relay was last heard, in milliseconds since 1970. One that has not been heard for long will not
-- come back, and its sockets are gone. Noted every ten minutes at most.
ALTER TABLE relay ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;

UPDATE relay SET heard = 1000 * CAST(strftime('%s', 'now') AS INTEGER);
