//! The version of the tables.

use super::error::SetupError;

/// The version of the schema that this version of the library makes and uses.
const VERSION: i64 = 1;

/// Does all that the store does with its tables, to rows that can't be there: whoever may run this may use them.
pub(crate) const RIGHTS: &str = "\
INSERT INTO sessions (session_key, version, expires_at, last_active_at, record)
SELECT session_key, version, expires_at, last_active_at, record FROM sessions WHERE session_key IS NULL;
UPDATE sessions SET expires_at = expires_at WHERE session_key IS NULL;
DELETE FROM sessions WHERE session_key IS NULL;
INSERT INTO sessions_users (user_key, session_key, reference, added_at, expires_at)
SELECT user_key, session_key, reference, added_at, expires_at FROM sessions_users WHERE user_key IS NULL;
UPDATE sessions_users SET expires_at = expires_at WHERE user_key IS NULL;
DELETE FROM sessions_users WHERE user_key IS NULL;";

/// Whether tables of this version are as this library needs them; they aren't if they have none yet.
pub(crate) fn is_current(found: Option<i64>) -> Result<bool, SetupError> {
    match found {
        Some(found) if found > VERSION => Err(SetupError::NewerSchema {
            found,
            known: VERSION,
        }),
        found => Ok(found == Some(VERSION)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_an_error() {
        assert!(!is_current(None).unwrap());
        assert!(is_current(Some(VERSION)).unwrap());
        let error = is_current(Some(VERSION + 1)).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
    }

    /// Whoever is interrupted between the statements, where they aren't one transaction, can begin anew: the version
    /// comes last.
    #[test]
    fn each_schema_makes_the_table_of_versions_first_and_fills_it_last() {
        let schemas = [
            include_str!("../../schema/mysql.sql"),
            include_str!("../../schema/postgres.sql"),
            include_str!("../../schema/sqlite.sql"),
        ];
        for schema in schemas {
            let first = schema.split_inclusive(';').next().unwrap();
            let table =
                "CREATE TABLE IF NOT EXISTS sessions_schema (version BIGINT NOT NULL PRIMARY KEY)";
            assert!(first.contains(table) && first.ends_with(';'), "{first}");
            assert_eq!(first.matches("CREATE").count(), 1, "{first}");
            let versions = schema.matches("INTO sessions_schema (version) VALUES (1)");
            assert_eq!(versions.count(), 1, "{schema}");
            let last = schema.trim_end().rsplit_once("\n\n").unwrap().1;
            assert!(last.starts_with("INSERT") && last.ends_with(';'), "{last}");
        }
    }
}
