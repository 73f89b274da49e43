//! The tables' names, and statements with these names in them.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::error::SetupError;

/// The name in the statements and schemas as they are written here.
pub(super) const DEFAULT: &str = "sessions";

/// The longest name of a table. PostgreSQL allows 63 bytes, and the longest ending takes 17 of them.
const NAME_LEN_MAX: usize = 40;

/// The longest name of a schema, or of a database on MySQL.
const SCHEMA_LEN_MAX: usize = 63;

/// What the names of indexes end with.
const INDEX_ENDINGS: [&str; 3] = ["_expires_at", "_users_expires_at", "_users_added_at"];

/// The name of the records' table. The other tables' names are made from it.
///
/// It is the one thing that is ever put into the text of a statement, so it is checked letter by letter. Whatever
/// comes from outside is bound.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// With the schema, if there is one.
    full: String,
    /// Without it, as the names of indexes are.
    bare: String,
}

impl Table {
    /// The table of this name; where `may_have_schema`, a schema and a dot may come before it.
    pub(crate) fn new(name: &str, may_have_schema: bool) -> Result<Self, SetupError> {
        let (schema, bare) = match name.split_once('.') {
            Some((schema, bare)) if may_have_schema => (Some(schema), bare),
            _ => (None, name),
        };
        let is_good = is_identifier(bare, NAME_LEN_MAX)
            && schema.is_none_or(|schema| is_identifier(schema, SCHEMA_LEN_MAX));
        if !is_good {
            return Err(SetupError::TableName {
                name: name.to_owned(),
                longest: NAME_LEN_MAX,
                may_have_schema,
            });
        }
        Ok(Self {
            full: name.to_owned(),
            bare: bare.to_owned(),
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.full
    }

    /// A statement that is written for the default name.
    pub(crate) fn sql(&self, statement: &'static str) -> Sql {
        let mut parts = statement.split(DEFAULT);
        let mut sql = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let is_index = INDEX_ENDINGS.iter().any(|ending| part.starts_with(ending));
            sql.push_str(if is_index { &self.bare } else { &self.full });
            sql.push_str(part);
        }
        Sql::new(sql)
    }
}

impl Default for Table {
    fn default() -> Self {
        Self {
            full: DEFAULT.to_owned(),
            bare: DEFAULT.to_owned(),
        }
    }
}

fn is_identifier(name: &str, longest: usize) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    name.len() <= longest
        && name.as_bytes().first().is_some_and(is_letter)
        && name
            .bytes()
            .all(|byte| is_letter(&byte) || byte.is_ascii_digit())
}

/// A statement of ours with a checked name in it. Only [`Table::sql`] makes one, and whoever adds places for keys to it.
#[derive(Clone, Debug)]
pub(crate) struct Sql {
    pub(super) text: Arc<str>,
    #[cfg(feature = "postgres")]
    is_named: bool,
}

impl Sql {
    pub(super) fn new(text: String) -> Self {
        Self {
            text: text.into(),
            #[cfg(feature = "postgres")]
            is_named: true,
        }
    }
}

#[cfg(feature = "postgres")]
impl Sql {
    /// Whether the server is to keep it as it was prepared, under a name.
    pub(crate) fn is_named(&self) -> bool {
        self.is_named
    }

    /// The same statement, which the server doesn't keep.
    pub(crate) fn without_name(self) -> Self {
        Self {
            is_named: false,
            ..self
        }
    }
}

impl SqlSafeStr for &Sql {
    fn into_sql_str(self) -> SqlStr {
        AssertSqlSafe(self.text.clone()).into_sql_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(table: &Table, statement: &'static str) -> String {
        table.sql(statement).text.to_string()
    }

    #[test]
    fn names_are_checked_letter_by_letter() {
        let longest = "a".repeat(NAME_LEN_MAX);
        for name in ["sessions", "_", "S2", "my_sessions", &longest] {
            assert!(Table::new(name, false).is_ok(), "{name}");
            assert!(Table::new(&format!("app.{name}"), true).is_ok(), "{name}");
            assert!(Table::new(&format!("app.{name}"), false).is_err(), "{name}");
        }
        let too_long = "a".repeat(NAME_LEN_MAX + 1);
        let bad = [
            "", " ", "2s", "a b", "a-b", "a;b", "a\"b", "a`b", "a'b", "a\0", "ä", "a.b.c", ".a",
            "a.", "a.2", "--", &too_long,
        ];
        for name in bad {
            let error = Table::new(name, true).unwrap_err().to_string();
            assert!(error.contains("letters, digits and underscores"), "{error}");
        }
    }

    #[test]
    fn every_name_is_replaced_once() {
        let statement = "CREATE INDEX sessions_expires_at ON sessions (expires_at); \
                         CREATE INDEX sessions_users_expires_at ON sessions_users (expires_at)";
        assert_eq!(rendered(&Table::default(), statement), statement);
        let table = Table::new("app.my_sessions", true).unwrap();
        assert_eq!(table.as_str(), "app.my_sessions");
        assert_eq!(
            rendered(&table, statement),
            "CREATE INDEX my_sessions_expires_at ON app.my_sessions (expires_at); \
             CREATE INDEX my_sessions_users_expires_at ON app.my_sessions_users (expires_at)"
        );
    }

    /// PostgreSQL cuts names off that are too long, and two of them could then be one.
    #[test]
    fn the_longest_names_fit() {
        let longest_ending = INDEX_ENDINGS.iter().map(|ending| ending.len()).max();
        assert!(NAME_LEN_MAX + longest_ending.unwrap() <= 63);
    }
}
