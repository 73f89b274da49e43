//! The tables. All figures but those of the frameworks themselves are overheads: what a request costs beyond the same
//! request through a middleware that does nothing.

use session_bench_common::{Rounds, Table, ratio};
use session_bench_in_process::{Case, Contender, Role, parts};

use crate::measure::{Allocations, Floor, Times};

/// How much more five other cookies in a request may cost, in nanoseconds.
const MOST_FOR_OTHER_COOKIES: f64 = 100.0;

pub(crate) fn print(
    contenders: &[Contender],
    times: &Times,
    floor: &Floor,
    allocations: &Allocations,
) {
    let report = Report {
        contenders,
        times,
        floor: floor.iter().map(|(_, rounds)| rounds.median()).sum(),
        allocations,
    };
    println!("{}", floor_table(floor));
    for case in Case::ALL {
        println!("{}", report.case(case));
    }
    println!("{}", report.other_cookies());
    println!("{}", parts::table());
}

fn floor_table(floor: &Floor) -> Table {
    let mut table = Table::new(
        "The floor of a signed read",
        &["part", "ns, median", "ns, minimum"],
    );
    let mut row = |part: &str, median: f64, min: f64| {
        table.row([part.to_owned(), format!("{median:.0}"), format!("{min:.0}")]);
    };
    for (part, rounds) in floor {
        row(part, rounds.median(), rounds.min());
    }
    let sum = |of: fn(&Rounds) -> f64| floor.iter().map(|(_, rounds)| of(rounds)).sum();
    row("together", sum(Rounds::median), sum(Rounds::min));
    table
}

struct Report<'r> {
    contenders: &'r [Contender],
    times: &'r Times,
    floor: f64,
    allocations: &'r Allocations,
}

impl Report<'_> {
    fn case(&self, case: Case) -> Table {
        let columns = [
            "framework",
            "sessions",
            "ns more, median",
            "minimum",
            "ours ÷ peer, medians",
            "minima",
            "allocations more",
            "× floor",
        ];
        let mut table = Table::new(case.title(), &columns);
        for (at, contender) in self.contenders.iter().enumerate() {
            let (median, min) = (
                self.overhead(at, case, Rounds::median),
                self.overhead(at, case, Rounds::min),
            );
            let allocations = self.more_allocations(at, case);
            let is_ours = contender.role == Role::Ours;
            let to_peer = |of: fn(&Rounds) -> f64| {
                let (ours, theirs) = (
                    self.overhead(at, case, of),
                    self.overhead(self.other(at, Role::Peer), case, of),
                );
                let text = ratio(ours, theirs, most_of_peer(case, contender.framework));
                if is_ours { text } else { String::new() }
            };
            let cells = match contender.role {
                Role::Nothing => {
                    let whole = &self.times[&(at, place(case))];
                    [
                        "none: the whole request".to_owned(),
                        format!("{:.0}", whole.median()),
                        format!("{:.0}", whole.min()),
                        String::new(),
                        String::new(),
                        format!("{:.1}", self.whole_allocations(at, case)),
                        String::new(),
                    ]
                }
                Role::Ours | Role::Peer => [
                    contender.name.to_owned(),
                    format!("{median:.0}"),
                    format!("{min:.0}"),
                    to_peer(Rounds::median),
                    to_peer(Rounds::min),
                    judged(allocations, 1, most_allocations(case).filter(|_| is_ours)),
                    judged(
                        median / self.floor,
                        1,
                        most_floors(case).filter(|_| is_ours),
                    ),
                ],
            };
            table.row([contender.framework.to_owned()].into_iter().chain(cells));
        }
        table
    }

    fn other_cookies(&self) -> Table {
        let mut table = Table::new(
            "Five other cookies in the request against none, read one key",
            &[
                "framework",
                "sessions",
                "ns more, medians",
                "forged ÷ read, medians",
            ],
        );
        for (at, contender) in self.contenders.iter().enumerate() {
            let limit = Some(MOST_FOR_OTHER_COOKIES).filter(|_| contender.role == Role::Ours);
            let median = |case| self.overhead(at, case, Rounds::median);
            let more = median(Case::Read) - median(Case::ReadAlone);
            let forged = match contender.role {
                Role::Nothing => continue,
                Role::Ours => ratio(median(Case::Forged), median(Case::Read), Some(1.0)),
                Role::Peer => ratio(median(Case::Forged), median(Case::Read), None),
            };
            table.row([
                contender.framework.to_owned(),
                contender.name.to_owned(),
                judged(more, 0, limit),
                forged,
            ]);
        }
        table
    }

    fn overhead(&self, at: usize, case: Case, of: fn(&Rounds) -> f64) -> f64 {
        let nothing = self.other(at, Role::Nothing);
        of(&self.times[&(at, place(case))]) - of(&self.times[&(nothing, place(case))])
    }

    fn more_allocations(&self, at: usize, case: Case) -> f64 {
        let nothing = self.other(at, Role::Nothing);
        self.whole_allocations(at, case) - self.whole_allocations(nothing, case)
    }

    fn whole_allocations(&self, at: usize, case: Case) -> f64 {
        let Contender {
            framework, name, ..
        } = self.contenders[at];
        let counted = self
            .allocations
            .get(&format!("{framework}\t{name}\t{case:?}"));
        counted.copied().unwrap_or(f64::NAN)
    }

    /// The contender of the same framework that has this role.
    fn other(&self, at: usize, role: Role) -> usize {
        let framework = self.contenders[at].framework;
        let is_it = |other: &Contender| other.framework == framework && other.role == role;
        let found = self.contenders.iter().position(is_it);
        found.expect("each framework has a contender for each role")
    }
}

fn place(case: Case) -> usize {
    Case::ALL
        .iter()
        .position(|other| *other == case)
        .unwrap_or(0)
}

/// The most that ours may cost, as a part of what the peer does.
fn most_of_peer(case: Case, framework: &str) -> Option<f64> {
    match (case, framework) {
        (Case::Unused, "axum") => Some(0.15),
        (Case::Unused, _) => Some(0.1),
        (Case::Read | Case::ReadAlone | Case::Write, "actix-web") => Some(0.3),
        (Case::Read | Case::ReadAlone | Case::Write, _) => Some(0.2),
        (Case::New, _) => Some(0.5),
        (Case::Forged, _) => None,
    }
}

fn most_allocations(case: Case) -> Option<f64> {
    match case {
        Case::Unused => Some(3.0),
        Case::Read | Case::ReadAlone => Some(7.0),
        Case::Write | Case::New | Case::Forged => None,
    }
}

fn most_floors(case: Case) -> Option<f64> {
    matches!(case, Case::Read | Case::ReadAlone).then_some(2.0)
}

fn judged(figure: f64, decimals: usize, at_most: Option<f64>) -> String {
    match at_most {
        Some(limit) if figure <= limit => format!("{figure:.decimals$} (≤ {limit})"),
        Some(limit) => format!("**{figure:.decimals$}** (missed: ≤ {limit})"),
        None => format!("{figure:.decimals$}"),
    }
}
