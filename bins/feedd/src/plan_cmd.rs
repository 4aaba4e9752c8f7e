//! `feedd plan`: which thread records what over which connection, and how long it takes to subscribe.

use crate::cli::PlanArgs;
use crate::commands::{self, Verdict, write_json, write_table};
use anyhow::Result;
use feedd_config::Config;
use feedd_core::affinity::{self, Placement, usable_cores};
use feedd_live::config::Budget;
use feedd_live::protocol::protocol_of;
use feedd_run::live::{LiveShard, shards, threads};
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// Prints the plan. Exit code 0, or 2 when the configuration gives none.
pub(crate) fn plan(args: &PlanArgs) -> ExitCode {
    commands::run(&args.config, |config, out| {
        let plan = Plan::of(config)?;
        if args.json {
            write_json(out, &plan.json())?
        } else {
            plan.write(out)?
        }
        Ok(Verdict::Good)
    })
}

/// What there is to say.
struct Plan<'a> {
    lines: Vec<Line<'a>>,
    placements: Vec<Placement>,
    cores: usize,
}

/// One shard.
struct Line<'a> {
    source: &'a str,
    shard: LiveShard,
    address: String,
    requests: usize,
    subscribe: Duration,
}

impl<'a> Plan<'a> {
    fn of(config: &'a Config) -> Result<Self> {
        let all = shards(config)?;
        let cores = usable_cores();
        let placements = affinity::plan(&threads("batching", config, &all), &cores);
        let lines = all.into_iter().map(|shard| Line::of(config, shard)).collect();
        Ok(Self { lines, placements, cores: cores.len() })
    }

    fn core_of(&self, thread: &str) -> Option<usize> {
        self.placements.iter().find(|placement| placement.thread == thread)?.core
    }

    fn write(&self, out: &mut dyn Write) -> Result<()> {
        if self.lines.is_empty() {
            writeln!(out, "no live source is configured: write one [[source]] with kind = \"venue\"")?;
        } else {
            let rows: Vec<[String; 9]> = self.lines.iter().map(|line| line.row(self)).collect();
            let heads =
                ["source", "thread", "core", "connections", "symbols", "streams", "requests", "subscribed", "address"];
            write_table(out, heads, &rows)?;
            writeln!(out)?;
            for line in &self.lines {
                writeln!(out, "{}: {}", line.shard.shard.name, line.list())?;
            }
            writeln!(out)?;
        }
        writeln!(out, "{}", self.summary())?;
        Ok(())
    }

    fn summary(&self) -> String {
        let pinned = self.placements.iter().filter(|placement| placement.core.is_some()).count();
        let (threads, cores) = (self.placements.len(), self.cores);
        let advice = if pinned < threads {
            let wanted = self.placements.len() + 1;
            format!("; with {wanted} cores or more each would have one of its own")
        } else {
            String::new()
        };
        format!(
            "{threads} threads (batching and one for each connection or other source), {pinned} pinned, {cores} cores{advice}"
        )
    }

    fn json(&self) -> Value {
        let threads: Vec<Value> =
            self.placements.iter().map(|placed| json!({"thread": placed.thread, "core": placed.core})).collect();
        let shards: Vec<Value> = self.lines.iter().map(|line| line.json(self)).collect();
        json!({"version": 1, "cores": self.cores, "threads": threads, "shards": shards})
    }
}

impl<'a> Line<'a> {
    fn of(config: &'a Config, shard: LiveShard) -> Self {
        let protocol = protocol_of(&shard.config);
        let endpoint = shard.config.endpoints.ws.first().map_or("", String::as_str);
        let requests = protocol.subscribe(&shard.shard.streams, 1).len();
        Self {
            source: config.sources.get(shard.source).map_or("", |source| source.name.as_str()),
            address: protocol.url(endpoint, shard.shard.route),
            requests,
            subscribe: duration_of(shard.config.limits.messages, requests),
            shard,
        }
    }

    fn row(&self, plan: &Plan<'_>) -> [String; 9] {
        let shard = &self.shard.shard;
        let limit = self.shard.config.limits.streams_per_connection;
        [
            self.source.to_owned(),
            shard.name.clone(),
            plan.core_of(&shard.name).map_or_else(|| "any".to_owned(), |core| core.to_string()),
            self.shard.config.redundancy.to_string(),
            shard.symbols().count().to_string(),
            format!("{} of {limit}", shard.streams.len()),
            self.requests.to_string(),
            format!("{:.1} s", self.subscribe.as_secs_f64()),
            self.address.clone(),
        ]
    }

    /// Its symbols by the kinds of streams, which are the same for all.
    fn list(&self) -> String {
        let symbols: Vec<&str> = self.shard.shard.symbols().collect();
        format!("{} of {}", self.kinds().join(", "), symbols.join(" "))
    }

    fn kinds(&self) -> Vec<&'static str> {
        let streams = &self.shard.shard.streams;
        let first = streams.iter().take_while(|stream| stream.symbol == streams[0].symbol);
        first.map(|stream| stream.kind.name()).collect()
    }

    fn json(&self, plan: &Plan<'_>) -> Value {
        let LiveShard { config, shard, .. } = &self.shard;
        let budget = |budget: Budget| {
            let period_ms = u64::try_from(budget.period.as_millis()).unwrap_or(u64::MAX);
            json!({"count": budget.count, "period_ms": period_ms, "burst": budget.burst})
        };
        let limits = &config.limits;
        let subscribe_ms = u64::try_from(self.subscribe.as_millis()).unwrap_or(u64::MAX);
        json!({
            "source": self.source,
            "thread": shard.name,
            "core": plan.core_of(&shard.name),
            "market": config.market.name(),
            "connections": config.redundancy,
            "address": self.address,
            "rest": config.endpoints.rest,
            "route": shard.route.0,
            "channels": self.kinds(),
            "symbols": shard.symbols().collect::<Vec<_>>(),
            "streams": shard.streams.len(),
            "streams_max": limits.streams_per_connection,
            "requests": self.requests,
            "subscribe_ms": subscribe_ms,
            "messages": budget(limits.messages),
            "connects": budget(limits.connects),
            "rest_weight": budget(limits.rest_weight),
        })
    }
}

/// How long so many messages take by their budget, whose burst goes at once.
fn duration_of(budget: Budget, messages: usize) -> Duration {
    let after_burst = u32::try_from(messages).unwrap_or(u32::MAX).saturating_sub(budget.burst);
    (budget.period / budget.count.max(1)).saturating_mul(after_burst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_take_their_time() {
        let budget = Budget { count: 5, period: Duration::from_secs(1), burst: 2 };
        let cases = [(0, 0), (1, 0), (2, 0), (3, 200), (12, 2_000)];
        for (messages, expected_ms) in cases {
            assert_eq!(duration_of(budget, messages), Duration::from_millis(expected_ms), "{messages}");
        }
    }
}
