//! Errors: messages for whoever runs a command.

use std::path::Path;

/// The error is a message; no code tells errors apart.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// The message about a file or folder with which something could not be done.
pub(crate) fn failed(action: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {action} {}: {error}", path.display())
}

/// All the problems at once, so that one run is enough to see what is left to do.
pub(crate) fn report(subject: &str, problems: &[String]) -> Result<()> {
    match problems.len() {
        0 => Ok(()),
        1 => Err(format!("{subject}: {}", problems[0])),
        count => Err(format!(
            "{subject}: {count} problems\n  - {}",
            problems.join("\n  - ")
        )),
    }
}
