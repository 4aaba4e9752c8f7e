//! From `kind = "venue"` to the shards that record it: the configuration laid over the market's documented defaults.

use anyhow::{Context, Result, ensure};
use feedd_config::{Allowance, Channel, Config, Core, Lifetime, Source, SourceKind, Venue, VenueLimits, VenuePeriods};
use feedd_core::affinity::CoreChoice;
use feedd_live::config::{Budget, Limits, LiveConfig, Periods};
use feedd_live::plan::{Shard, plan};
use feedd_live::protocol::{Market, protocol_of};
use feedd_live::stream::StreamKind;
use feedd_venues::known_trades::SourceRules;
use std::collections::HashSet;
use std::time::Duration;

/// One thread of a live source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveShard {
    /// Place of its source in the configuration.
    pub source: usize,
    /// What is recorded; budgets that count for an address of this machine are its share of them.
    pub config: LiveConfig,
    /// Its streams; its name is the thread's.
    pub shard: Shard,
}

/// Every shard of every live source, in the order of the configuration.
///
/// # Errors
/// What cannot be recorded as configured, with the remedy.
pub fn shards(config: &Config) -> Result<Vec<LiveShard>> {
    let mut all = Vec::new();
    for (index, source) in config.sources.iter().enumerate() {
        let SourceKind::Venue(venue) = &source.kind else { continue };
        let of_source = shards_of(index, source, venue).with_context(|| format!("source {}", source.name))?;
        all.extend(of_source);
    }
    let mut names: HashSet<&str> = HashSet::new();
    let others = config.sources.iter().filter(|source| !matches!(source.kind, SourceKind::Venue(_)));
    for name in others.map(|source| source.name.as_str()).chain(all.iter().map(|shard| shard.shard.name.as_str())) {
        ensure!(names.insert(name), "two threads would be called {name}; give one of the sources another name");
    }
    share(&mut all);
    Ok(all)
}

/// The threads of a run and where each is to run: the batching thread is `first`, then every source in order, a live one
/// with a thread for each shard.
#[must_use]
pub fn threads(first: &str, config: &Config, shards: &[LiveShard]) -> Vec<(String, CoreChoice)> {
    let mut threads = vec![(first.to_owned(), choice(config.batching.core))];
    for (index, source) in config.sources.iter().enumerate() {
        match source.kind {
            SourceKind::Venue(_) => {
                let of_source = shards.iter().filter(|shard| shard.source == index);
                threads.extend(of_source.map(|shard| (shard.shard.name.clone(), choice(source.core))));
            }
            SourceKind::Sim(_) | SourceKind::Capture(_) => threads.push((source.name.clone(), choice(source.core))),
        }
    }
    threads
}

/// How each input of the batching thread numbers its trades, in the order of [`threads`]; `None` for those without live ones.
#[must_use]
pub fn trade_rules(config: &Config, shards: &[LiveShard]) -> SourceRules {
    let mut rules = Vec::new();
    for (index, source) in config.sources.iter().enumerate() {
        match source.kind {
            SourceKind::Venue(_) => rules.extend(shards.iter().filter(|shard| shard.source == index).map(|shard| {
                let has_trades = shard.shard.streams.iter().any(|stream| stream.kind == StreamKind::Trades);
                has_trades.then(|| protocol_of(&shard.config).rules().trades)
            })),
            SourceKind::Sim(_) | SourceKind::Capture(_) => rules.push(None),
        }
    }
    rules
}

/// How a core is chosen.
pub(crate) const fn choice(core: Core) -> CoreChoice {
    match core {
        Core::Auto => CoreChoice::Auto,
        Core::None => CoreChoice::Unpinned,
        Core::Pinned(core) => CoreChoice::Core(core),
    }
}

fn shards_of(index: usize, source: &Source, venue: &Venue) -> Result<Vec<LiveShard>> {
    let config = live_config(venue)?;
    let shards = plan(&source.name, &config)?;
    let is_pinned = matches!(source.core, Core::Pinned(_));
    ensure!(
        shards.len() == 1 || !is_pinned,
        "core = {} is one core, but its streams take {} threads; leave core out, or raise \
         limits.streams_per_connection",
        source.core,
        shards.len()
    );
    Ok(shards.into_iter().map(|shard| LiveShard { source: index, config: config.clone(), shard }).collect())
}

