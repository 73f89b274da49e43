-- Version 1. All times are milliseconds since the Unix epoch, which no setting of a time zone changes.

CREATE TABLE IF NOT EXISTS sessions_schema (version BIGINT NOT NULL PRIMARY KEY) ENGINE = InnoDB;

-- The index is for sweeps, which would read the whole table without it. Its price is paid by touches: they move
-- expires_at, and so mark one entry as deleted and add another. A session is touched once in a tenth of its max_age,
-- so the price is small, and most saves leave expires_at as it is.
CREATE TABLE IF NOT EXISTS sessions (
    session_key    BINARY(32) NOT NULL PRIMARY KEY, -- a hash of the id
    version        BINARY(16) NOT NULL,             -- new with every write
    expires_at     BIGINT     NOT NULL,
    last_active_at BIGINT     NULL,                 -- NULL in a tombstone
    record         LONGBLOB   NOT NULL,             -- as encoded by session-core; the columns above override it
    INDEX sessions_expires_at (expires_at)
) ENGINE = InnoDB;

-- Touches don't come here: an entry is written at login and at rotation.
CREATE TABLE IF NOT EXISTS sessions_users (
    user_key    BINARY(32) NOT NULL, -- a hash of the name
    session_key BINARY(32) NOT NULL,
    reference   BINARY(16) NOT NULL, -- the public reference
    added_at    BIGINT     NOT NULL,
    expires_at  BIGINT     NOT NULL,
    PRIMARY KEY (user_key, session_key),
    INDEX sessions_users_expires_at (expires_at),
    INDEX sessions_users_added_at (user_key, added_at) -- for logins at a full cap, which look for what was added first
) ENGINE = InnoDB;

INSERT IGNORE INTO sessions_schema (version) VALUES (1);
