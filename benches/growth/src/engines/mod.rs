//! What calls to Redis and PostgreSQL cost with few sessions and with many, each of a user of its own.
//!
//! The servers are this machine's, the calls one after the other, on connections that are there already.

mod calls;
mod fill;
mod postgres;
mod redis;
mod requests;

use session_bench_common::{Table, ratio};

pub(crate) use fill::{alive_until, fill_for};

use crate::Result;
use crate::engines::calls::Call;

/// The number of sessions that larger ones are compared with.
const FEW: u64 = 1_000;

pub(crate) async fn report(sessions: u64) -> Result<()> {
    if sessions < 2 * FEW {
        return Err(format!("--sessions has to be at least {}", 2 * FEW).into());
    }
    redis::report(sessions).await?;
    postgres::report(sessions).await
}

/// The costs of calls, or whatever else is counted, with few sessions and with many.
fn table(title: &str, what: &str, sessions: u64, few: &[Call], many: &[Call]) -> Table {
    let columns = [
        what.to_owned(),
        format!("{FEW} sessions"),
        format!("{sessions} sessions"),
        "ratio".to_owned(),
    ];
    let mut table = Table::new(title, &columns.each_ref().map(String::as_str));
    for (few, many) in few.iter().zip(many) {
        table.row([
            few.name.to_owned(),
            format!("{:.2}", few.figure),
            format!("{:.2}", many.figure),
            ratio(many.figure, few.figure, None),
        ]);
    }
    table
}
