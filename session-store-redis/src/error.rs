//! What can go wrong, and what is known about the write afterwards.

use std::error::Error;
use std::fmt;

use fred::error::{Error as ClientError, ErrorKind as ClientErrorKind};
use session_core::store::StoreError;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

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
    message: &'static str,
    source: Option<BoxError>,
    is_config: bool,
}

impl SetupError {
    pub(crate) fn config(message: &'static str) -> Self {
        Self {
            message,
            source: None,
            is_config: true,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn connection(source: impl Into<BoxError>) -> Self {
        Self {
            message: "Redis can't be reached, or doesn't let this client in",
            source: Some(source.into()),
            is_config: false,
        }
    }

    /// Whether the URL or an option is wrong, so that trying again is of no use. Otherwise the server couldn't be
    /// reached, or refused the connection.
    pub fn is_config(&self) -> bool {
        self.is_config
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl Error for SetupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn Error + 'static))
    }
}

/// Why a command has no answer of use.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was not sent.
    Unsent(BoxError),
    /// The server answered it with an error.
    Refused(Refusal),
    /// The client gave up. Whatever it had sent may have been carried out, or still be.
    Client(ClientError),
    /// The answer is of a kind that this command doesn't have.
    Unexpected,
}

impl Failure {
    pub(crate) fn unsent(source: impl Into<BoxError>) -> Self {
        Self::Unsent(source.into())
    }

    /// Why a command that fred knows has failed: what the server said begins with a code in capitals, and what
    /// fred itself reports with an ordinary word. `CLUSTERDOWN` fred gives for every command on a connection,
    /// whatever the answer to it would have been.
    pub(crate) fn of_known(error: ClientError) -> Self {
        let code = error.details().split_whitespace().next().unwrap_or("");
        let is_code = code.len() > 1 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        if is_code && code != "CLUSTERDOWN" && *error.kind() != ClientErrorKind::IO {
            return Self::Refused(Refusal::new(error.details()));
        }
        Self::Client(error)
    }

    pub(crate) fn into_source(self) -> BoxError {
        match self {
            Self::Unsent(source) => source,
            Self::Refused(refusal) => refusal.into(),
            Self::Client(error) => error.into(),
            Self::Unexpected => "the server's answer is of an unexpected kind".into(),
        }
    }

    fn is_certain(&self) -> bool {
        match self {
            Self::Unsent(_) => true,
            Self::Refused(refusal) => refusal.did_nothing(),
            Self::Client(error) => was_kept_back(error),
            Self::Unexpected => false,
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

/// Whether the client reports that it never wrote the command to a connection.
///
/// fred has no kind of its own for this, so its texts decide. Should they change, the outcome counts as unknown.
/// An error reply that makes fred close the connection (`CLUSTERDOWN`, and others where fred's
/// `custom-reconnect-errors` is on) is reported for all commands that were under way, and so decides nothing.
fn was_kept_back(error: &ClientError) -> bool {
    match error.kind() {
        ClientErrorKind::Backpressure => true,
        ClientErrorKind::Canceled => error.details() == "Connection closed unexpectedly.",
        ClientErrorKind::Unknown => matches!(
            error.details(),
            "Failed to route command." | "Failed to send command to router."
        ),
        _ => false,
    }
}

/// An error that a server answered with.
#[derive(Debug)]
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
    fn what_the_server_said_is_told_from_what_the_client_reports() {
        let of = |kind, text: &'static str| Failure::of_known(ClientError::new(kind, text));
        for said in [
            "MOVED 1 a:1",
            "NOAUTH Authentication required.",
            "ERR unknown command",
        ] {
            assert!(
                matches!(of(ClientErrorKind::Unknown, said), Failure::Refused(_)),
                "{said}"
            );
        }
        for (kind, reported) in [
            (ClientErrorKind::Unknown, "Failed to route command."),
            (ClientErrorKind::Timeout, "Request timed out."),
            (ClientErrorKind::Cluster, "CLUSTERDOWN The cluster is down"),
            (ClientErrorKind::Unknown, ""),
        ] {
            assert!(
                matches!(of(kind, reported), Failure::Client(_)),
                "{reported}"
            );
        }
    }

    #[test]
    fn what_was_never_written_is_certain_and_what_was_is_not() {
        let client = |kind, text: &'static str| Failure::Client(ClientError::new(kind, text));
        for unsent in [
            Failure::unsent("not connected"),
            client(ClientErrorKind::Canceled, "Connection closed unexpectedly."),
            client(ClientErrorKind::Unknown, "Failed to route command."),
            client(
                ClientErrorKind::Backpressure,
                "Max in-flight commands reached.",
            ),
        ] {
            assert_eq!(kind(unsent), StoreErrorKind::NotApplied);
        }
        for sent in [
            client(ClientErrorKind::IO, "Connection closed."),
            client(ClientErrorKind::Timeout, "Request timed out."),
            client(ClientErrorKind::Cluster, "CLUSTERDOWN The cluster is down"),
            client(ClientErrorKind::Unknown, "Too many failed write attempts."),
            client(ClientErrorKind::Canceled, "Canceled."),
        ] {
            assert_eq!(kind(sent), StoreErrorKind::Unknown);
        }
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
