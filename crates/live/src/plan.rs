//! Which streams share a connection: symbols are kept together, routes apart, the venue's limits obeyed.

use crate::config::LiveConfig;
use crate::protocol::{Route, protocol_of};
use crate::stream::{Stream, StreamKind};
use std::collections::BTreeMap;

/// What one thread records, over one connection (or `redundancy` connections with the same streams).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Name of its source in logs, counters and status: the configured name, from the second one on with `.2`.
    pub name: String,
    /// Route of all its streams.
    pub route: Route,
    /// Its streams, symbol by symbol.
    pub streams: Vec<Stream>,
}

impl Shard {
    /// Its symbols, each once.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        self.streams.chunk_by(|a, b| a.symbol == b.symbol).filter_map(|streams| Some(streams.first()?.symbol.as_str()))
    }
}

/// Cuts what is wanted into shards: for each route as few as the limit of streams on a connection allows, as even as
/// whole symbols can be, in the order of the configuration. The same configuration gives the same plan.
///
/// # Errors
/// [`PlanError`] when nothing is wanted, something twice, or something that the venue does not have.
pub fn plan(name: &str, config: &LiveConfig) -> Result<Vec<Shard>, PlanError> {
    check(config)?;
    let protocol = protocol_of(config);
    let mut routes: BTreeMap<Route, Vec<StreamKind>> = BTreeMap::new();
    for &kind in &config.channels {
        if let Some(remedy) = protocol.refuses(kind) {
            return Err(PlanError::Refused { market: config.market.name(), kind: kind.name(), remedy });
        }
        routes.entry(protocol.route(kind)).or_default().push(kind);
    }
    let mut shards = Vec::new();
    for (route, mut kinds) in routes {
        kinds.sort_unstable();
        let limit = config.limits.streams_per_connection;
        let symbols_max = limit / kinds.len();
        if symbols_max == 0 {
            return Err(PlanError::TooNarrow { limit, streams: kinds.len() });
        }
        for symbols in even(&config.symbols, symbols_max) {
            let streams =
                symbols.iter().flat_map(|symbol| kinds.iter().map(|&kind| Stream { kind, symbol: symbol.clone() }));
            shards.push(Shard { name: shard_name(name, shards.len()), route, streams: streams.collect() });
        }
    }
    Ok(shards)
}

/// What no venue is asked for.
fn check(config: &LiveConfig) -> Result<(), PlanError> {
    if config.symbols.is_empty() || config.channels.is_empty() {
        return Err(PlanError::Nothing);
    }
    let mut symbols: Vec<&str> = config.symbols.iter().map(String::as_str).collect();
    symbols.sort_unstable();
    let twice = symbols.array_windows().find(|[a, b]| a == b).map(|[a, _]| (*a).to_owned());
    let mut kinds = config.channels.clone();
    kinds.sort_unstable();
    let twice = twice.or_else(|| kinds.array_windows().find(|[a, b]| a == b).map(|[a, _]| a.name().to_owned()));
    twice.map_or(Ok(()), |what| Err(PlanError::Twice { what }))
}

/// Cuts into as few parts of at most `max` as there can be, whose lengths differ by one at most.
fn even<T>(all: &[T], max: usize) -> impl Iterator<Item = &[T]> {
    let parts = all.len().div_ceil(max).max(1);
    let (short, longer) = (all.len() / parts, all.len() % parts);
    let mut rest = all;
    (0..parts).map(move |at| {
        let (part, after) = rest.split_at(short + usize::from(at < longer));
        rest = after;
        part
    })
}

