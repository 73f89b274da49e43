//! Redis with few sessions and with many.

use std::sync::Arc;

use session_bench_common::Table;
use session_store_redis::RedisStore;
use session_test_servers::Redis;

use super::calls::{self, Call};
use super::fill::{alive_until, fill, fill_many};
use super::{FEW, requests, table};
use crate::Result;
use crate::sessions::Template;

/// The commands that the store sends for requests. Redis counts those that its scripts call, too.
const SENT: [&str; 4] = ["get", "evalsha", "eval", "del"];

pub(super) async fn report(sessions: u64) -> Result<()> {
    let redis = Redis::start(&[]);
    let store = RedisStore::connect(&redis.url()).await?;
    let template = Arc::new(Template::new().await?);
    let empty = used_memory(&redis)?;

    fill(&store, &template, 0..FEW, alive_until()).await?;
    fill_many(&store, &template).await?;
    let few = calls::measure(&store, FEW).await?;
    let few_commands = commands(&redis, &store).await?;
    fill(&store, &template, FEW..sessions, alive_until()).await?;
    let memory = (used_memory(&redis)? - empty) / sessions as f64;
    let many = calls::measure(&store, sessions).await?;
    let many_commands = commands(&redis, &store).await?;

    let title = "Redis: medians of calls, µs";
    println!("{}", table(title, "call", sessions, &few, &many));
    let title = "Redis: commands of one request";
    let table = table(title, "request", sessions, &few_commands, &many_commands);
    println!("{table}");
    let mut table = Table::new("Redis: memory", &["sessions", "used_memory, bytes each"]);
    table.row([sessions.to_string(), format!("{memory:.0}")]);
    println!("{table}");
    Ok(())
}

async fn commands(redis: &Redis, store: &RedisStore) -> Result<Vec<Call>> {
    let sent = requests::count(
        store.clone(),
        ["read, sent", "write, sent"],
        async || -> Result<f64> { calls_of(redis, |command| SENT.contains(&command)) },
    );
    let sent = sent.await?;
    let names = [
        "read, with those of scripts",
        "write, with those of scripts",
    ];
    let all = requests::count(store.clone(), names, async || -> Result<f64> {
        calls_of(redis, |command| command != "info")
    });
    Ok(sent.into_iter().chain(all.await?).collect())
}

/// How often Redis has run the commands that `counts` names.
fn calls_of(redis: &Redis, counts: impl Fn(&str) -> bool) -> Result<f64> {
    let mut sum = 0.0;
    for line in redis.command(&["INFO", "commandstats"]).lines() {
        let parts = line
            .strip_prefix("cmdstat_")
            .and_then(|line| line.split_once(":calls="));
        if let Some((command, figures)) = parts
            && counts(command)
        {
            let calls = figures.split(',').next().unwrap_or_default();
            sum += calls.parse::<f64>()?;
        }
    }
    Ok(sum)
}

fn used_memory(redis: &Redis) -> Result<f64> {
    let info = redis.command(&["INFO", "memory"]);
    let mut lines = info.lines();
    let used = lines.find_map(|line| line.strip_prefix("used_memory:"));
    Ok(used
        .ok_or("Redis doesn't say what memory it uses")?
        .trim()
        .parse()?)
}