/// A venue as configured, its own limits and periods over the documented ones.
///
/// # Errors
/// When periods contradict each other.
pub fn live_config(venue: &Venue) -> Result<LiveConfig> {
    let name = venue.market.name;
    let market = Market::ALL.into_iter().find(|market| market.name() == name);
    let market = market.with_context(|| format!("this build cannot record {name}"))?;
    let defaults = market.defaults();
    let mut endpoints = defaults.endpoints;
    if !venue.urls.is_empty() {
        endpoints.ws.clone_from(&venue.urls);
    }
    if let Some(rest) = &venue.rest_url {
        endpoints.rest.clone_from(rest);
    }
    endpoints.ca_file.clone_from(&venue.ca_file);
    let channels = venue.channels.iter().map(|channel| match channel {
        Channel::Trades => StreamKind::Trades,
        Channel::Quotes => StreamKind::Quotes,
        Channel::Depth => StreamKind::Depth,
    });
    let config = LiveConfig {
        market,
        symbols: venue.symbols.clone(),
        channels: channels.collect(),
        redundancy: venue.redundancy,
        depth_levels: venue.depth_levels.unwrap_or(defaults.depth_levels),
        endpoints,
        limits: limits(&venue.limits, defaults.limits),
        periods: periods(&venue.periods, defaults.periods),
    };
    check_periods(&config.periods)?;
    Ok(config)
}

fn limits(given: &VenueLimits, usual: Limits) -> Limits {
    Limits {
        streams_per_connection: given.streams_per_connection.unwrap_or(usual.streams_per_connection),
        streams_per_request: given.streams_per_request.unwrap_or(usual.streams_per_request),
        request_bytes: given.request_bytes.unwrap_or(usual.request_bytes),
        messages: budget(given.messages, given.messages_burst, usual.messages),
        connects: budget(given.connects, given.connects_burst, usual.connects),
        rest_weight: budget(given.rest_weight, given.rest_weight_burst, usual.rest_weight),
    }
}

/// A burst that was not given is the usual one, as far as the count allows.
fn budget(given: Option<Allowance>, burst: Option<u32>, usual: Budget) -> Budget {
    let (count, period) = given.map_or((usual.count, usual.period), |given| (given.count, given.period));
    Budget { count, period, burst: burst.unwrap_or(usual.burst).min(count) }
}

fn periods(given: &VenuePeriods, usual: Periods) -> Periods {
    Periods {
        connect: given.connect.unwrap_or(usual.connect),
        acknowledge: given.acknowledge.unwrap_or(usual.acknowledge),
        first_data: given.first_data.unwrap_or(usual.first_data),
        first_trade: given.first_trade.unwrap_or(usual.first_trade),
        ping_after: given.ping_after.unwrap_or(usual.ping_after),
        silence: given.silence.unwrap_or(usual.silence),
        mute_min: given.mute_min.unwrap_or(usual.mute_min),
        mute_max: given.mute_max.unwrap_or(usual.mute_max),
        retry_min: given.retry_min.unwrap_or(usual.retry_min),
        retry_max: given.retry_max.unwrap_or(usual.retry_max),
        stable: given.stable.unwrap_or(usual.stable),
        lifetime: match given.lifetime {
            None => usual.lifetime,
            Some(Lifetime::Never) => None,
            Some(Lifetime::After(age)) => Some(age),
        },
    }
}

/// Finds periods that are each in range but contradict each other, given or usual.
fn check_periods(periods: &Periods) -> Result<()> {
    let rising = [
        ("ping_after", periods.ping_after, "silence", periods.silence),
        ("mute_min", periods.mute_min, "mute_max", periods.mute_max),
        ("retry_min", periods.retry_min, "retry_max", periods.retry_max),
    ];
    for (low_name, low, high_name, high) in rising {
        ensure!(low <= high, "periods.{low_name} = {low:?} must not be above periods.{high_name} = {high:?}");
    }
    if let Some(lifetime) = periods.lifetime {
        // A connection must come to speak before it is replaced.
        let shortest = periods.connect.saturating_add(periods.acknowledge);
        ensure!(
            lifetime > shortest.min(LIFETIME_SMALL),
            "periods.lifetime = {lifetime:?} ends before a connection can be subscribed; give it more than {:?}",
            shortest.min(LIFETIME_SMALL)
        );
    }
    Ok(())
}

