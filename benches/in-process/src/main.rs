//! Takes the time of all cases and prints the tables.

use std::collections::HashMap;
use std::error::Error;
use std::process::Command;
use std::time::Instant;

use session_bench_common::{Rounds, Table, ratio};
use session_bench_in_process::{Case, Contender, Role, contenders, floor};

/// Many short rounds, one contender after the other: what disturbs the machine then hits all of them alike.
const ROUNDS: usize = 41;
const REQUESTS: u32 = 1_000;

type Times = HashMap<(usize, usize), Rounds>;

fn main() -> Result<(), Box<dyn Error>> {
    let contenders = contenders();
    let allocations = allocations()?;
    let (times, floor) = measure(&contenders);
    print_floor(&floor);
    let floor: f64 = floor.iter().map(|(_, rounds)| rounds.median()).sum();
    for (at, case) in Case::ALL.into_iter().enumerate() {
        let title = format!("{}: overhead over a middleware that does nothing", case.title());
        let columns = [
            "framework", "sessions", "ns, median", "ns, minimum", "ratio of medians", "of minima",
            "allocations", "× floor",
        ];
        let mut table = Table::new(&title, &columns);
        for (n, contender) in contenders.iter().enumerate() {
            let nothing = role(&contenders, contender, Role::Nothing);
            let over = |n: usize, of: fn(&Rounds) -> f64| of(&times[&(n, at)]) - of(&times[&(nothing, at)]);
            let allocated = |n: usize| {
                let Contender { framework, name, .. } = contenders[n];
                allocations.get(&format!("{framework}\t{name}\t{case:?}")).copied().unwrap_or(f64::NAN)
            };
            let (median, min) = (over(n, Rounds::median), over(n, Rounds::min));
            let peer = role(&contenders, contender, Role::Peer);
            let limit = limit(case, contender.framework);
            let ratio_to_peer = |of: fn(&Rounds) -> f64| match contender.role {
                Role::Ours => ratio(over(n, of), over(peer, of), limit),
                Role::Nothing | Role::Peer => String::new(),
            };
            if contender.role == Role::Nothing {
                table.row([
                    contender.framework.to_owned(),
                    "none (whole call)".to_owned(),
                    format!("{:.0}", times[&(n, at)].median()),
                    format!("{:.0}", times[&(n, at)].min()),
                    String::new(),
                    String::new(),
                    format!("{:.1}", allocated(n)),
                    String::new(),
                ]);
                continue;
            }
            table.row([
                contender.framework.to_owned(),
                contender.name.to_owned(),
                format!("{median:.0}"),
                format!("{min:.0}"),
                ratio_to_peer(Rounds::median),
                ratio_to_peer(Rounds::min),
                format!("{:.1}", allocated(n) - allocated(nothing)),
                format!("{:.1}", median / floor),
            ]);
        }
        println!("{table}");
    }
    print_other_cookies(&contenders, &times);
    Ok(())
}
fn role(contenders: &[Contender], like: &Contender, role: Role) -> usize {
    contenders
        .iter()
        .position(|other| other.framework == like.framework && other.role == role)
        .expect("each framework has each role")
}
fn limit(case: Case, framework: &str) -> Option<f64> {
    let is_actix = framework == "actix-web";
    match case {
        Case::Unused => Some(if framework == "axum" { 0.15 } else { 0.1 }),
        Case::Read | Case::ReadAlone | Case::Write => Some(if is_actix { 0.3 } else { 0.2 }),
        Case::New => Some(0.5),
        Case::Forged => None,
    }
}
fn measure(contenders: &[Contender]) -> (Times, Vec<(&'static str, Rounds)>) {
    let samples: Vec<_> = contenders.iter().map(Contender::samples).collect();
    let mut times = Times::new();
    let mut floor: Vec<(&'static str, Rounds)> = Vec::new();
    for _ in 0..ROUNDS {
        for (part, nanos) in floor::measure(REQUESTS) {
            match floor.iter_mut().find(|(name, _)| *name == part) {
                Some((_, rounds)) => rounds.push(nanos),
                None => {
                    let mut rounds = Rounds::default();
                    rounds.push(nanos);
                    floor.push((part, rounds));
                }
            }
        }
        for case in 0..Case::ALL.len() {
            for (n, contender) in contenders.iter().enumerate() {
                let started = Instant::now();
                contender.app.serve(&samples[n][case], REQUESTS);
                let nanos = started.elapsed().as_secs_f64() * 1e9 / f64::from(REQUESTS);
                times.entry((n, case)).or_default().push(nanos);
            }
        }
    }
    (times, floor)
}
fn allocations() -> Result<HashMap<String, f64>, Box<dyn Error>> {
    let program = std::env::current_exe()?.with_file_name("allocations");
    let output = Command::new(&program).output().map_err(|error| format!("{}: {error}", program.display()))?;
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().filter_map(|line| line.rsplit_once('\t'));
    Ok(lines.filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?))).collect())
}
fn print_floor(floor: &[(&'static str, Rounds)]) {
    let mut table = Table::new("The floor of a signed read", &["part", "ns, median", "ns, minimum"]);
    for (part, rounds) in floor {
        table.row([(*part).to_owned(), format!("{:.0}", rounds.median()), format!("{:.0}", rounds.min())]);
    }
    println!("{table}");
}
fn print_other_cookies(contenders: &[Contender], times: &Times) {
    let mut table = Table::new("Five other cookies in the request against none, read one key", &["framework", "sessions", "ns more, medians"]);
    for (n, contender) in contenders.iter().enumerate() {
        let more = times[&(n, 1)].median() - times[&(n, 2)].median();
        table.row([contender.framework.to_owned(), contender.name.to_owned(), format!("{more:.0}")]);
    }
    println!("{table}");
}
