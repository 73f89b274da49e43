//! Takes the time of all cases, has the allocations counted, and prints the tables.

mod measure;
mod report;

use session_bench_in_process::contenders;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let contenders = contenders();
    let allocations = measure::allocations()?;
    let (times, floor) = measure::times(&contenders);
    report::print(&contenders, &times, &floor, &allocations);
    Ok(())
}
