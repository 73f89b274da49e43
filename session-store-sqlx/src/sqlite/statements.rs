//! What SQLite is asked.

use crate::shared::{RIGHTS, Sql, Table};

pub(super) const SCHEMA: &str = include_str!("../../schema/sqlite.sql");

/// The statements, with the table's name in them.
pub(super) struct Statements {
    pub(super) columns: Sql,
    pub(super) version: Sql,
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
        let sql = |statement| table.sql(statement);
        Self {
            columns: sql(
                "SELECT tables.name, c.name, c.type, c.\"notnull\" AND c.dflt_value IS NULL, c.pk > 0 \
                 FROM (SELECT 'sessions_schema' AS name UNION SELECT 'sessions' UNION SELECT 'sessions_users') \
                 AS tables JOIN pragma_table_info(tables.name) AS c",
            ),
            version: sql("SELECT MAX(version) FROM sessions_schema"),
            schema: sql(SCHEMA),
            rights: sql(RIGHTS),
            load: sql(
                "SELECT version, expires_at, last_active_at, record FROM sessions \
                 WHERE session_key = ?1 AND expires_at > ?2",
            ),
            load_many: table.sql_for_many(
                "SELECT session_key, version, expires_at, last_active_at, record FROM sessions \
                 WHERE expires_at > ? AND session_key IN ",
            ),
            create: sql(
                "INSERT INTO sessions AS held (session_key, version, expires_at, last_active_at, record) \
                 VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (session_key) DO UPDATE SET version = excluded.version, \
                 expires_at = excluded.expires_at, last_active_at = excluded.last_active_at, \
                 record = excluded.record WHERE held.expires_at <= ?6",
            ),
            replace: sql(
                "UPDATE sessions SET version = ?2, expires_at = ?3, last_active_at = ?4, record = ?5 \
                 WHERE session_key = ?1 AND expires_at > ?6 AND version = ?7",
            ),
            delete: sql("DELETE FROM sessions WHERE session_key = ?1"),
            touch: sql(
                "UPDATE sessions SET version = ?2, expires_at = MAX(expires_at, ?3), \
                 last_active_at = MAX(last_active_at, ?4) \
                 WHERE session_key = ?1 AND version = ?5 AND expires_at > ?6 AND last_active_at IS NOT NULL",
            ),
            // A statement that writes has the file's one write lock from before it reads, so that what it chooses
            // can't be extended before it removes it.
            sweep: sql("DELETE FROM sessions WHERE rowid IN \
                 (SELECT rowid FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)"),
            sweep_users: sql(
                "DELETE FROM sessions_users WHERE (user_key, session_key) IN \
                 (SELECT user_key, session_key FROM sessions_users WHERE expires_at <= ?1 \
                 ORDER BY expires_at LIMIT ?2)",
            ),
            list: sql(
                "SELECT session_key, reference, added_at, expires_at FROM sessions_users \
                 WHERE user_key = ?1 AND expires_at > ?2 ORDER BY added_at, session_key",
            ),
            // No more than is needed: a user may have very many.
            count_entries: sql("SELECT COUNT(*) FROM (SELECT 1 FROM sessions_users \
                 WHERE user_key = ?1 AND session_key <> ?2 LIMIT ?3) AS counted"),
            count_sessions: sql(
                "SELECT COUNT(*) FROM (SELECT DISTINCT reference FROM sessions_users \
                 WHERE user_key = ?1 AND expires_at > ?2 AND reference <> ?3 LIMIT ?4) AS counted",
            ),
            sample: sql(
                "SELECT * FROM (SELECT 0 AS part, session_key, reference, added_at, expires_at \
                 FROM sessions_users WHERE user_key = ?1 AND expires_at > ?2 \
                 ORDER BY added_at, session_key LIMIT ?3) AS oldest \
                 UNION ALL SELECT * FROM (SELECT 1, session_key, reference, added_at, expires_at \
                 FROM sessions_users WHERE user_key = ?1 AND expires_at > ?2 AND session_key >= ?5 \
                 ORDER BY session_key LIMIT ?4) AS onwards \
                 UNION ALL SELECT * FROM (SELECT 2, session_key, reference, added_at, expires_at \
                 FROM sessions_users WHERE user_key = ?1 AND expires_at > ?2 AND session_key < ?5 \
                 ORDER BY session_key LIMIT ?4) AS round_the_end",
            ),
            enter: sql(
                "INSERT INTO sessions_users (user_key, session_key, reference, added_at, expires_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (user_key, session_key) DO UPDATE SET reference = excluded.reference, \
                 added_at = excluded.added_at, expires_at = excluded.expires_at",
            ),
            remove: sql("DELETE FROM sessions_users WHERE user_key = ?1 AND session_key = ?2"),
        }
    }
}
