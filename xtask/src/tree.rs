//! `tree`: the length of files, leftovers, and the links and paths of the documentation.

use crate::error::{self, Result};
use crate::workspace::{self, Texts};

/// How many lines a Rust file may have, and how many one in a folder of tests.
const LONGEST_FILE: usize = 500;
const LONGEST_TEST: usize = 700;
const LEFTOVERS: [&str; 4] = ["TODO", "FIXME", "todo!", "dbg!"];
const PATHS_OF_A_MACHINE: [&str; 3] = ["/home/", "/Users/", "/root/"];

pub(crate) fn run() -> Result<()> {
    let texts = workspace::texts()?;
    error::report("the tree", &check(&texts))?;
    println!("tree: {} files are in order", texts.len());
    Ok(())
}

fn check(texts: &Texts) -> Vec<String> {
    let mut problems = Vec::new();
    // A file with a zero byte is no text, whatever its bytes happen to spell.
    for (file, text) in texts.iter().filter(|(_, text)| !text.contains('\0')) {
        let length = text.lines().count();
        let is_test = file.split('/').any(|folder| folder == "tests");
        let limit = if is_test { LONGEST_TEST } else { LONGEST_FILE };
        if file.ends_with(".rs") && length > limit {
            problems.push(format!(
                "{file} has {length} lines: split it, {limit} is the limit"
            ));
        }
        // The xtask has to name what it looks for.
        if !file.starts_with("xtask/") {
            let place = |line, word| format!("{file}:{line}: finish and remove this `{word}`");
            problems.extend(find(text, &LEFTOVERS).map(|(line, word)| place(line, word)));
        }
        if is_documentation(file) {
            let place = |line, path| format!("{file}:{line}: `{path}` is a path of one machine");
            problems.extend(find(text, &PATHS_OF_A_MACHINE).map(|(line, path)| place(line, path)));
            let broken = links(text).filter(|(_, link)| !leads_somewhere(texts, file, link));
            problems.extend(broken.map(|(line, link)| {
                format!("{file}:{line}: the link `{link}` leads to no file of the tree")
            }));
        }
    }
    problems
}

fn is_documentation(file: &str) -> bool {
    let is_in_docs = file.starts_with("docs/") && file.ends_with(".md");
    is_in_docs || file == "README.md" || file == "ARCHITECTURE.md"
}

/// The lines that contain one of the words, unless it is only the end or the start of a longer word.
fn find<'a>(text: &'a str, words: &'a [&str]) -> impl Iterator<Item = (usize, &'a str)> {
    let goes_on = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let is_cut = |c: char| c.is_alphanumeric() || c == '_';
    text.lines().zip(1..).flat_map(move |(line, number)| {
        let is_in_line = move |word: &&&str| {
            line.match_indices(**word).any(|(start, _)| {
                let after = &line[start + word.len()..];
                let is_open = word.ends_with(|c: char| !c.is_alphanumeric());
                !line[..start].ends_with(goes_on) && (is_open || !after.starts_with(is_cut))
            })
        };
        words
            .iter()
            .filter(is_in_line)
            .map(move |word| (number, *word))
    })
}

/// The targets of a Markdown text's links that are not addresses, with their lines; code has no links.
fn links(markdown: &str) -> impl Iterator<Item = (usize, String)> {
    let mut is_code = false;
    let prose = markdown.lines().zip(1..).filter(move |(line, _)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    let all = prose.flat_map(|(line, number)| {
        let text: String = line.split('`').step_by(2).collect();
        let inline = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', ' ']).next());
        let definition = text
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "));
        let defined = definition.and_then(|(_, rest)| rest.split_whitespace().next());
        let found: Vec<_> = inline
            .chain(defined)
            .map(|link| (number, link.to_owned()))
            .collect();
        found
    });
    all.filter(|(_, link)| !link.contains("://") && !link.starts_with("mailto:"))
}

fn leads_somewhere(texts: &Texts, file: &str, link: &str) -> bool {
    let path = link.split('#').next().unwrap_or_default();
    if path.is_empty() {
        return true; // a section of the same file
    }
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." if parts.pop().is_none() => return false,
            ".." => {}
            _ => parts.push(part),
        }
    }
    let target = parts.join("/");
    let directory = if target.is_empty() {
        String::new()
    } else {
        format!("{target}/")
    };
    texts.contains_key(&target) || texts.keys().any(|file| file.starts_with(&directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(files: &[(&str, &str)]) -> Vec<String> {
        check(
            &files
                .iter()
                .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn long_rust_files_are_found() {
        let (short, long) = ("\n".repeat(500), "\n".repeat(501));
        let fine = [
            ("a.rs", &*short),
            ("b.md", &*long),
            ("a/tests/b.rs", &*long),
        ];
        assert_eq!(problems(&fine), [""; 0]);
        let found = problems(&[("a/b.rs", &*long), ("tests/a.rs", &"\n".repeat(701))]);
        let expected = [
            "a/b.rs has 501 lines: split it, 500 is the limit",
            "tests/a.rs has 701 lines: split it, 700 is the limit",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn leftovers_are_found() {
        let found = problems(&[
            ("a.rs", "fn a() {\n    todo!(); // TODO: b\n}"),
            ("b.yml", "#FIXME"),
        ]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("a.rs:2: "), "{found:?}");
        assert!(problems(&[("xtask/src/tree.rs", "TODO")]).is_empty());
        assert!(problems(&[("a.rs", "MASTODON TODOS not_todo!()")]).is_empty());
        assert!(problems(&[("a.png", "\0 TODO")]).is_empty());
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        let found = problems(&[("README.md", "see\n`/Users/me` and file:///home/me")]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(problems(&[("README.md", "https://example.com/home/ or a/root/b")]).is_empty());
        assert!(problems(&[("demo/README.md", "/Users/")]).is_empty());
    }

    #[test]
    fn relative_links_lead_to_files() {
        let page =
            "[a](b.md) [c](../README.md#c) [d](#d) [e](../src/) [f](https://f.org/f) [g](.. \"G\")
            `[h](h)`\n```\n[i](i)\n```\n\n[j]: ../src/lib.rs\n";
        let files = [
            ("docs/b.md", ""),
            ("README.md", "[k](docs)"),
            ("src/lib.rs", ""),
        ];
        assert_eq!(
            problems(&[&files[..], &[("docs/a.md", page)]].concat()),
            [""; 0]
        );

        let page = "[a](c.md)\n[d](../../e) [f](b.m)\n[g]: g.md\n";
        let found = problems(&[&files[..], &[("docs/a.md", page)]].concat());
        let expected = [
            "a.md:1: the link `c.md`",
            ":2: the link `../../e`",
            "`b.m`",
            ":3: the link",
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(found, part)| found.contains(part)),
            "{found:?}"
        );
    }
}
