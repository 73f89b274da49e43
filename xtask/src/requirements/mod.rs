//! `requirements`: docs/requirements.md names tests and mutants that exist, and misses no rule.

mod document;
mod id;

use std::collections::BTreeSet;

use document::{Rule, code_spans};
use id::ids_in;

use crate::Result;
use crate::mutants::{self, Mutant};
use crate::workspace::{self, Texts};

const DOCUMENT: &str = "docs/requirements.md";

/// How far above a function its comment and attributes can begin.
const LINES_ABOVE: usize = 12;

pub(crate) fn run() -> Result<()> {
    let document = workspace::read(&workspace::root().join(DOCUMENT))?;
    let mut sources = workspace::texts()?;
    // The tests of the xtask make up ids.
    sources.retain(|file, _| file.ends_with(".rs") && !file.starts_with("xtask/"));
    workspace::report(DOCUMENT, &check(&document, &mutants::load()?, &sources))?;
    println!("requirements: every rule has its test and its mutant");
    Ok(())
}

fn check(document: &str, mutants: &[Mutant], sources: &Texts) -> Vec<String> {
    let (rules, mut problems) = document::parse(document);
    let mut ids = BTreeSet::new();
    for rule in &rules {
        let place = format!("line {}, {}", rule.line, rule.id);
        if !ids.insert(rule.id.as_str()) {
            problems.push(format!("{place}: another rule has this id"));
        }
        let in_tests = problems_of_the_test(rule, sources);
        let in_mutation = problems_of_the_mutation(rule, mutants);
        let found = in_tests.into_iter().chain(in_mutation);
        problems.extend(found.map(|problem| format!("{place}: {problem}")));
    }
    problems.extend(unknown_ids(&ids, mutants, sources));
    problems
}

fn problems_of_the_test(rule: &Rule, sources: &Texts) -> Vec<String> {
    if rule.may_leave_out(&rule.test) {
        return Vec::new();
    }
    let references: Vec<_> = code_spans(&rule.test).collect();
    if references.is_empty() {
        return vec!["name its test as `path/to/file.rs: name_of_the_test`".to_owned()];
    }
    let problem = |reference| problem_of_a_reference(reference, &rule.id, sources);
    references.into_iter().filter_map(problem).collect()
}

fn problem_of_a_reference(reference: &str, id: &str, sources: &Texts) -> Option<String> {
    let Some((file, function)) = reference.split_once(": ") else {
        return Some(format!(
            "write `{reference}` as `path/to/file.rs: name_of_the_test`"
        ));
    };
    let Some(source) = sources.get(file) else {
        return Some(format!("there is no Rust file {file}"));
    };
    let lines: Vec<_> = source.lines().collect();
    let mut places = (0..lines.len())
        .filter(|&at| defines(lines[at], function))
        .peekable();
    if places.peek().is_none() {
        return Some(format!("{file} has no `fn {function}`"));
    }
    if places.any(|at| comment_above(&lines[..at]).any(|line| ids_in(line).any(|i| i == id))) {
        return None;
    }
    Some(format!(
        "the comment of {function} in {file} does not mention {id}"
    ))
}

fn defines(line: &str, function: &str) -> bool {
    let before_and_after = line.split_once(&format!("fn {function}"));
    before_and_after.is_some_and(|(before, after)| {
        !before.contains("//")
            && before.chars().next_back().is_none_or(char::is_whitespace)
            && after.starts_with(['(', '<'])
    })
}

/// The comment and the attributes at the end of `lines`, from the last line up.
fn comment_above<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let ends_what_is_above = |line: &&str| matches!(line.trim(), "" | "}" | "{");
    lines
        .iter()
        .rev()
        .take(LINES_ABOVE)
        .copied()
        .take_while(move |line| !ends_what_is_above(line))
}