fn shard_name(name: &str, before: usize) -> String {
    if before == 0 { name.to_owned() } else { format!("{name}.{}", before + 1) }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// No symbol or no channel.
    #[error("nothing to record: name at least one symbol and one channel")]
    Nothing,
    /// The market has no such stream.
    #[error("{market} has no {kind} to record: {remedy}")]
    Refused {
        /// The market.
        market: &'static str,
        /// The kind of stream.
        kind: &'static str,
        /// What to do instead.
        remedy: &'static str,
    },
    /// A symbol or a channel stands twice.
    #[error("{what} is named twice: name each symbol and each channel once")]
    Twice {
        /// Which.
        what: String,
    },
    /// A connection cannot carry a single symbol.
    #[error(
        "streams_per_connection = {limit} is less than the {streams} streams of one symbol: allow {streams} or more"
    )]
    TooNarrow {
        /// What is allowed.
        limit: usize,
        /// What a symbol needs.
        streams: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Market;
    use crate::protocol::testing::{config, streams};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn wanted(market: Market, symbols: &[&str], channels: &[StreamKind], limit: usize) -> LiveConfig {
        let mut config = config(market);
        config.symbols = symbols.iter().map(|&symbol| symbol.to_owned()).collect();
        config.channels = channels.to_vec();
        config.limits.streams_per_connection = limit;
        config
    }

    #[test]
    fn symbols_stay_together_and_routes_apart() {
        let config = wanted(Market::BinanceUsdm, &["A", "B", "C", "D", "E"], &StreamKind::ALL, 4);
        let shard = |name: &str, route, kinds: &[StreamKind], symbols: &[&str]| Shard {
            name: name.to_owned(),
            route: Route(route),
            streams: streams(kinds, symbols),
        };
        let book = [StreamKind::Quotes, StreamKind::Depth];
        let shards = plan("usdm", &config).unwrap();
        assert_eq!(
            shards,
            [
                shard("usdm", 0, &book, &["A", "B"]),
                shard("usdm.2", 0, &book, &["C", "D"]),
                shard("usdm.3", 0, &book, &["E"]),
                shard("usdm.4", 1, &[StreamKind::Trades], &["A", "B", "C"]),
                shard("usdm.5", 1, &[StreamKind::Trades], &["D", "E"]),
            ]
        );
        assert_eq!(shards[3].symbols().collect::<Vec<_>>(), ["A", "B", "C"]);
    }

    #[test]
    fn what_cannot_be_recorded_is_refused_with_the_remedy() {
        let all = &StreamKind::ALL[..];
        let nothing = "nothing to record: name at least one symbol and one channel";
        let cases = [
            (wanted(Market::Kraken, &[], all, 9), nothing),
            (wanted(Market::Kraken, &["A/B"], &[], 9), nothing),
            (
                wanted(Market::BybitSpot, &["AB"], all, 9),
                "bybit_spot has no quotes to record: record depth, with depth_levels = 1 for the best bid and ask alone",
            ),
            (
                wanted(Market::Kraken, &["A/B", "C/D", "A/B"], all, 9),
                "A/B is named twice: name each symbol and each channel once",
            ),
            (
                wanted(Market::Kraken, &["A/B"], &[StreamKind::Depth, StreamKind::Depth], 9),
                "depth is named twice: name each symbol and each channel once",
            ),
            (
                wanted(Market::Kraken, &["A/B"], all, 2),
                "streams_per_connection = 2 is less than the 3 streams of one symbol: allow 3 or more",
            ),
        ];
        for (config, expected) in cases {
            assert_eq!(plan("x", &config).unwrap_err().to_string(), expected);
        }
    }

    proptest! {
        /// Every stream stands in exactly one shard, with its route, whose limit is kept; a symbol's streams of a route are
        /// never parted; names differ; shards of a route are even.
        #[test]
        fn every_stream_once(
            market in prop::sample::select(Market::ALL.to_vec()),
            symbols in prop::collection::btree_set("[A-Z]{3,6}", 1..200),
            kinds in prop::sample::subsequence(StreamKind::ALL.to_vec(), 1..=3),
            limit in 3_usize..400,
        ) {
            let kinds: Vec<StreamKind> = match market {
                Market::BybitSpot => vec![StreamKind::Depth],
                _ => kinds,
            };
            let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
            let config = wanted(market, &symbols, &kinds, limit);
            let shards = plan("x", &config).unwrap();
            prop_assert_eq!(&shards, &plan("x", &config).unwrap());
            let protocol = protocol_of(&config);
            let (mut seen, mut names, mut homes) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
            let mut sizes: BTreeMap<Route, Vec<usize>> = BTreeMap::new();
            for (index, shard) in shards.iter().enumerate() {
                prop_assert!(!shard.streams.is_empty() && shard.streams.len() <= limit);
                prop_assert!(names.insert(shard.name.clone()));
                sizes.entry(shard.route).or_default().push(shard.symbols().count());
                for stream in &shard.streams {
                    prop_assert!(seen.insert(stream.clone()), "{} twice", stream);
                    prop_assert_eq!(protocol.route(stream.kind), shard.route);
                    let home = homes.entry((shard.route, stream.symbol.clone())).or_insert(index);
                    prop_assert_eq!(*home, index, "{} is parted", stream.symbol);
                }
            }
            prop_assert_eq!(seen, streams(&kinds, &symbols).into_iter().collect::<BTreeSet<_>>());
            for sizes in sizes.values() {
                let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
                prop_assert!(most - least <= 1, "{:?}", sizes);
            }
        }
    }
}
