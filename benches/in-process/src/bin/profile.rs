//! Serves one case by one contender, for profilers: `profile axum ours Read 1000000`.

use session_bench_in_process::{Case, contenders};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (framework, name, case) = (arguments.next(), arguments.next(), arguments.next());
    let count = arguments
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(1_000_000);
    for contender in contenders() {
        if Some(contender.framework) == framework.as_deref()
            && Some(contender.name) == name.as_deref()
        {
            for (of, sample) in Case::ALL.into_iter().zip(contender.samples()) {
                if Some(format!("{of:?}")) == case {
                    contender.app.serve(&sample, count);
                }
            }
        }
    }
}
