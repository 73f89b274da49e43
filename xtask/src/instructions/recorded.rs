//! The file with the record.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::conditions::Conditions;
use crate::error::Result;
use crate::workspace;

pub(crate) const FILE: &str = "tests/instructions/counts.toml";

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    /// What the counts hold for.
    pub(crate) conditions: Conditions,
    /// The instructions of one request of each case.
    pub(crate) instructions: BTreeMap<String, u64>,
}

pub(crate) fn load() -> Result<Recorded> {
    let path = workspace::root().join(FILE);
    if !path.is_file() {
        return Err(format!(
            "there is no {FILE}: run `cargo xtask instructions --record`"
        ));
    }
    parse(&workspace::read(&path)?)
}

pub(crate) fn save(recorded: &Recorded) -> Result<()> {
    workspace::write(&workspace::root().join(FILE), &written(recorded))
}

fn parse(text: &str) -> Result<Recorded> {
    toml::from_str(text).map_err(|error| format!("{FILE}: {error}"))
}

/// Names are letters, digits and hyphens or underscores, and values have no character that TOML writes otherwise
/// than Rust does.
fn written(recorded: &Recorded) -> String {
    let mut text = "\
# The instructions of one request in process, and what they were counted with.
# `cargo xtask instructions` compares them, `cargo xtask instructions --record` writes this file.

[conditions]
"
    .to_owned();
    for (name, value) in &recorded.conditions {
        text += &format!("{name} = {value:?}\n");
    }
    text += "\n[instructions]\n";
    for (case, count) in &recorded.instructions {
        text += &format!("{case} = {count}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let recorded = Recorded {
            conditions: [
                pair("rustc", "rustc 1.95.0 (59807616e 2026-04-14)"),
                pair("serde_json", "1.0.154"),
                pair("base64", "0.22.1, 0.23.1"),
            ]
            .into(),
            instructions: [("axum-read".to_owned(), 12_345)].into(),
        };
        let text = written(&recorded);
        assert!(text.contains("\naxum-read = 12345\n"), "{text}");
        assert_eq!(parse(&text), Ok(recorded));
    }

    #[test]
    fn mistakes_in_the_file_are_explained() {
        let message = parse("[conditions]\n[counts]\n").err().unwrap_or_default();
        assert!(
            message.starts_with(FILE) && message.contains("counts"),
            "{message}"
        );
    }
}
