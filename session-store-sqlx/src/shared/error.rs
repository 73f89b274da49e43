//! What is known when something has failed.

use std::error::Error;
use std::fmt;

use session_core::store::StoreError;
use sqlx::error::DatabaseError;

/// A store couldn't be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum SetupError {
    /// The name can't be a table's.
    TableName {
        /// What was given.
        name: String,
        /// How many characters the name may have.
        longest: usize,
        /// Whether a schema and a dot may come before the name.
        may_have_schema: bool,
    },
    /// A newer version of this library has set up the tables, and this one may not understand them.
    NewerSchema {
        /// The version of the tables.
        found: i64,
        /// The latest version that this library knows.
        known: i64,
    },
    /// A table of this name is there, and it isn't the library's.
    ForeignTable {
        /// The table's name.
        table: String,
        /// By what that shows.
        problem: String,
    },
    /// A table isn't there, though the table of versions says that it was made.
    MissingTable {
        /// The table's name.
        table: String,
    },
    /// The tables are there, and the application may not read and write them; or nobody may.
    Unusable(sqlx::Error),
    /// Each connection has a database for itself, as those of SQLite in memory are.
    PrivateDatabase,
    /// Something between the pool and PostgreSQL mixes up the connections' prepared statements.
    MixedStatements,
    /// The database couldn't be reached, or refused what it was asked.
    Database(sqlx::Error),
}

impl SetupError {
    /// The database refused what the store is going to do. (Without an answer nothing is known of that.)
    pub(crate) fn unusable(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(_) => Self::Unusable(error),
            error => Self::Database(error),
        }
    }
}

impl From<sqlx::Error> for SetupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableName {
                name,
                longest,
                may_have_schema,
            } => {
                let schema = if *may_have_schema {
                    "; a schema and a dot may come before it"
                } else {
                    ""
                };
                write!(
                    f,
                    "{name:?} can't be the name of a table: choose at most {longest} ASCII letters, digits and \
                     underscores, of which the first is no digit{schema}"
                )
            }
            Self::NewerSchema { found, known } => write!(
                f,
                "the tables have version {found} of the schema, and this library knows only those up to {known}: \
                 update it, or choose another table"
            ),
            Self::ForeignTable { table, problem } => write!(
                f,
                "the table {table} isn't one of this library's, as {problem}: choose another name (`with_table`), or \
                 rename that table"
            ),
            Self::MissingTable { table } => write!(
                f,
                "the table {table} is missing, though it was made once: restore it; or drop the others too, their \
                 names begin alike, and have them all made anew, which signs everybody out"
            ),
            Self::Unusable(_) => f.write_str(
                "the tables of the sessions are there, and can't be read and written: grant this user SELECT, \
                 INSERT, UPDATE and DELETE on them; or if the server is a replica, connect to the primary",
            ),
            Self::PrivateDatabase => f.write_str(
                "each connection would have a database of its own, which goes with it: name a file, or use \
                 `session-store-memory` for sessions that needn't outlive the process",
            ),
            Self::MixedStatements => f.write_str(
                "prepared statements of other connections are found on this one, as behind PgBouncer with \
                 `pool_mode = transaction`: let it keep track of them (`max_prepared_statements`, from version 1.21 \
                 on), or use `PostgresStore::without_prepared_statements`",
            ),
            Self::Database(_) => f.write_str("the database of the sessions can't be set up"),
        }
    }
}

impl Error for SetupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unusable(error) | Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

/// No connection could be had, so nothing was asked.
pub(crate) fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::not_applied(Cause(error))
}

/// A statement failed. It did nothing if the server says so, of which `is_refusal` judges by the server's error; and
/// if it didn't get as far as the server. In all other cases nobody knows.
pub(crate) fn failed(
    error: sqlx::Error,
    is_refusal: fn(&(dyn DatabaseError + 'static)) -> bool,
) -> StoreError {
    use sqlx::Error as E;
    let did_nothing = match &error {
        E::Database(answer) => is_refusal(&**answer),
        E::Configuration(_)
        | E::InvalidArgument(_)
        | E::Encode(_)
        | E::Tls(_)
        | E::PoolTimedOut
        | E::PoolClosed => true,
        _ => false,
    };
    if did_nothing {
        StoreError::not_applied(Cause(error))
    } else {
        StoreError::unknown(Cause(error))
    }
}

/// An error of sqlx that `Debug` shows no more of than `Display`: PostgreSQL's have details, such as the row that
/// was to be written.
struct Cause(sqlx::Error);

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use session_core::store::StoreErrorKind;
    use sqlx::error::ErrorKind;

    use super::*;

    /// An error as a server sends it, with what only `Debug` shows.
    #[derive(Debug)]
    struct Answer {
        #[expect(dead_code, reason = "it is there to be printed, or rather not")]
        detail: &'static str,
    }

    impl fmt::Display for Answer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no room")
        }
    }

    impl Error for Answer {}

    impl DatabaseError for Answer {
        fn message(&self) -> &str {
            "no room"
        }

        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn answer() -> sqlx::Error {
        sqlx::Error::Database(Box::new(Answer { detail: "a secret" }))
    }

    #[test]
    fn an_error_says_whether_anything_was_written() {
        let lost = || sqlx::Error::Io(io::ErrorKind::ConnectionReset.into());
        let cases = [
            (failed(answer(), |_| true), StoreErrorKind::NotApplied),
            (failed(answer(), |_| false), StoreErrorKind::Unknown),
            (
                failed(sqlx::Error::PoolTimedOut, |_| false),
                StoreErrorKind::NotApplied,
            ),
            (failed(lost(), |_| true), StoreErrorKind::Unknown),
            (
                failed(sqlx::Error::Protocol("?".into()), |_| true),
                StoreErrorKind::Unknown,
            ),
            (unavailable(lost()), StoreErrorKind::NotApplied),
        ];
        for (error, kind) in cases {
            assert_eq!(error.kind(), kind, "{error:?}");
        }
    }

    /// LG-1: what was to be written is in no error.
    #[test]
    fn debug_shows_no_details() {
        let error = failed(answer(), |_| true);
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("no room") && !text.contains("secret"),
            "{text}"
        );
    }
}
