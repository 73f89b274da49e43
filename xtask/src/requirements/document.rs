//! Reads the rules from the tables of docs/requirements.md.

use super::id::{GROUPS, is_id};

const COLUMNS: [&str; 5] = ["id", "rule", "source", "test", "mutation"];

/// What a cell holds that leaves something out.
const NOTHING: &str = "—";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) line: usize,
    pub(crate) id: String,
    rule: String,
    pub(crate) test: String,
    pub(crate) mutation: String,
}

impl Rule {
    /// Only a rule that is not built yet has neither a test nor a mutant.
    pub(crate) fn may_leave_out(&self, cell: &str) -> bool {
        self.rule.starts_with("Planned:") && cell == NOTHING
    }
}

/// The rules, and what is wrong with their tables. Tables about something else are passed over.
pub(crate) fn parse(document: &str) -> (Vec<Rule>, Vec<String>) {
    let mut rules = Vec::new();
    let mut problems = Vec::new();
    let mut header: Option<Vec<String>> = None;
    for (text, line) in document.lines().zip(1..) {
        let Some(cells) = cells(text) else {
            header = None;
            continue;
        };
        let Some(header) = &header else {
            header = Some(cells);
            continue;
        };
        let is_about_rules = *header == COLUMNS;
        match read_row(line, cells) {
            Row::Rule(rule) if is_about_rules => rules.push(rule),
            Row::Rule(rule) => problems.push(format!(
                "line {line}, {}: name the table's columns {}",
                rule.id,
                COLUMNS.join(", ")
            )),
            Row::Problem(problem) if is_about_rules => problems.push(problem),
            Row::Problem(_) | Row::Separator => {}
        }
    }
    if rules.is_empty() && problems.is_empty() {
        problems.push(format!(
            "it has no table with the columns {}",
            COLUMNS.join(", ")
        ));
    }
    (rules, problems)
}

/// The texts in backticks.
pub(crate) fn code_spans(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

enum Row {
    Rule(Rule),
    Problem(String),
    /// The line of hyphens below the header.
    Separator,
}

fn read_row(line: usize, cells: Vec<String>) -> Row {
    if cells
        .iter()
        .all(|cell| cell.contains('-') && cell.trim_matches([':', '-']).is_empty())
    {
        return Row::Separator;
    }
    let count = cells.len();
    let Ok([id, rule, _, test, mutation]) = <[String; 5]>::try_from(cells) else {
        return Row::Problem(format!("line {line}: the row has {count} cells, not 5"));
    };
    if is_id(&id) {
        return Row::Rule(Rule {
            line,
            id,
            rule,
            test,
            mutation,
        });
    }
    Row::Problem(format!(
        "line {line}: `{id}` is no id: write a group, a hyphen and a number; the groups are {}",
        GROUPS.join(", ")
    ))
}

/// The cells of a table's line.
fn cells(line: &str) -> Option<Vec<String>> {
    let row = line.trim().strip_prefix('|')?;
    let row = row.strip_suffix('|').unwrap_or(row);
    // An escaped bar belongs to its cell.
    let cells = row.replace("\\|", "\0");
    Some(
        cells
            .split('|')
            .map(|cell| cell.trim().replace('\0', "|"))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_from_tables() {
        let document = "\
# Rules

| prefix | about |
|--------|-------|
| CK     | a     |

| id | rule | source | test | mutation |
|:---|------|:------:|------|---------:|
| CK-1 | A \\| b | s | `a.rs: a` | `m` |
| CK-2 | Planned: c | s | — | — |

text | that | is | no | table
";
        let (rules, problems) = parse(document);
        assert_eq!(problems, [""; 0]);
        let first = Rule {
            line: 9,
            id: "CK-1".to_owned(),
            rule: "A | b".to_owned(),
            test: "`a.rs: a`".to_owned(),
            mutation: "`m`".to_owned(),
        };
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[0], first);
        assert!(rules[1].may_leave_out(&rules[1].test));
        assert!(!rules[0].may_leave_out("—") && !rules[1].may_leave_out(""));
    }

    #[test]
    fn tables_that_are_out_of_shape_are_explained() {
        let table = |columns: &str, row: &str| format!("|{columns}|\n|-|-|-|-|-|\n|{row}|\n");
        let columns = "id|rule|source|test|mutation";
        for (document, problem) in [
            (String::new(), "no table"),
            (table(columns, "CK-1|a|b|c"), "line 3: the row has 4 cells"),
            (table(columns, "CK1|a|b|c|d"), "line 3: `CK1` is no id"),
            (
                table("id|rule|test|source|mutation", "CK-1|a|b|c|d"),
                "line 3, CK-1: name the table",
            ),
        ] {
            let (rules, problems) = parse(&document);
            assert!(rules.is_empty());
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(problem), "{problems:?}");
        }
    }

    #[test]
    fn code_is_between_backticks() {
        assert_eq!(
            code_spans("`a`, b `c: d`").collect::<Vec<_>>(),
            ["a", "c: d"]
        );
        assert_eq!(code_spans("a").count(), 0);
    }
}
