//! The command line.

use clap::Parser;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use venue_sim::{Chaos, Config, Fault, Limits, Pace, Rate, Replay, SymbolSpec, Venue, parse_duration};

/// Plays an exchange: a WebSocket and REST server that speaks a venue's protocol, on loopback.
///
/// The market follows from --seed: books that move, trades, quotes, and depth messages with the venue's own sequence
/// fields. --faults and --chaos break it on request, and --log writes what was made and what was sent, by the simulator's
/// own account: what a recorder stored can be compared with it.
///
/// Standard output is one line of JSON when it is ready: {"venue","ws","rest","ca"}. Then it runs until SIGTERM, SIGINT
/// or --duration.
#[derive(Debug, Parser)]
#[command(name = "venue-sim", version, after_long_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Whose protocol to speak.
    #[arg(value_name = "VENUE", value_parser = venue)]
    pub(crate) venue: Venue,

    /// Address to listen on.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", help_heading = "Where")]
    listen: IpAddr,
    /// Says that an address other than loopback is meant. This server checks nobody.
    #[arg(long, help_heading = "Where")]
    listen_beyond_loopback: bool,
    /// Port; 0: any free one.
    #[arg(long, value_name = "PORT", default_value_t = 0, help_heading = "Where")]
    port: u16,
    /// Speak wss and https, with a certificate of an authority that is made at the start.
    #[arg(long, help_heading = "Where")]
    tls: bool,
    /// Where the authority's certificate is written; without it, a temporary file that the end removes.
    #[arg(long, value_name = "FILE", requires = "tls", help_heading = "Where")]
    ca_file: Option<PathBuf>,

    /// What is traded, separated by commas: NAME, or NAME:PRICE:SIZE_DECIMALS such as SOLUSDT:142.35:2. A price's decimals
    /// are the tick size. Bybit: linear/NAME for the linear market. Without it: two instruments of the venue.
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "The market")]
    symbols: Vec<String>,
    /// Same seed, same market.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "The market")]
    seed: u64,
    /// Steps a second, or `max`: as fast as the slowest connection takes it. A step is a taker order or a change of the book,
    /// about one frame for who subscribes to everything.
    #[arg(long, value_name = "N|max", default_value = "1000", value_parser = pace, help_heading = "The market")]
    rate: Pace,
    /// Price levels of a side.
    #[arg(long, value_name = "N", default_value_t = 200, help_heading = "The market")]
    levels: usize,
    /// Time between two messages of every depth feed, in place of the venue's; 0ms: at each change.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "The market")]
    depth_interval: Option<Duration>,
    /// Trades of an instrument that REST can still give.
    #[arg(long, value_name = "N", default_value_t = 100_000, help_heading = "The market")]
    history: usize,

    /// Replays a recording in place of a market: JSON Lines of {"recv_ns","conn","dir","frame"}, `.zst` or plain. Each
    /// connection gets its incoming frames from the beginning, after its first request.
    #[arg(long, value_name = "FILE", help_heading = "A recording")]
    capture: Option<PathBuf>,
    /// How many times as fast as recorded, such as 1 or 2.5, or `max`.
    #[arg(long, value_name = "X|max", default_value = "1", value_parser = speed, requires = "capture", help_heading = "A recording")]
    speed: Speed,
    /// Only the frames of this recorded connection.
    #[arg(long, value_name = "CONN", requires = "capture", help_heading = "A recording")]
    capture_conn: Option<String>,

    /// The venue's limits of messages, connections, streams and idle time; or `off`.
    #[arg(long, value_name = "venue|off", default_value = "venue", value_parser = ["venue", "off"], help_heading = "Rules")]
    limits: String,
    /// Messages that a connection may send, such as 5/1s, in place of the venue's limit.
    #[arg(long, value_name = "N/TIME", value_parser = rate, help_heading = "Rules")]
    messages: Option<Rate>,
    /// Attempts to connect, such as 300/5m, in place of the venue's limit; beyond it: 429.
    #[arg(long, value_name = "N/TIME", value_parser = rate, help_heading = "Rules")]
    connects: Option<Rate>,
    /// When an idle connection is closed, by the venue's rule of what is idle.
    #[arg(long, value_name = "TIME|off", value_parser = time_or_off, help_heading = "Rules")]
    idle: Option<TimeOrOff>,
    /// How often the server sends a WebSocket ping.
    #[arg(long, value_name = "TIME|off", value_parser = time_or_off, help_heading = "Rules")]
    ping_every: Option<TimeOrOff>,
    /// How long a ping may stay unanswered.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Rules")]
    pong_within: Option<Duration>,
    /// How long a connection may live. Binance: 24h unless named.
    #[arg(long, value_name = "TIME|off", value_parser = time_or_off, help_heading = "Rules")]
    lifetime: Option<TimeOrOff>,

    /// Faults by schedule: `5s close; 12s blackhole for=20s; 32s drop=3 conn=2`. README.md has the table.
    #[arg(long, value_name = "SCHEDULE", help_heading = "Faults")]
    faults: Option<String>,
    /// Faults by chance: so many a minute, such as 2 or 0.5. They follow from --seed.
    #[arg(long, value_name = "PER_MINUTE", value_parser = thousandths, help_heading = "Faults")]
    chaos: Option<u64>,
    /// Kinds to choose among, separated by commas.
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "chaos", help_heading = "Faults")]
    chaos_kinds: Vec<String>,

    /// Where the log is written.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    log: Option<PathBuf>,
    /// Ends after this time.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Output")]
    pub(crate) duration: Option<Duration>,
    /// No status line on standard error.
    #[arg(long, help_heading = "Output")]
    pub(crate) quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  venue-sim binance --log sim.jsonl
      A calm market on a free port; Ctrl-C ends it.
  venue-sim kraken --rate 5000 --faults '10s bad-checksum; 20s reset; 30s blackhole for=40s'
      A bad minute, the same each time.
  venue-sim okx --chaos 2 --seed 7 --duration 1h --log sim.jsonl
      A bad hour, the same each time for the same seed.
  venue-sim binance --rate max --limits off
      As fast as a client takes it, for measuring.
  venue-sim bybit --capture day.jsonl.zst --speed 10 --capture-conn ws-2
      A recorded connection, ten times as fast.

