//! The recorded counts beside those of now.

use std::collections::{BTreeMap, BTreeSet};

/// By how many percent of the record a count may differ from it.
const LIMIT: u64 = 5;

/// A case, with its instructions per request as far as there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'c> {
    case: &'c str,
    recorded: Option<u64>,
    now: Option<u64>,
}

pub(crate) fn lines<'c>(
    recorded: &'c BTreeMap<String, u64>,
    now: &'c BTreeMap<String, u64>,
) -> Vec<Line<'c>> {
    let cases: BTreeSet<&String> = recorded.keys().chain(now.keys()).collect();
    let line = |case: &'c String| Line {
        case,
        recorded: recorded.get(case).copied(),
        now: now.get(case).copied(),
    };
    cases.into_iter().map(line).collect()
}

pub(crate) fn table(lines: &[Line<'_>]) -> String {
    let mut table = row("case", "recorded", "now", "difference");
    for line in lines {
        let recorded = or_dash(line.recorded.map(|count| count.to_string()));
        let now = or_dash(line.now.map(|count| count.to_string()));
        let difference = or_dash(line.percent().map(percent));
        table += &row(line.case, &recorded, &now, &difference);
    }
    table
}

impl Line<'_> {
    /// What is wrong with the case, if anything is. Less is wrong too: unrecorded, it could be lost again unnoticed.
    pub(crate) fn problem(&self) -> Option<String> {
        let advice = "if that is meant, run `cargo xtask instructions --record`";
        let case = self.case;
        match (self.recorded, self.now) {
            (Some(recorded), Some(now)) if is_near(recorded, now) => None,
            (Some(recorded), Some(now)) => {
                let difference = self.percent().map(percent).unwrap_or_default();
                Some(format!(
                    "{case}: {now} instructions per request instead of {recorded} ({difference}); {advice}"
                ))
            }
            (Some(_), None) => Some(format!("{case} is recorded and no longer there; {advice}")),
            (None, _) => Some(format!("{case} is not recorded; {advice}")),
        }
    }

    fn percent(&self) -> Option<f64> {
        let (recorded, now) = (self.recorded? as f64, self.now? as f64);
        Some((now / recorded - 1.0) * 100.0)
    }
}

fn is_near(recorded: u64, now: u64) -> bool {
    now.abs_diff(recorded) * 100 <= recorded * LIMIT
}

fn percent(percent: f64) -> String {
    format!("{percent:+.1} %")
}

fn or_dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}

fn row(case: &str, recorded: &str, now: &str, difference: &str) -> String {
    format!("{case:<16}{recorded:>12}{now:>12}{difference:>14}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        let owned = |(case, count): &(&str, u64)| ((*case).to_owned(), *count);
        pairs.iter().map(owned).collect()
    }

    fn problem(recorded: Option<u64>, now: Option<u64>) -> Option<String> {
        let case = "axum-read";
        Line {
            case,
            recorded,
            now,
        }
        .problem()
    }

    #[test]
    fn five_percent_more_or_less_is_allowed() {
        assert_eq!(problem(Some(1_000), Some(1_000)), None);
        assert_eq!(problem(Some(1_000), Some(1_050)), None);
        assert_eq!(problem(Some(1_000), Some(950)), None);

        let more = problem(Some(1_000), Some(1_051)).unwrap_or_default();
        let start = "axum-read: 1051 instructions per request instead of 1000 (+5.1 %); if";
        assert!(more.starts_with(start), "{more}");
        let less = problem(Some(1_000), Some(949)).unwrap_or_default();
        assert!(less.contains("949") && less.contains("(-5.1 %)"), "{less}");
    }

    #[test]
    fn a_case_has_to_be_recorded_and_to_be_there() {
        let new = problem(None, Some(1)).unwrap_or_default();
        assert!(new.starts_with("axum-read is not recorded; "), "{new}");
        let missing = problem(Some(1), None).unwrap_or_default();
        assert!(missing.contains("no longer there"), "{missing}");
        assert!(missing.ends_with("--record`"), "{missing}");
    }

    #[test]
    fn every_case_is_in_the_table() {
        let recorded = counts(&[("a", 200), ("b", 1)]);
        let now = counts(&[("a", 199), ("c", 7)]);
        let lines = lines(&recorded, &now);
        let table = table(&lines);
        let words: Vec<Vec<_>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            words,
            [
                vec!["case", "recorded", "now", "difference"],
                vec!["a", "200", "199", "-0.5", "%"],
                vec!["b", "1", "-", "-"],
                vec!["c", "-", "7", "-"],
            ]
        );
        assert_eq!(lines.iter().filter_map(Line::problem).count(), 2);
    }
}
