//! Counts allocations: prints one line for each contender and case, "framework, name, case, allocations", separated by
//! tabs.

use session_bench_in_process::{Case, contenders};

/// Enough that what grows now and then (a table of the store) is no whole allocation more.
const REQUESTS: u32 = 1_000;

fn main() {
    for contender in contenders() {
        for (case, sample) in Case::ALL.into_iter().zip(contender.samples()) {
            contender.app.serve(&sample, REQUESTS);
            let counted = allocation_counter::measure(|| contender.app.serve(&sample, REQUESTS));
            let each = counted.count_total as f64 / f64::from(REQUESTS);
            println!(
                "{}\t{}\t{case:?}\t{each:.2}",
                contender.framework, contender.name
            );
        }
    }
}
