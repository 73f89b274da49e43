//! docs/requirements.md names, for each rule, tests and mutants that exist and that name the rule; and comments and
//! mutants name no rule that the document doesn't have.
#![allow(
    clippy::unwrap_used,
    reason = "a file that can't be read is as good as a failure"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[test]
fn rules_have_tests_and_mutants() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let document = fs::read_to_string(root.join("docs/requirements.md")).unwrap();
    let mutants = fs::read_to_string(root.join("xtask/mutants.toml")).unwrap();
    let mutants = guards_by_name(&mutants);
    let mut sources = BTreeMap::new();
    read_sources(root, "", &mut sources);

    let (mut ids, mut problems) = (BTreeSet::new(), Vec::new());
    for row in document.lines() {
        // A row without five cells is missed below, by the comments that name its rule.
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let ["", id, rule, _, test, mutation, ""] = cells[..] else {
            continue;
        };
        if matches!(id, "id" | "---") {
            continue;
        }
        if !ids.insert(id) {
            problems.push(format!("{id} stands for two rules"));
        }
        let has_nothing_yet = rule.starts_with("Planned:") && (test, mutation) == ("—", "—");
        let lacks_one = !test.contains('`') || !mutation.contains('`');
        if lacks_one && !has_nothing_yet {
            problems.push(format!("{id} names no test or no mutant in backticks"));
        }
        for test in in_backticks(test) {
            let (file, function) = test.split_once(": ").unwrap_or((test, ""));
            match sources.get(file) {
                None => problems.push(format!("{id}: there is no Rust file {file}")),
                Some(source) if names_above(source, function, id) => {}
                Some(_) => {
                    problems.push(format!("{id}: {file} has no {function} with that id above"))
                }
            }
        }
        for name in in_backticks(mutation) {
            let guarded = mutants.get(name);
            if !guarded.is_some_and(|ids| ids.contains(&id)) {
                problems.push(format!("{id}: no mutant {name} says that it guards it"));
            }
        }
    }
    assert!(!ids.is_empty(), "the document has no rule");
    let groups: BTreeSet<_> = ids.iter().map(|id| id.split('-').next()).collect();
    let comments = sources.iter().flat_map(|(file, source)| {
        let lines = source.lines().filter(|line| line.trim().starts_with("//"));
        lines.map(move |line| (file.as_str(), words(line)))
    });
    for (place, words) in comments.chain(mutants) {
        for word in words.iter().filter(|word| !ids.contains(*word)) {
            let (group, number) = word.split_once('-').unwrap_or_default();
            if groups.contains(&Some(group)) && number.parse::<u32>().is_ok() {
                problems.push(format!("{place} names {word}, which is no rule"));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// The mutants of the list, each with the rules that it guards.
fn guards_by_name(list: &str) -> BTreeMap<&str, Vec<&str>> {
    let mutants = list.split("[[mutant]]").filter_map(|mutant| {
        let value = |key| mutant.lines().find_map(|line| line.strip_prefix(key));
        let name = value("name = ")?.trim_matches('"');
        Some((name, words(value("guards = ")?)))
    });
    mutants.collect()
}

/// Reads the Rust files of a folder, by their paths from the root.
fn read_sources(root: &Path, folder: &str, sources: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{folder}{name}");
        if name.ends_with(".rs") {
            sources.insert(path, fs::read_to_string(entry.path()).unwrap());
        } else if entry.path().is_dir() && name != "target" && !name.starts_with('.') {
            read_sources(root, &format!("{path}/"), sources);
        }
    }
}

/// Whether a function of the source is there, with the word between it and the last blank line above.
fn names_above(source: &str, function: &str, word: &str) -> bool {
    let function = format!("fn {function}(");
    source.match_indices(&function).any(|(start, _)| {
        let above = source[..start].rsplit("\n\n").next();
        above.is_some_and(|above| words(above).contains(&word))
    })
}

fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '-')
        .collect()
}
