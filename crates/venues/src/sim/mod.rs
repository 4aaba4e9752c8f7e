//! A deterministic simulated market that speaks Binance's JSON: input for trials, tests and benchmarks.
//!
//! It emits text, so that the real decoder is always exercised, and shares no code with it. Which frames come, and
//! every price, size and id in them, depends on seed and configuration alone; only the times come from the caller's
//! clock. Per symbol: trade ids are dense, each diff starts one id after the last, bids stay below asks, and every
//! change of the best levels is told by a quote before the next diff tells it.
//!
//! Hot path: no allocation, lock, log or syscall once the caller's buffer has grown.
//!
//! ```
//! use feedd_model::UnixNanos;
//! use feedd_venues::sim::{SimConfig, SimKind, SimMarket};
//! let mut market = SimMarket::new(&SimConfig::default())?;
//! let mut text = String::new();
//! let frame = market.next_frame(UnixNanos(0), &mut text);
//! assert_eq!(frame.kind, SimKind::Request);
//! assert_eq!(text, "GET https://sim.invalid/api/v3/depth?symbol=BTCUSDT&limit=100");
//! # Ok::<(), feedd_venues::sim::SimConfigError>(())
//! ```

mod book;
mod profile;
mod schedule;
#[cfg(test)]
mod tests;
mod text;

use book::Book;
use fastrand::Rng;
use feedd_model::UnixNanos;
use profile::Profile;
use schedule::{Schedule, Step};
use text::{Texts, TradeText};

/// What to simulate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimConfig {
    /// Symbols in Binance's spelling (`BTCUSDT`): 3 to 20 capital letters and digits, none twice. The ten defaults
    /// have their own price levels. The earlier a symbol stands, the busier it is.
    pub symbols: Vec<String>,
    /// Same seed, same frames.
    pub seed: u64,
    /// Whether trades are sent.
    pub trades: bool,
    /// Whether best bids and asks are sent.
    pub quotes: bool,
    /// Whether depth is sent: first a snapshot of each symbol, then diffs.
    pub depth: bool,
    /// Frames between two bursts; 0: no bursts.
    pub burst_every_frames: u64,
    /// Trades of one burst, all of one symbol and with one trade time; 0: no bursts.
    pub burst_trades: u32,
}

impl Default for SimConfig {
    /// The ten default symbols with everything on; a burst of 200 trades after every 20,000 frames.
    fn default() -> Self {
        Self {
            symbols: SYMBOLS_DEFAULT.map(String::from).to_vec(),
            seed: 1,
            trades: true,
            quotes: true,
            depth: true,
            burst_every_frames: 20_000,
            burst_trades: 200,
        }
    }
}

/// The ten symbols of the default configuration.
pub const SYMBOLS_DEFAULT: [&str; 10] =
    ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "TRXUSDT", "ADAUSDT", "DOGEUSDT", "AVAXUSDT", "DOTUSDT"];

/// Why a configuration cannot be simulated. Nothing but another configuration helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimConfigError {
    /// The list of symbols is empty.
    #[error("no symbol to simulate")]
    NoSymbol,
    /// A symbol is not 3 to 20 capital letters and digits.
    #[error("symbol {symbol:?} is not 3 to 20 capital letters and digits")]
    BadSymbol {
        /// The symbol.
        symbol: String,
    },
    /// A symbol is listed twice.
    #[error("symbol {symbol} is listed twice")]
    SymbolTwice {
        /// The symbol.
        symbol: String,
    },
    /// Trades, quotes and depth are all off.
    #[error("trades, quotes and depth are all off: nothing to simulate")]
    NothingToSend,
}

/// Where a frame belongs; its text is in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimFrame {
    /// The connection, as recordings name them: `rest` or `ws-1`.
    pub conn: &'static str,
    /// Sent or received.
    pub kind: SimKind,
}

/// Direction of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimKind {
    /// What a recorder would have sent.
    Request,
    /// What the venue sends.
    Frame,
}

/// The simulated market.
#[derive(Debug)]
pub struct SimMarket {
    rng: Rng,
    schedule: Schedule,
    markets: Vec<Market>,
    /// Of symbols that were listed before: their ids and books go on when they come back.
    away: Vec<Market>,
    has_quotes: bool,
    has_depth: bool,
    /// Trade time of the running sweep, in ms since 1970.
    sweep_ms: u64,
}

#[derive(Debug)]
struct Market {
    symbol: String,
    book: Book,
    texts: Texts,
    trade_id: u64,
}

impl SimMarket {
    /// A market at its beginning.
    ///
    /// # Errors
    /// [`SimConfigError`] when there is nothing to simulate or a symbol is not one.
    pub fn new(config: &SimConfig) -> Result<Self, SimConfigError> {
        check(config)?;
        let mut rng = Rng::with_seed(config.seed);
        let markets = config.symbols.iter().map(|symbol| Market::new(symbol, config.depth, &mut rng)).collect();
        let (schedule, away) = (Schedule::new(config), Vec::new());
        Ok(Self { rng, schedule, markets, away, has_quotes: config.quotes, has_depth: config.depth, sweep_ms: 0 })
    }