/// Rehearsals replace connections often.
const LIFETIME_SMALL: Duration = Duration::from_secs(1);

/// Limits that a venue sets for an address of this machine are shared by all threads that ask the same hosts.
fn share(shards: &mut [LiveShard]) {
    let hosts: Vec<_> = shards.iter().map(|shard| shard.config.endpoints.clone()).collect();
    for shard in shards {
        let own = &shard.config.endpoints;
        let streams = hosts.iter().filter(|other| other.ws == own.ws).count();
        let rest = hosts.iter().filter(|other| other.rest == own.rest).count();
        let limits = &mut shard.config.limits;
        limits.connects = part(limits.connects, streams);
        limits.rest_weight = part(limits.rest_weight, rest);
    }
}

/// An even share, at least one.
fn part(budget: Budget, threads: usize) -> Budget {
    let threads = u32::try_from(threads.max(1)).unwrap_or(u32::MAX);
    let share = |whole: u32| (whole / threads).max(1);
    Budget { count: share(budget.count), burst: share(budget.burst), ..budget }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_config::{Machine, Overrides, VENUE_MARKETS, load};

    fn loaded(toml: &str) -> Config {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let machine = Machine { cores: &[0, 1, 2, 3], venues: &["binance"] };
        load(Some(file.path()), std::iter::empty(), &Overrides::default(), &machine).unwrap().config
    }

    fn venue(keys: &str) -> Config {
        loaded(&format!("[[source]]\nkind = \"venue\"\n{keys}"))
    }

    #[test]
    fn every_market_of_the_configuration_is_one_of_the_program() {
        let names: Vec<&str> = VENUE_MARKETS.iter().map(|row| row.name).collect();
        assert_eq!(names, Market::ALL.map(Market::name));
        for row in VENUE_MARKETS {
            let default = Venue { market: row, channels: row.channels.to_vec(), ..Venue::default() };
            let config = live_config(&default).unwrap();
            let protocol = feedd_live::protocol::protocol_of(&config);
            let refused: Vec<&str> = StreamKind::ALL
                .into_iter()
                .filter(|kind| protocol.refuses(*kind).is_some())
                .map(StreamKind::name)
                .collect();
            let missing: Vec<String> = [Channel::Trades, Channel::Quotes, Channel::Depth]
                .iter()
                .filter(|channel| !row.channels.contains(channel))
                .map(ToString::to_string)
                .collect();
            assert_eq!(refused, missing, "{}", row.name);
            let levels = config.depth_levels;
            let is_offered = if row.depth_levels.is_empty() { levels == 0 } else { row.depth_levels.contains(&levels) };
            assert!(is_offered, "{}: {levels} levels", row.name);
        }
    }

    /// The limits and periods of the example, behind their `#`, are those of Binance spot.
    #[test]
    fn the_example_shows_the_defaults_of_binance() {
        let example = include_str!("../../../config/feedd.example.toml");
        let (_, after) = example.split_once("# kind = \"venue\"\n").unwrap();
        let (section, _) = after.split_once("\n[tape]").unwrap();
        let is_key = |line: &&str| line.starts_with('[') || line.contains(" = ") && !line.contains(". ");
        let lines = section.lines().filter_map(|line| line.strip_prefix("# ")).filter(is_key);
        let keys: Vec<&str> = lines.filter(|line| !line.contains("ca_file")).collect();
        assert!(keys.len() > 30, "{keys:?}");
        let config = venue(&keys.join("\n"));
        let SourceKind::Venue(given) = &config.sources[0].kind else { panic!("a venue") };
        let (limits, periods) = (&given.limits, &given.periods);
        assert!(limits.rest_weight.is_some() && limits.connects_burst.is_some() && periods.lifetime.is_some());
        let live = live_config(given).unwrap();
        let usual = Market::Binance.defaults();
        assert_eq!((live.limits, live.periods, live.depth_levels), (usual.limits, usual.periods, usual.depth_levels));
        assert_eq!(live.endpoints.rest, usual.endpoints.rest);
    }

    #[test]
    fn overrides_lie_over_the_defaults() {
        let config = venue(
            "venue = \"kraken\"\nsymbols = \"BTC/USD\"\nurl = \"ws://127.0.0.1:9\"\nredundancy = 2\n[source.limits]\n\
             messages = \"3/2s\"\nrest_weight_burst = 9\n[source.periods]\nsilence = \"6s\"\nlifetime = \"1h\"\n",
        );
        let SourceKind::Venue(given) = &config.sources[0].kind else { panic!("a venue") };
        let (live, usual) = (live_config(given).unwrap(), Market::Kraken.defaults());
        assert_eq!(live.endpoints.ws, ["ws://127.0.0.1:9"]);
        assert_eq!((live.endpoints.rest.as_str(), live.redundancy), ("http://127.0.0.1:9", 2));
        assert_eq!(live.limits.messages, Budget { count: 3, period: Duration::from_secs(2), burst: 3 });
        assert_eq!(live.limits.rest_weight, usual.limits.rest_weight);
        let periods =
            Periods { silence: Duration::from_secs(6), lifetime: Some(Duration::from_secs(3_600)), ..usual.periods };
        assert_eq!(live.periods, periods);
    }

    #[test]
    fn threads_share_what_an_address_may_do() {
        let config = loaded(
            "[[source]]\nkind = \"venue\"\nvenue = \"binance\"\nmarket = \"usdm\"\nsymbols = [\"A\", \"B\", \"C\"]\n\
             [source.limits]\nstreams_per_connection = 4\n\
             [[source]]\nkind = \"sim\"\ncore = 2\n\
             [[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\n",
        );
        let all = shards(&config).unwrap();
        let names: Vec<&str> = all.iter().map(|shard| shard.shard.name.as_str()).collect();
        assert_eq!(names, ["binance_usdm", "binance_usdm.2", "binance_usdm.3", "kraken"]);
        let usual = Market::BinanceUsdm.defaults().limits;
        let limits = &all[0].config.limits;
        assert_eq!(
            (limits.connects.count, limits.connects.burst),
            (usual.connects.count / 3, usual.connects.burst / 3)
        );
        assert_eq!(limits.rest_weight.count, usual.rest_weight.count / 3);
        assert_eq!(limits.messages, usual.messages);
        assert_eq!(all[3].config.limits, Market::Kraken.defaults().limits);
        let threads = threads("batching", &config, &all);
        let auto = |name: &str| (name.to_owned(), CoreChoice::Auto);
        let expected = [
            auto("batching"),
            auto("binance_usdm"),
            auto("binance_usdm.2"),
            auto("binance_usdm.3"),
            ("sim".to_owned(), CoreChoice::Core(2)),
            auto("kraken"),
        ];
        assert_eq!(threads, expected);
    }

    #[test]
    fn what_cannot_be_is_told_with_its_source() {
        let kraken = "venue = \"kraken\"\nsymbols = [\"BTC/USD\", \"ETH/USD\"]\n";
        let cases = [
            (
                format!("{kraken}core = 1\n[source.limits]\nstreams_per_connection = 3"),
                "source kraken: core = 1 is one core, but its streams take 2 threads; leave core out, or raise \
                 limits.streams_per_connection",
            ),
            (
                format!("{kraken}[source.limits]\nstreams_per_connection = 2"),
                "source kraken: streams_per_connection = 2 is less than the 3 streams of one symbol: allow 3 or more",
            ),
            (
                format!("{kraken}[source.periods]\nsilence = \"1s\""),
                "source kraken: periods.ping_after = 5s must not be above periods.silence = 1s",
            ),
            (
                format!(
                    "{kraken}[source.limits]\nstreams_per_connection = 3\n[[source]]\nkind = \"sim\"\nname = \"kraken.2\""
                ),
                "two threads would be called kraken.2; give one of the sources another name",
            ),
        ];
        for (keys, expected) in cases {
            assert_eq!(format!("{:#}", shards(&venue(&keys)).unwrap_err()), expected);
        }
    }
}
