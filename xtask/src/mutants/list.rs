//! The list of mutants in `mutants.toml`, and how a mutant changes its file.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;

use crate::error::{self, Result};
use crate::workspace;

pub(crate) const FILE: &str = "xtask/mutants.toml";

/// A deliberate fault, and the tests that have to notice it. `mutants.toml` explains the fields.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutant {
    pub(crate) name: String,
    guards: Guards,
    pub(crate) file: String,
    find: String,
    replace: String,
    package: String,
    target: String,
    test: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected the id of a rule or a list of ids")]
enum Guards {
    One(String),
    Several(Vec<String>),
}

/// The tests of a mutant; several mutants can share them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Selection {
    pub(crate) package: String,
    pub(crate) target: String,
    pub(crate) test: String,
}

pub(crate) fn load() -> Result<Vec<Mutant>> {
    parse(&workspace::read(&workspace::root().join(FILE))?)
}

fn parse(text: &str) -> Result<Vec<Mutant>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        #[serde(default)]
        mutant: Vec<Mutant>,
    }
    let list: List = toml::from_str(text).map_err(|error| format!("{FILE}: {error}"))?;

    let mut names = BTreeSet::new();
    let mut problems = Vec::new();
    for mutant in &list.mutant {
        let name = &mutant.name;
        if !names.insert(name) {
            problems.push(format!("two mutants are named {name}"));
        }
        if mutant.guards().is_empty() {
            problems.push(format!("the mutant {name} guards no rule"));
        }
        if mutant.find == mutant.replace {
            problems.push(format!("the mutant {name} replaces a text by itself"));
        }
    }
    error::report(FILE, &problems)?;
    Ok(list.mutant)
}

impl Mutant {
    /// The ids of the rules whose tests the mutant puts to the test.
    fn guards(&self) -> &[String] {
        match &self.guards {
            Guards::One(id) => std::slice::from_ref(id),
            Guards::Several(ids) => ids,
        }
    }

    pub(crate) fn selection(&self) -> Selection {
        let Self {
            package,
            target,
            test,
            ..
        } = self.clone();
        Selection {
            package,
            target,
            test,
        }
    }

    /// The text of the file with the fault in it.
    pub(crate) fn apply(&self, text: &str) -> Result<String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            0 => Err(format!(
                "its `find` is no longer in {}: bring it up to date",
                self.file
            )),
            count => Err(format!(
                "its `find` is {count} times in {}: make it longer, so that only one place matches",
                self.file
            )),
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            package,
            target,
            test,
        } = self;
        write!(f, "{package} {target}")?;
        if test.is_empty() {
            Ok(())
        } else {
            write!(f, " {test}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUTANT: &str = r#"
        [[mutant]]
        name = "no-domain"
        guards = "CK-2"
        file = "a.rs"
        find = '''set_domain("x");'''
        replace = ''
        package = "core"
        target = "--lib"
        test = "cookie::tests::removal"
    "#;

    fn message(toml: &str) -> String {
        parse(toml).err().unwrap_or_default()
    }

    #[test]
    fn mutants_are_read() {
        assert_eq!(parse(""), Ok(Vec::new()));
        let several = MUTANT
            .replace("\"CK-2\"", "[\"CK-2\", \"CK-5\"]")
            .replace("no-", "without-");
        let mutants = parse(&format!("{MUTANT}{several}")).unwrap_or_default();
        assert_eq!(mutants.len(), 2);
        assert_eq!(mutants[0].guards(), ["CK-2"]);
        assert_eq!(mutants[1].guards(), ["CK-2", "CK-5"]);
        assert_eq!(mutants[0].selection(), mutants[1].selection());
        assert_eq!(
            mutants[0].selection().to_string(),
            "core --lib cookie::tests::removal"
        );
    }

    #[test]
    fn mistakes_in_the_list_are_explained() {
        assert!(message(&MUTANT.repeat(2)).contains("two mutants are named no-domain"));
        assert!(message(&MUTANT.replace("\"CK-2\"", "[]")).contains("guards no rule"));
        assert!(message(&MUTANT.replace("\"CK-2\"", "2")).contains("expected the id of a rule"));
        let unchanged = MUTANT.replace("replace = ''", "replace = 'set_domain(\"x\");'");
        assert!(message(&unchanged).contains("by itself"));
        assert!(message(&MUTANT.replace("target", "targets")).contains("targets"));
    }

    /// What the long run of the mutants would find out half an hour later.
    #[test]
    fn every_mutant_finds_its_place() {
        let mutants = load().unwrap_or_default();
        assert!(!mutants.is_empty());
        for mutant in mutants {
            let text = workspace::read(&workspace::root().join(&mutant.file));
            let applied = text.and_then(|text| mutant.apply(&text));
            assert_eq!(applied.map(drop), Ok(()), "{}", mutant.name);
        }
    }

    #[test]
    fn a_mutant_changes_the_one_place_it_names() {
        let mutants = parse(MUTANT).unwrap_or_default();
        let apply = |text| mutants[0].apply(text);
        assert_eq!(
            apply("a(); set_domain(\"x\"); b();"),
            Ok("a();  b();".to_owned())
        );
        assert!(apply("a();").is_err_and(|error| error.contains("no longer in a.rs")));
        let twice = "set_domain(\"x\");".repeat(2);
        assert!(apply(&twice).is_err_and(|error| error.contains("2 times in a.rs")));
    }
}
