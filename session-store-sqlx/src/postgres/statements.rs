//! What PostgreSQL is asked.

use crate::shared::{RIGHTS, Sql, Table};

pub(super) const SCHEMA: &str = include_str!("../../schema/postgres.sql");

/// The statements, with the table's name in them.
pub(super) struct Statements {
    pub(super) columns: Sql,
    pub(super) version: Sql,
    pub(super) lock: Sql,
    pub(super) schema: Sql,
    pub(super) rights: Sql,
    pub(super) load: Sql,
    pub(super) load_many: Sql,
    pub(super) create: Sql,
    pub(super) replace: Sql,
    pub(super) delete: Sql,
    pub(super) touch: Sql,
    pub(super) sweep: Sql,
    pub(super) sweep_users: Sql,
    pub(super) list: Sql,
    pub(super) count_entries: Sql,
    pub(super) count_sessions: Sql,
    pub(super) sample: Sql,
    pub(super) enter: Sql,
    pub(super) remove: Sql,
}

impl Statements {
    pub(super) fn on(table: &Table) -> Self {
        Self::from(|statement| table.sql(statement))
    }

    /// The same, and the server keeps none of them.
    pub(super) fn without_names(table: &Table) -> Self {
        Self::from(|statement| table.sql(statement).without_name())
    }

    fn from(sql: impl Fn(&'static str) -> Sql) -> Self {
        Self {
            columns: sql(
                "SELECT tables.name, a.attname::text, format_type(a.atttypid, a.atttypmod), \
                 a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', keys.indrelid IS NOT NULL \
                 FROM (VALUES ('sessions_schema'), ('sessions'), ('sessions_users')) AS tables (name) \
                 JOIN pg_attribute AS a ON a.attrelid = to_regclass(tables.name) \
                 LEFT JOIN pg_index AS keys ON keys.indrelid = a.attrelid AND keys.indisprimary \
                 AND a.attnum = ANY (keys.indkey) WHERE a.attnum > 0 AND NOT a.attisdropped",
            ),
            version: sql("SELECT MAX(version) FROM sessions_schema"),
            lock: sql("SELECT pg_advisory_xact_lock($1)"),
            schema: sql(SCHEMA),
            rights: sql(RIGHTS),
            load: sql(
                "SELECT version, expires_at, last_active_at, record FROM sessions \
                 WHERE session_key = $1 AND expires_at > $2",
            ),
            load_many: sql(
                "SELECT session_key, version, expires_at, last_active_at, record FROM sessions \
                 WHERE session_key = ANY($1) AND expires_at > $2",
            ),
            create: sql(
                "INSERT INTO sessions AS held (session_key, version, expires_at, last_active_at, record) \
                 VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (session_key) DO UPDATE SET version = EXCLUDED.version, \
                 expires_at = EXCLUDED.expires_at, last_active_at = EXCLUDED.last_active_at, \
                 record = EXCLUDED.record WHERE held.expires_at <= $6",
            ),
            replace: sql(
                "UPDATE sessions SET version = $2, expires_at = $3, last_active_at = $4, record = $5 \
                 WHERE session_key = $1 AND expires_at > $6 AND version = $7",
            ),
            delete: sql("DELETE FROM sessions WHERE session_key = $1"),
            touch: sql(
                "UPDATE sessions SET version = $2, expires_at = GREATEST(expires_at, $3), \
                 last_active_at = GREATEST(last_active_at, $4) \
                 WHERE session_key = $1 AND version = $5 AND expires_at > $6 AND last_active_at IS NOT NULL",
            ),
            // Whoever finds a row locked waits and looks again: the row may have been extended, or be gone. To skip
            // it would leave rows behind and say that there are none. In one order, sweepers can't lock each other
            // out; and the rows are chosen once, which a subselect in the condition wouldn't promise. The sum keeps
            // the planner from starting with all that has expired, and comparing each of it with each of the
            // chosen: a thousand of ten thousand then took half a second, and of more, more.
            sweep: sql(
                "WITH expired AS MATERIALIZED (SELECT session_key FROM sessions WHERE expires_at <= $1 \
                 ORDER BY expires_at, session_key LIMIT $2 FOR UPDATE) \
                 DELETE FROM sessions AS held USING expired \
                 WHERE held.session_key = expired.session_key AND held.expires_at + 0 <= $1",
            ),
            sweep_users: sql(
                "WITH expired AS MATERIALIZED (SELECT user_key, session_key FROM sessions_users \
                 WHERE expires_at <= $1 ORDER BY expires_at, user_key, session_key LIMIT $2 FOR UPDATE) \
                 DELETE FROM sessions_users AS held USING expired \
                 WHERE held.user_key = expired.user_key AND held.session_key = expired.session_key \
                 AND held.expires_at + 0 <= $1",
            ),
            list: sql(
                "SELECT session_key, reference, added_at, expires_at FROM sessions_users \
                 WHERE user_key = $1 AND expires_at > $2 ORDER BY added_at, session_key",
            ),
            // No more than is needed: a user may have very many.
            count_entries: sql("SELECT COUNT(*) FROM (SELECT 1 FROM sessions_users \
                 WHERE user_key = $1 AND session_key <> $2 LIMIT $3) AS counted"),
            count_sessions: sql(
                "SELECT COUNT(*) FROM (SELECT DISTINCT reference FROM sessions_users \
                 WHERE user_key = $1 AND expires_at > $2 AND reference <> $3 LIMIT $4) AS counted",
            ),
            sample: sql(
                "SELECT * FROM (SELECT 0::BIGINT AS part, session_key, reference, added_at, expires_at \
                 FROM sessions_users WHERE user_key = $1 AND expires_at > $2 \
                 ORDER BY added_at, session_key LIMIT $3) AS oldest \
                 UNION ALL SELECT * FROM (SELECT 1, session_key, reference, added_at, expires_at \
                 FROM sessions_users WHERE user_key = $1 AND expires_at > $2 AND session_key >= $5 \
                 ORDER BY session_key LIMIT $4) AS onwards \
                 UNION ALL SELECT * FROM (SELECT 2, session_key, reference, added_at, expires_at \
                 FROM sessions_users WHERE user_key = $1 AND expires_at > $2 AND session_key < $5 \
                 ORDER BY session_key LIMIT $4) AS round_the_end",
            ),
            enter: sql(
                "INSERT INTO sessions_users (user_key, session_key, reference, added_at, expires_at) \
                 VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (user_key, session_key) DO UPDATE SET reference = EXCLUDED.reference, \
                 added_at = EXCLUDED.added_at, expires_at = EXCLUDED.expires_at",
            ),
            remove: sql("DELETE FROM sessions_users WHERE user_key = $1 AND session_key = $2"),
        }
    }
}
