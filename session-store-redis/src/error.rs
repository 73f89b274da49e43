//! What can go wrong, and what is known about the write afterwards.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use redis::ServerError;
use session_core::store::StoreError;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

type SharedError = Arc<dyn Error + Send + Sync>;

/// The codes of errors after which a server has done nothing.
const CODES_OF_NOTHING_DONE: &[&str] = &[
    // It takes no writes, or none now.
    "OOM",
    "READONLY",
    "MISCONF",
    "NOREPLICAS",
    "LOADING",
    "MASTERDOWN",
    "BUSY",
    "CLUSTERDOWN",
    "TRYAGAIN",
    // It takes none from us.
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    // The key is elsewhere.
    "MOVED",
    "ASK",
    "CROSSSLOT",
    // There is no such script, or something else than a record or an index lies there.
    "NOSCRIPT",
    "WRONGTYPE",
    "UNREADABLE",
];

/// The most of an error's text that is kept.
const LONGEST_TEXT: usize = 200;

/// A store that could not be set up.
#[derive(Debug)]
pub struct SetupError {
    message: Cow<'static, str>,
    source: Option<BoxError>,
    is_config: bool,
}

impl SetupError {
    /// The URL or an option is wrong.
    pub(crate) fn config(message: &'static str) -> Self {
        Self {
            message: message.into(),
            source: None,
            is_config: true,
        }
    }

    /// The same, for whatever error this is because of.
    pub(crate) fn config_because<E: Into<BoxError>>(message: &'static str) -> impl Fn(E) -> Self {
        move |source| Self {
            source: Some(source.into()),
            ..Self::config(message)
        }
    }

    /// The server is there, and lacks this.
    pub(crate) fn lacking(message: String) -> Self {
        Self {
            message: message.into(),
            source: None,
            is_config: false,
        }
    }

    pub(crate) fn connection(source: impl Into<BoxError>) -> Self {
        let source = source.into();
        if let Some(WrongKind(message)) = source.downcast_ref() {
            return Self::config(message);
        }
        Self {
            message: "Redis can't be reached, or doesn't let this client in".into(),
            source: Some(source),
            is_config: false,
        }
    }

    /// Whether the URL or an option is wrong, or the URL leads to another kind of server, so that trying again is of no
    /// use. Otherwise the server couldn't be reached, refused the connection, or lacks a right or a command that the
    /// store needs.
    pub fn is_config(&self) -> bool {
        self.is_config
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SetupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn Error + 'static))
    }
}

/// The server isn't of the kind that the URL says. The text names the way.
#[derive(Debug)]
pub(crate) struct WrongKind(pub(crate) &'static str);

impl fmt::Display for WrongKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for WrongKind {}

/// Why a command has no answer of use.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// It was not sent.
    Unsent(SharedError),
    /// The server answered it with an error.
    Refused(Refusal),
    /// There was no answer. The command may have been carried out, or still be.
    Unanswered(SharedError),
    /// The answer is of a kind that this command doesn't have.
    Unexpected,
}

impl Failure {
    pub(crate) fn unsent(source: impl Into<BoxError>) -> Self {
        Self::Unsent(source.into().into())
    }

    pub(crate) fn unanswered(source: impl Into<BoxError>) -> Self {
        Self::Unanswered(source.into().into())
    }

    pub(crate) fn into_source(self) -> BoxError {
        match self {
            Self::Unsent(source) | Self::Unanswered(source) => source.into(),
            Self::Refused(refusal) => refusal.into(),
            Self::Unexpected => "the server's answer is of an unexpected kind".into(),
        }
    }

