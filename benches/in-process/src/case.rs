//! The requests that are measured.

/// What the request does with its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Case {
    /// The cookie is sent, and the handler doesn't ask for the session.
    Unused,
    /// Reads one key.
    Read,
    /// The same with no other cookie in the request.
    ReadAlone,
    /// Reads one key and stores another value under it.
    Write,
    /// Stores one key in a new session.
    New,
    /// Reads one key, with a cookie whose signature doesn't hold.
    Forged,
}

impl Case {
    pub const ALL: [Self; 6] = [
        Self::Unused,
        Self::Read,
        Self::ReadAlone,
        Self::Write,
        Self::New,
        Self::Forged,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::Unused => "cookie sent, session not used",
            Self::Read => "read one key",
            Self::ReadAlone => "read one key, no other cookies",
            Self::Write => "read and write one key",
            Self::New => "new session, one key",
            Self::Forged => "forged cookie, read one key",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Unused => "/unused",
            Self::Read | Self::ReadAlone | Self::Forged => "/read",
            Self::Write => "/write",
            Self::New => "/new",
        }
    }
}

/// Five cookies such as other people set.
const OTHERS: &str =
    "_ga=GA1.2.1234567890.1700000000; theme=dark; consent=yes%2Cno; lang=en-GB; ab=variant-b";

/// A request, as each framework has to be given it.
#[derive(Clone, Debug)]
pub struct Sample {
    pub path: &'static str,
    pub cookies: Option<String>,
}

impl Sample {
    /// The request of a case, with this session cookie, if the contender has sessions.
    fn of(case: Case, cookie: Option<&str>) -> Option<String> {
        let cookie = cookie.unwrap_or("session=none");
        match case {
            Case::Unused | Case::Read | Case::Write => Some(format!("{OTHERS}; {cookie}")),
            Case::ReadAlone => Some(cookie.to_owned()),
            Case::New => None,
            Case::Forged => Some(format!("{OTHERS}; {}", forge(cookie))),
        }
    }

    pub(crate) fn new(case: Case, cookie: Option<&str>) -> Self {
        Self {
            path: case.path(),
            cookies: Self::of(case, cookie),
        }
    }

    /// The request that makes a session with all keys.
    pub(crate) fn filling() -> Self {
        Self {
            path: "/fill",
            cookies: None,
        }
    }
}

/// The cookie with one letter of its value changed. Both ours and the peers' values have a signature there.
fn forge(cookie: &str) -> String {
    let at = cookie.find('=').map_or(0, |at| at + 10);
    let mut bytes = cookie.as_bytes().to_vec();
    if let Some(byte) = bytes.get_mut(at) {
        *byte = if *byte == b'A' { b'B' } else { b'A' };
    }
    String::from_utf8(bytes).unwrap_or_default()
}
