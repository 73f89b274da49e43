-- Version 1. All times are milliseconds since the Unix epoch, which no setting of a time zone changes.

CREATE TABLE IF NOT EXISTS sessions_schema (version BIGINT NOT NULL PRIMARY KEY);

-- Most saves leave expires_at as it is. They stay within the page (a HOT update) and add nothing to any index, as
-- long as the page has room for them: hence the fillfactor.
CREATE TABLE IF NOT EXISTS sessions (
    session_key    BYTEA  NOT NULL PRIMARY KEY, -- 32 bytes, a hash of the id
    version        BYTEA  NOT NULL,             -- 16 bytes, new with every write
    expires_at     BIGINT NOT NULL,
    last_active_at BIGINT,                      -- NULL in a tombstone
    record         BYTEA  NOT NULL              -- as encoded by session-core; the columns above override it
) WITH (fillfactor = 80);

-- Without this index each sweep would read the whole table. Its price is paid by touches: they move expires_at, so
-- that their updates can't be HOT and add an entry to both indexes. A session is touched once in a tenth of its
-- max_age, so the price is small. A coarser column, of whole hours, would keep some touches HOT, but then each
-- sweep would read all that live and expire within the hour.
CREATE INDEX IF NOT EXISTS sessions_expires_at ON sessions (expires_at);

CREATE TABLE IF NOT EXISTS sessions_users (
    user_key    BYTEA  NOT NULL, -- 32 bytes, a hash of the name
    session_key BYTEA  NOT NULL, -- 32 bytes
    reference   BYTEA  NOT NULL, -- 16 bytes, the public reference
    added_at    BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (user_key, session_key)
);

-- For sweeps. Touches don't come here: an entry is written at login and at rotation.
CREATE INDEX IF NOT EXISTS sessions_users_expires_at ON sessions_users (expires_at);

-- For logins at a full cap, which look for the sessions that were added first.
CREATE INDEX IF NOT EXISTS sessions_users_added_at ON sessions_users (user_key, added_at, session_key);

INSERT INTO sessions_schema (version) VALUES (1) ON CONFLICT DO NOTHING;