    fn is_certain(&self) -> bool {
        match self {
            Self::Unsent(_) => true,
            Self::Refused(refusal) => refusal.did_nothing(),
            Self::Unanswered(_) | Self::Unexpected => false,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        if failure.is_certain() {
            Self::not_applied(failure.into_source())
        } else {
            Self::unknown(failure.into_source())
        }
    }
}

/// An error that a server answered with.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(String);

impl Refusal {
    pub(crate) fn new(text: &str) -> Self {
        // A server that doesn't know a command repeats its arguments, which are keys and data.
        let shown = text
            .split_once(", with args")
            .map_or(text, |(shown, _)| shown);
        Self(shown.chars().take(LONGEST_TEXT).collect())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_unknown_script(&self) -> bool {
        self.0.starts_with("NOSCRIPT")
    }

    pub(crate) fn is_unknown_command(&self) -> bool {
        self.0.starts_with("ERR unknown command")
    }

    pub(crate) fn is_of_syntax(&self) -> bool {
        self.0.starts_with("ERR syntax error")
    }

    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.has_code(|code| code == "OOM")
    }

    /// Whether the server takes no writes because it is a replica.
    pub(crate) fn is_of_replica(&self) -> bool {
        self.has_code(|code| code == "READONLY")
    }

    fn did_nothing(&self) -> bool {
        self.has_code(|code| CODES_OF_NOTHING_DONE.contains(&code))
    }

    /// Versions before 7.0 put what a script was refused behind the place in the script, and a dash before the code.
    fn has_code(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        let mut words = self.0.split_whitespace();
        words.next().is_some_and(&is_meant)
            || words.any(|word| word.strip_prefix('-').is_some_and(&is_meant))
    }
}

impl From<ServerError> for Refusal {
    fn from(error: ServerError) -> Self {
        let details = error.details().unwrap_or_default();
        Self::new(format!("{} {details}", error.code()).trim_end())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered: {}", self.0)
    }
}

impl Error for Refusal {}

#[cfg(test)]
mod tests {
    use session_core::store::StoreErrorKind;

    use super::*;

    fn kind(failure: Failure) -> StoreErrorKind {
        StoreError::from(failure).kind()
    }

    fn refused(text: &str) -> StoreErrorKind {
        kind(Failure::Refused(Refusal::new(text)))
    }

    #[test]
    fn what_a_server_refused_it_has_not_done() {
        for text in [
            "OOM command not allowed when used memory > 'maxmemory'.",
            "READONLY You can't write against a read only replica.",
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            "LOADING Redis is loading the dataset in memory",
            "NOAUTH Authentication required.",
            "NOPERM this user has no permissions to run the 'evalsha' command",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "MOVED 3999 127.0.0.1:6381",
            "@user_script: 12: -OOM command not allowed when used memory > 'maxmemory'.",
        ] {
            assert_eq!(refused(text), StoreErrorKind::NotApplied, "{text}");
        }
    }

    #[test]
    fn a_replica_says_that_it_is_one() {
        for (text, is_replica) in [
            (
                "READONLY You can't write against a read only replica.",
                true,
            ),
            (
                "@user_script: 12: -READONLY You can't write against a read only replica.",
                true,
            ),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                false,
            ),
        ] {
            assert_eq!(Refusal::new(text).is_of_replica(), is_replica, "{text}");
        }
    }

    #[test]
    fn other_errors_leave_the_outcome_open() {
        for text in [
            "",
            "ERR Error running script: Script killed by user with SCRIPT KILL.",
            "ERR upstream failure",
            "ERR no replica has OOM",
        ] {
            assert_eq!(refused(text), StoreErrorKind::Unknown, "{text:?}");
        }
        assert_eq!(kind(Failure::Unexpected), StoreErrorKind::Unknown);
    }

    #[test]
    fn what_was_never_sent_is_certain_and_what_was_is_not() {
        let unsent = Failure::unsent("not connected");
        assert_eq!(kind(unsent), StoreErrorKind::NotApplied);
        let unanswered = Failure::unanswered("connection lost");
        assert_eq!(kind(unanswered), StoreErrorKind::Unknown);
    }

    /// LG-1: neither keys nor data are repeated.
    #[test]
    fn arguments_are_not_shown() {
        let refusal =
            Refusal::new("ERR unknown command 'EVALSHA', with args beginning with: 'secret' ");
        assert_eq!(refusal.text(), "ERR unknown command 'EVALSHA'");
        let long = Refusal::new(&"x".repeat(10_000));
        assert_eq!(long.text().len(), LONGEST_TEXT);
    }
}
