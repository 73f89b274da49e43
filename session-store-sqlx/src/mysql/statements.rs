//! What MySQL and MariaDB are asked.

use crate::shared::{RIGHTS, Sql, Table};

pub(super) const SCHEMA: &str = include_str!("../../schema/mysql.sql");

/// The statements, with the table's name in them.
pub(super) struct Statements {
    pub(super) version: Sql,
    pub(super) schema: Sql,
    pub(super) rights: Sql,
    pub(super) load: Sql,
    pub(super) load_many: Sql,
    pub(super) insert: Sql,
    pub(super) replace_expired: Sql,
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
            version: sql("SELECT MAX(version) FROM sessions_schema"),
            schema: sql(SCHEMA),
            rights: sql(RIGHTS),
            load: sql(
                "SELECT version, expires_at, last_active_at, record FROM sessions \
                 WHERE session_key = ? AND expires_at > ?",
            ),
            load_many: table.sql_for_many(
                "SELECT session_key, version, expires_at, last_active_at, record FROM sessions \
                 WHERE expires_at > ? AND session_key IN ",
            ),
            // Not with `ON DUPLICATE KEY UPDATE`: as sqlx has the server count the rows that were found and not those
            // that were changed, one that was left as it was would look like one that was inserted. Nor with
            // `IGNORE`, which also ignores that a value doesn't fit.
            insert: sql(
                "INSERT INTO sessions (version, expires_at, last_active_at, record, session_key) \
                 VALUES (?, ?, ?, ?, ?)",
            ),
            replace_expired: sql(
                "UPDATE sessions SET version = ?, expires_at = ?, last_active_at = ?, record = ? \
                 WHERE session_key = ? AND expires_at <= ?",
            ),
            replace: sql(
                "UPDATE sessions SET version = ?, expires_at = ?, last_active_at = ?, record = ? \
                 WHERE session_key = ? AND expires_at > ? AND version = ?",
            ),
            delete: sql("DELETE FROM sessions WHERE session_key = ?"),
            touch: sql(
                "UPDATE sessions SET version = ?, expires_at = GREATEST(expires_at, ?), \
                 last_active_at = GREATEST(last_active_at, ?) \
                 WHERE session_key = ? AND version = ? AND expires_at > ? AND last_active_at IS NOT NULL",
            ),
            // One statement, which sees each row as it is when it has locked it: one that was just extended stays.
            sweep: sql("DELETE FROM sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"),
            sweep_users: sql(
                "DELETE FROM sessions_users WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
            ),
            list: sql(
                "SELECT session_key, reference, added_at, expires_at FROM sessions_users \
                 WHERE user_key = ? AND expires_at > ? ORDER BY added_at, session_key",
            ),
            // No more than is needed: a user may have very many.
            count_entries: sql("SELECT COUNT(*) FROM (SELECT 1 FROM sessions_users \
                 WHERE user_key = ? AND session_key <> ? LIMIT ?) AS counted"),
            count_sessions: sql(
                "SELECT COUNT(*) FROM (SELECT DISTINCT reference FROM sessions_users \
                 WHERE user_key = ? AND expires_at > ? AND reference <> ? LIMIT ?) AS counted",
            ),
            // The rows of a part are few; a part alone may be sorted, so that each stands in a query of its own.
            sample: sql(
                "SELECT * FROM (SELECT 0 AS part, session_key, reference, added_at, expires_at FROM sessions_users \
                 WHERE user_key = ? AND expires_at > ? ORDER BY added_at, session_key LIMIT ?) AS oldest \
                 UNION ALL SELECT * FROM (SELECT 1 AS part, session_key, reference, added_at, expires_at \
                 FROM sessions_users WHERE user_key = ? AND expires_at > ? AND session_key >= ? \
                 ORDER BY session_key LIMIT ?) AS onwards \
                 UNION ALL SELECT * FROM (SELECT 2 AS part, session_key, reference, added_at, expires_at \
                 FROM sessions_users WHERE user_key = ? AND expires_at > ? AND session_key < ? \
                 ORDER BY session_key LIMIT ?) AS round_the_end",
            ),
            // What is new comes twice, because MySQL and MariaDB have no common name for it that isn't deprecated.
            enter: sql(
                "INSERT INTO sessions_users (user_key, session_key, reference, added_at, expires_at) \
                 VALUES (?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE reference = ?, added_at = ?, expires_at = ?",
            ),
            remove: sql("DELETE FROM sessions_users WHERE user_key = ? AND session_key = ?"),
        }
    }
}