Exit codes:
  0  it ended as asked
  1  it ran, but its log is not whole or one of its threads panicked: do not judge by it
  2  it did not start: the arguments, the address, or a file";

/// A time, or none at all.
#[derive(Clone, Copy, Debug)]
struct TimeOrOff(Option<Duration>);

/// A speed in thousandths; `None`: as fast as it is taken.
#[derive(Clone, Copy, Debug)]
struct Speed(Option<u64>);

impl Cli {
    /// The configuration that is meant.
    ///
    /// # Errors
    /// One sentence about what is wrong.
    pub(crate) fn config(&self) -> Result<Config, String> {
        let mut config = Config::new(self.venue);
        if !self.symbols.is_empty() {
            config.symbols = self.symbols.iter().map(|text| symbol(self.venue, text)).collect::<Result<_, _>>()?;
        }
        (config.listen, config.port) = (self.listen, self.port);
        config.listen_beyond_loopback = self.listen_beyond_loopback;
        (config.tls, config.ca_file) = (self.tls, self.ca_file.clone());
        (config.seed, config.pace, config.levels) = (self.seed, self.rate, self.levels);
        config.history_trades = self.history;
        config.depth_interval_ms = self.depth_interval.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self.set_rules(&mut config);
        if let Some(schedule) = &self.faults {
            config.faults = Fault::parse_schedule(schedule).map_err(|error| error.to_string())?;
        }
        config.chaos = self.chaos.map(|per_minute_milli| Chaos {
            per_minute_milli,
            kinds: self.chaos_kinds.clone(),
            seed: self.seed,
        });
        config.replay = self.capture.clone().map(|file| Replay {
            file,
            speed_milli: self.speed.0,
            conn: self.capture_conn.clone(),
        });
        config.log_file = self.log.clone();
        Ok(config)
    }

    fn set_rules(&self, config: &mut Config) {
        if self.limits == "off" {
            config.limits = Limits::default();
        }
        if self.messages.is_some() {
            config.limits.messages = self.messages;
        }
        if self.connects.is_some() {
            config.limits.connects = self.connects;
        }
        for (given, place) in [
            (self.idle, &mut config.limits.idle),
            (self.ping_every, &mut config.ping_every),
            (self.lifetime, &mut config.lifetime),
        ] {
            if let Some(TimeOrOff(time)) = given {
                *place = time;
            }
        }
        if let Some(time) = self.pong_within {
            config.pong_within = time;
        }
    }
}

fn venue(text: &str) -> Result<Venue, String> {
    let names = || Venue::ALL.map(Venue::name).join(", ");
    Venue::by_name(text).ok_or_else(|| format!("the venues are {}", names()))
}

