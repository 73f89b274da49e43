//! `features`: each package compiles without features, with each one alone, and with all.
//! Warnings are for `lint`: the cargo of today cannot deny them here without RUSTFLAGS, which would rebuild
//! every dependency.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::workspace::cargo;
use crate::{Result, process};

pub(crate) fn run() -> Result<()> {
    let metadata = process::output(&mut cargo("metadata --no-deps --format-version 1"))?;
    for check in checks(&metadata)? {
        process::run(&mut cargo(&check))?;
    }
    Ok(())
}

/// The part of cargo's metadata that is of use here; `--no-deps` leaves the workspace's own packages.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    features: BTreeMap<String, IgnoredAny>,
}

fn checks(metadata: &str) -> Result<Vec<String>> {
    let metadata: Metadata = serde_json::from_str(metadata)
        .map_err(|error| format!("cannot read what `cargo metadata` says: {error}"))?;
    let mut checks = Vec::new();
    for Package { name, features } in metadata.packages {
        let check = format!("check --package {name}");
        checks.push(format!("{check} --no-default-features"));
        for feature in features.keys() {
            checks.push(format!(
                "{check} --no-default-features --features {feature}"
            ));
        }
        // All of one feature is that feature alone.
        if features.len() > 1 {
            checks.push(format!("{check} --all-features"));
        }
    }
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_checked_alone_and_all_together() {
        let metadata = r#"{"version": 1, "packages": [
            {"name": "plain", "id": "x", "features": {}},
            {"name": "one", "features": {"a": []}},
            {"name": "two", "features": {"b": ["a"], "a": []}}
        ]}"#;
        let expected = [
            "check --package plain --no-default-features",
            "check --package one --no-default-features",
            "check --package one --no-default-features --features a",
            "check --package two --no-default-features",
            "check --package two --no-default-features --features a",
            "check --package two --no-default-features --features b",
            "check --package two --all-features",
        ];
        assert_eq!(checks(metadata), Ok(expected.map(str::to_owned).to_vec()));
    }
}
