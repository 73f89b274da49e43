//! What the counts hold for: the compiler, the machine, and the versions of what is executed.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;

use crate::error::Result;
use crate::{process, workspace};

/// Names with versions, or what else tells one from another.
pub(crate) type Conditions = BTreeMap<String, String>;

/// The crates in which, beside our own, most of a request's instructions are.
const CRATES: [&str; 12] = [
    "actix-http",
    "actix-web",
    "axum",
    "base64",
    "cookie",
    "hmac",
    "http",
    "poem",
    "serde_json",
    "sha2",
    "tokio",
    "tower",
];

/// The conditions on this machine, and in this tree.
pub(crate) fn here() -> Result<Conditions> {
    let mut rustc = Command::new("rustc");
    let compiler = process::output(rustc.arg("-vV").current_dir(workspace::root()))?;
    let valgrind = process::output(Command::new("valgrind").arg("--version"))?;
    // A C library that isn't glibc doesn't know this setting.
    let libc = process::output(Command::new("getconf").arg("GNU_LIBC_VERSION"));
    let libc = libc.unwrap_or_else(|_| "unknown".to_owned());
    let lock = workspace::read(&workspace::root().join("Cargo.lock"))?;

    let mut conditions = versions(&lock)?;
    let (version, host) = version_and_host(&compiler);
    let machine = [
        ("rustc", version.to_owned()),
        ("architecture", architecture(host)),
        ("valgrind", valgrind.trim().to_owned()),
        ("libc", libc.trim().to_owned()),
    ];
    conditions.extend(machine.map(|(name, value)| (name.to_owned(), value)));
    Ok(conditions)
}

/// What of `here` isn't as it was when the record was made, in sentences.
pub(crate) fn differences(recorded: &Conditions, here: &Conditions) -> Vec<String> {
    let names: BTreeSet<&String> = recorded.keys().chain(here.keys()).collect();
    let value = |conditions: &Conditions, name: &str| {
        let value = conditions.get(name).map(String::as_str);
        value.unwrap_or("nothing").to_owned()
    };
    names
        .into_iter()
        .map(|name| (name, value(recorded, name), value(here, name)))
        .filter(|(_, recorded, here)| recorded != here)
        .map(|(name, recorded, here)| {
            format!("{name}: recorded with {recorded}, and here it is {here}")
        })
        .collect()
}

/// The first line of `rustc -vV`, which is all that `rustc --version` says, and the host that follows.
fn version_and_host(output: &str) -> (&str, &str) {
    let version = output.lines().next().unwrap_or_default();
    let host = output.lines().find_map(|line| line.strip_prefix("host: "));
    (version, host.unwrap_or("unknown"))
}

/// Valgrind shows a program whether the processor has AVX2, and the C library copies accordingly.
fn architecture(host: &str) -> String {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return format!("{host} with AVX2");
    }
    host.to_owned()
}

/// The versions that Cargo.lock has of the crates; of some there are several.
fn versions(lock: &str) -> Result<Conditions> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let lock: Lock = toml::from_str(lock).map_err(|error| format!("Cargo.lock: {error}"))?;

    let mut versions = Conditions::new();
    for Package { name, version } in lock.package {
        if !CRATES.contains(&name.as_str()) {
            continue;
        }
        versions
            .entry(name)
            .and_modify(|earlier| *earlier += &format!(", {version}"))
            .or_insert(version);
    }
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(pairs: &[(&str, &str)]) -> Conditions {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn each_difference_is_told() {
        let recorded = conditions(&[("axum", "0.8.9"), ("rustc", "1.95.0"), ("tower", "0.5.3")]);
        assert_eq!(differences(&recorded, &recorded), [""; 0]);

        let here = conditions(&[("axum", "0.8.9"), ("hmac", "0.13.0"), ("rustc", "1.96.0")]);
        assert_eq!(
            differences(&recorded, &here),
            [
                "hmac: recorded with nothing, and here it is 0.13.0",
                "rustc: recorded with 1.95.0, and here it is 1.96.0",
                "tower: recorded with 0.5.3, and here it is nothing",
            ]
        );
    }

    #[test]
    fn the_lock_file_has_the_versions() {
        let lock = r#"
            version = 4

            [[package]]
            name = "base64"
            version = "0.22.1"

            [[package]]
            name = "base64"
            version = "0.23.1"
            source = "registry"

            [[package]]
            name = "base64ct"
            version = "1.0.0"

            [[package]]
            name = "poem"
            version = "3.1.12"
            dependencies = ["http 1.5.0"]
        "#;
        let expected = conditions(&[("base64", "0.22.1, 0.23.1"), ("poem", "3.1.12")]);
        assert_eq!(versions(lock), Ok(expected));
        assert!(versions("package = 1").is_err_and(|error| error.starts_with("Cargo.lock: ")));
    }

    #[test]
    fn the_compiler_says_its_version_and_its_host() {
        let output =
            "rustc 1.95.0 (5980 2026-04-14)\nbinary: rustc\nhost: a-b-c\nrelease: 1.95.0\n";
        assert_eq!(
            version_and_host(output),
            ("rustc 1.95.0 (5980 2026-04-14)", "a-b-c")
        );
    }
}
