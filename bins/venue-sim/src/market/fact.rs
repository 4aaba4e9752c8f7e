//! What happens in the market. Facts are made once and never change; connections turn them into frames.

/// Who took, or which side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The buyer; bids.
    Buy,
    /// The seller; asks.
    Sell,
}

impl Side {
    /// In small letters, as the log has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }

    /// The other one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// A price level: both numbers in units of the instrument's decimals. A size of 0 removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) price: i64,
    pub(crate) size: i64,
}

/// One execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trade {
    /// Dense per instrument.
    pub(crate) id: u64,
    /// Dense per instrument: the same for executions of one taker order at one price.
    pub(crate) aggregate: u64,
    pub(crate) price: i64,
    pub(crate) size: i64,
    pub(crate) taker: Side,
    /// The venue's clock.
    pub(crate) venue_ns: i64,
    /// The instrument's sequence at that moment.
    pub(crate) seq: u64,
}

/// Executions that a venue sends together: of one taker order, or all since the last time where the venue collects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trades {
    pub(crate) symbol: usize,
    pub(crate) trades: Vec<Trade>,
}

/// Best bid and ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) symbol: usize,
    pub(crate) update_id: u64,
    pub(crate) bid: Level,
    pub(crate) ask: Level,
    pub(crate) venue_ns: i64,
}

/// A depth message of one feed of one instrument, with every sequence that some venue has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Depth {
    pub(crate) symbol: usize,
    /// Index into the venue's feeds.
    pub(crate) feed: usize,
    /// Whether this is the whole book, or the feed's window of it.
    pub(crate) whole: bool,
    /// First and last update id it holds.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Last update id of the message before; `None`: there is none.
    pub(crate) prev: Option<u64>,
    /// Dense number of the message in its feed.
    pub(crate) message: u64,
    /// The instrument's sequence at that moment.
    pub(crate) seq: u64,
    /// Best first.
    pub(crate) bids: Vec<Level>,
    /// Best first.
    pub(crate) asks: Vec<Level>,
    /// CRC-32 of the ten best of each side after this message, by Kraken's rule.
    pub(crate) checksum: u32,
    pub(crate) venue_ns: i64,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Trades(Trades),
    Quote(Quote),
    Depth(Depth),
}

impl Fact {
    /// The instrument.
    pub(crate) fn symbol(&self) -> usize {
        match self {
            Self::Trades(trades) => trades.symbol,
            Self::Quote(quote) => quote.symbol,
            Self::Depth(depth) => depth.symbol,
        }
    }

    /// Bytes that it takes in a queue, about.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Trades(trades) => trades.trades.len() * size_of::<Trade>(),
                Self::Quote(_) => 0,
                Self::Depth(depth) => (depth.bids.len() + depth.asks.len()) * size_of::<Level>(),
            }
    }
}