    /// Other symbols from the next frame on; those that are not listed any more, in their old order. The markets of symbols
    /// that stay are not touched; a new one begins with its snapshot, and so does one that comes back.
    ///
    /// # Errors
    /// [`SimConfigError`] as [`SimMarket::new`]; then nothing changes.
    pub fn set_symbols(&mut self, symbols: &[String]) -> Result<Vec<String>, SimConfigError> {
        check_symbols(symbols)?;
        let before: Vec<String> = self.markets.iter().map(|market| market.symbol.clone()).collect();
        let mut old: Vec<Market> = self.markets.drain(..).collect();
        let mut new = Vec::new();
        for (place, symbol) in symbols.iter().enumerate() {
            let known = |markets: &[Market]| markets.iter().position(|market| market.symbol == *symbol);
            let market = if let Some(at) = known(&old) {
                old.swap_remove(at)
            } else {
                new.push(place);
                let mut away = known(&self.away).map(|at| self.away.swap_remove(at));
                // Its snapshot will tell of all that has changed.
                away.iter_mut().for_each(|market| market.book.mark_reported());
                away.unwrap_or_else(|| Market::new(symbol, self.has_depth, &mut self.rng))
            };
            self.markets.push(market);
        }
        self.away.append(&mut old);
        let place_of = |at: usize| symbols.iter().position(|symbol| *symbol == before[at]);
        self.schedule.set_markets(symbols.len(), place_of, &new);
        Ok(before.into_iter().filter(|symbol| !symbols.contains(symbol)).collect())
    }

    /// Writes the next frame into `out` (what it held is gone) and says where it belongs. Never ends.
    ///
    /// `now` is the venue's clock; the trades of one sweep keep the time of its first.
    pub fn next_frame(&mut self, now: UnixNanos, out: &mut String) -> SimFrame {
        let mut bytes = std::mem::take(out).into_bytes();
        bytes.clear();
        let now_ms = u64::try_from(now.0 / 1_000_000).unwrap_or(0);
        let frame = self.write_frame(now_ms, &mut bytes);
        *out = String::from_utf8(bytes).expect("frames are written in ASCII");
        frame
    }

    fn write_frame(&mut self, now_ms: u64, out: &mut Vec<u8>) -> SimFrame {
        let step = self.schedule.next(&mut self.rng);
        match step {
            Step::Request { market } => self.markets[market].texts.write_request(out),
            Step::Snapshot { market } => text::write_snapshot(&self.markets[market].book, out),
            Step::Trade { market, side, starts_sweep } => {
                if starts_sweep {
                    self.sweep_ms = now_ms;
                }
                let market = &mut self.markets[market];
                let executed = market.book.trade(side, &mut self.rng);
                // The clock may have stepped back within the sweep: an event never comes before its trade.
                let event_ms = now_ms.max(self.sweep_ms);
                let trade = TradeText { event_ms, trade_ms: self.sweep_ms, id: market.trade_id, executed, side };
                market.texts.write_trade(&trade, out);
                market.trade_id += 1;
            }
            Step::Quote { market, is_owed } => {
                let market = &mut self.markets[market];
                if !is_owed {
                    market.book.requote(&mut self.rng);
                }
                market.book.mark_quoted(&mut self.rng);
                market.texts.write_quote(&market.book, out);
            }
            Step::Depth { market } => {
                let market = &mut self.markets[market];
                if !self.has_quotes {
                    market.book.requote(&mut self.rng);
                }
                market.book.churn(&mut self.rng);
                market.texts.write_depth(&mut market.book, now_ms, out);
                market.book.mark_reported();
            }
        }
        match step {
            Step::Request { .. } => SimFrame { conn: CONN_REST, kind: SimKind::Request },
            Step::Snapshot { .. } => SimFrame { conn: CONN_REST, kind: SimKind::Frame },
            Step::Trade { .. } | Step::Quote { .. } | Step::Depth { .. } => {
                SimFrame { conn: CONN_STREAM, kind: SimKind::Frame }
            }
        }
    }
}

impl Market {
    fn new(symbol: &str, tracks_changes: bool, rng: &mut Rng) -> Self {
        // Ids of the size that Binance has reached, apart from symbol to symbol.
        let update_id = rng.u64(10_000_000_000..100_000_000_000);
        let trade_id = rng.u64(1_000_000_000..5_000_000_000);
        let book = Book::new(Profile::of(symbol), tracks_changes, update_id, rng);
        Self { symbol: symbol.to_owned(), book, texts: Texts::new(symbol), trade_id }
    }
}

fn check(config: &SimConfig) -> Result<(), SimConfigError> {
    check_symbols(&config.symbols)?;
    if !(config.trades || config.quotes || config.depth) {
        return Err(SimConfigError::NothingToSend);
    }
    Ok(())
}

fn check_symbols(symbols: &[String]) -> Result<(), SimConfigError> {
    if symbols.is_empty() {
        return Err(SimConfigError::NoSymbol);
    }
    for (i, symbol) in symbols.iter().enumerate() {
        let is_spelt = symbol.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if !is_spelt || !(3..=20).contains(&symbol.len()) {
            return Err(SimConfigError::BadSymbol { symbol: symbol.clone() });
        }
        if symbols[..i].contains(symbol) {
            return Err(SimConfigError::SymbolTwice { symbol: symbol.clone() });
        }
    }
    Ok(())
}

const CONN_REST: &str = "rest";
const CONN_STREAM: &str = "ws-1";
