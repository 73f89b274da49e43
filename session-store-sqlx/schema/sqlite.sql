-- Version 1. All times are milliseconds since the Unix epoch.

CREATE TABLE IF NOT EXISTS sessions_schema (version BIGINT NOT NULL PRIMARY KEY);

-- Not WITHOUT ROWID: that suits small rows, and a record may have many kilobytes.
CREATE TABLE IF NOT EXISTS sessions (
    session_key    BLOB    NOT NULL PRIMARY KEY, -- 32 bytes, a hash of the id
    version        BLOB    NOT NULL,             -- 16 bytes, new with every write
    expires_at     INTEGER NOT NULL,
    last_active_at INTEGER,                      -- NULL in a tombstone
    record         BLOB    NOT NULL              -- as encoded by session-core; the columns above override it
) STRICT;

-- For sweeps, which hold the only write lock: they must not read the whole table. Its price is paid by touches, which
-- move expires_at and so one entry here. A session is touched once in a tenth of its max_age.
CREATE INDEX IF NOT EXISTS sessions_expires_at ON sessions (expires_at);

CREATE TABLE IF NOT EXISTS sessions_users (
    user_key    BLOB    NOT NULL, -- 32 bytes, a hash of the name
    session_key BLOB    NOT NULL, -- 32 bytes
    reference   BLOB    NOT NULL, -- 16 bytes, the public reference
    added_at    INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (user_key, session_key)
) STRICT, WITHOUT ROWID;

-- Touches don't come here: an entry is written at login and at rotation.
CREATE INDEX IF NOT EXISTS sessions_users_expires_at ON sessions_users (expires_at);

-- For logins at a full cap, which look for the sessions that were added first.
CREATE INDEX IF NOT EXISTS sessions_users_added_at ON sessions_users (user_key, added_at);

INSERT OR IGNORE INTO sessions_schema (version) VALUES (1);