fn problems_of_the_mutation(rule: &Rule, mutants: &[Mutant]) -> Vec<String> {
    if rule.may_leave_out(&rule.mutation) {
        return Vec::new();
    }
    let names: Vec<_> = code_spans(&rule.mutation).collect();
    if names.is_empty() {
        return vec!["name its mutant of xtask/mutants.toml in backticks".to_owned()];
    }
    let problem = |name: &str| match mutants.iter().find(|mutant| mutant.name == name) {
        None => Some(format!("xtask/mutants.toml has no mutant `{name}`")),
        Some(mutant) if mutant.guards().contains(&rule.id) => None,
        Some(_) => Some(format!(
            "the mutant `{name}` does not say that it guards this rule"
        )),
    };
    names.into_iter().filter_map(problem).collect()
}

/// The ids in comments and mutants that the document does not have.
fn unknown_ids(ids: &BTreeSet<&str>, mutants: &[Mutant], sources: &Texts) -> Vec<String> {
    let mut problems = Vec::new();
    for (file, source) in sources {
        let comments = source
            .lines()
            .zip(1..)
            .filter(|(line, _)| line.trim().starts_with("//"));
        let mentioned = comments.flat_map(|(line, at)| ids_in(line).map(move |id| (id, at)));
        let unknown = mentioned.filter(|(id, _)| !ids.contains(id));
        problems.extend(unknown.map(|(id, at)| format!("{file}:{at} mentions {id}: no such rule")));
    }
    for mutant in mutants {
        let unknown = mutant
            .guards()
            .iter()
            .filter(|id| !ids.contains(id.as_str()));
        let name = &mutant.name;
        problems.extend(unknown.map(|id| format!("the mutant `{name}` guards {id}: no such rule")));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
/// CK-1: a.
#[test]
fn covered() {
    assert!(true);
}
#[test]
fn covered_not() {}

/// About CK-1 and CK-12.
fn generic<T>() {}
";

    fn check_row(test: &str, mutation: &str) -> Vec<String> {
        let header = "|id|rule|source|test|mutation|\n|-|-|-|-|-|";
        check_document(&format!(
            "{header}\n|CK-1|A|s|{test}|{mutation}|\n|CK-12|Planned: b||—|—|"
        ))
    }

    fn check_document(document: &str) -> Vec<String> {
        let mutants = [("guards-it", "CK-1"), ("another", "CK-12")];
        let mutants = mutants.map(|(name, id)| Mutant::for_tests(name, id));
        check(
            document,
            &mutants,
            &Texts::from([("a.rs".to_owned(), SOURCE.to_owned())]),
        )
    }

    #[test]
    fn rows_with_their_tests_and_mutants_are_fine() {
        assert_eq!(check_row("`a.rs: covered`", "`guards-it`"), [""; 0]);
        assert_eq!(
            check_row("`a.rs: covered`, `a.rs: generic`", "by `guards-it`"),
            [""; 0]
        );
    }

    #[test]
    fn tests_have_to_exist_and_to_mention_the_rule() {
        for (test, problem) in [
            ("—", "name its test"),
            ("covered", "name its test"),
            ("`covered`", "write `covered` as"),
            ("`b.rs: covered`", "no Rust file b.rs"),
            ("`a.rs: cover`", "no `fn cover`"),
            ("`a.rs: covered_not`", "does not mention CK-1"),
        ] {
            let problems = check_row(test, "`guards-it`");
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with("line 3, CK-1: "), "{problems:?}");
            assert!(problems[0].contains(problem), "{problems:?}");
        }
    }

    #[test]
    fn mutants_have_to_exist_and_to_guard_the_rule() {
        for (mutation, problem) in [
            ("—", "name its mutant"),
            ("`missing`", "no mutant `missing`"),
            ("`another`", "does not say that it guards"),
        ] {
            let problems = check_row("`a.rs: covered`", mutation);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(problem), "{problems:?}");
        }
    }

    #[test]
    fn ids_are_known_and_unique() {
        let header = "|id|rule|source|test|mutation|\n|-|-|-|-|-|\n";
        let planned = "|CK-1|Planned: a||—|—|\n";
        let problems = check_document(&format!("{header}{planned}{planned}"));
        let expected = [
            "line 4, CK-1: another rule has this id",
            "a.rs:9 mentions CK-12: no such rule",
            "the mutant `another` guards CK-12: no such rule",
        ];
        assert_eq!(problems, expected);
    }
}