fn pace(text: &str) -> Result<Pace, String> {
    match text {
        "max" => Ok(Pace::Max),
        text => {
            let rate = text.parse().ok().filter(|&rate| rate > 0);
            rate.map(Pace::PerSecond).ok_or_else(|| "a whole number from 1 on, or max".to_owned())
        }
    }
}

fn rate(text: &str) -> Result<Rate, String> {
    let parts = text.split_once('/').and_then(|(count, time)| Some((count.parse().ok()?, parse_duration(time).ok()?)));
    let rate = parts.map(|(count, window)| Rate { count, window }).filter(|rate| !rate.window.is_zero());
    rate.ok_or_else(|| "a number and a time, such as 5/1s or 300/5m".to_owned())
}

fn time_or_off(text: &str) -> Result<TimeOrOff, String> {
    if text == "off" { Ok(TimeOrOff(None)) } else { parse_duration(text).map(|time| TimeOrOff(Some(time))) }
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" { Ok(Speed(None)) } else { thousandths(text).map(|milli| Speed(Some(milli))) }
}

/// A decimal with at most three places, above zero, in thousandths.
fn thousandths(text: &str) -> Result<u64, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction:0<3}");
    let value = if fraction.len() <= 3 { digits.parse().ok() } else { None };
    value
        .filter(|&value| value > 0)
        .ok_or_else(|| "a number above zero with at most 3 decimals, such as 2 or 0.5".to_owned())
}

/// `NAME`, or `NAME:PRICE:SIZE_DECIMALS`.
fn symbol(venue: Venue, text: &str) -> Result<SymbolSpec, String> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default().to_owned();
    let known = venue.symbols_default().into_iter().find(|spec| spec.name == name);
    let mut spec = known.unwrap_or(SymbolSpec { name, price: 1_000_000, price_decimals: 4, size_decimals: 3 });
    if let Some(price) = parts.next() {
        let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
        let number = format!("{whole}{fraction}").parse().map_err(|_| format!("symbol {text}: {price} is no price"))?;
        (spec.price, spec.price_decimals) = (number, u32::try_from(fraction.len()).unwrap_or(u32::MAX));
    }
    if let Some(decimals) = parts.next() {
        spec.size_decimals =
            decimals.parse().map_err(|_| format!("symbol {text}: {decimals} is no number of decimals"))?;
    }
    match parts.next() {
        Some(_) => Err(format!("symbol {text}: write NAME or NAME:PRICE:SIZE_DECIMALS")),
        None => Ok(spec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_become_the_configuration() {
        let args = "venue-sim okx --symbols SOL-USDT:142.35:2,BTC-USDT --rate max --messages 3/10s --idle off
            --lifetime 30s --chaos 0.5 --faults 5s_close --capture x.zst --speed 2.5";
        let args = args.split_whitespace().map(|word| word.replace("5s_close", "5s close"));
        let config = Cli::try_parse_from(args).unwrap().config().unwrap();
        let solana = SymbolSpec { name: "SOL-USDT".to_owned(), price: 14_235, price_decimals: 2, size_decimals: 2 };
        assert_eq!((&config.symbols[0], config.symbols[1].price), (&solana, 302_360));
        assert_eq!((config.pace, config.limits.idle), (Pace::Max, None));
        assert_eq!(config.limits.messages, Some(Rate { count: 3, window: Duration::from_secs(10) }));
        assert_eq!(config.lifetime, Some(Duration::from_secs(30)));
        assert_eq!(config.chaos.unwrap().per_minute_milli, 500);
        assert_eq!((config.faults.len(), config.replay.unwrap().speed_milli), (1, Some(2500)));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_do() {
        let cases = [
            ("venue-sim mtgox", "the venues are binance, binance_usdm"),
            ("venue-sim okx --rate 0", "from 1 on, or max"),
            ("venue-sim okx --connects 5", "such as 5/1s"),
            ("venue-sim okx --chaos 0", "above zero"),
            ("venue-sim okx --speed 2", "--capture"),
        ];
        for (line, words) in cases {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err().to_string();
            assert!(error.contains(words), "{line}: {error}");
        }
        for (line, words) in [
            ("venue-sim okx --symbols A:x", "x is no price"),
            ("venue-sim okx --symbols A:1.5:2:3", "NAME:PRICE:SIZE_DECIMALS"),
            ("venue-sim okx --faults close", "begin with the time"),
        ] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap().config().unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
