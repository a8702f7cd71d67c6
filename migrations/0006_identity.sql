-- What a client proves itself with is no longer in the database: pid and connection are SHA-256 digests
-- from here on. Sessions of before are over, because their secrets are legible in old pages, in the stored
-- answers and in every copy of this file: their clients come back as new sockets.
DELETE FROM session;

-- A socket without a connection is connected by whichever it says it left by.
UPDATE socket SET pid = NULL, connection = NULL;

-- When the token ends that let the client in, in milliseconds since 1970; NULL: it does not.
ALTER TABLE socket ADD COLUMN expires INTEGER;

ALTER TABLE session ADD COLUMN expires INTEGER;
