//! Normalised messages, borrowed from the frame they stand in: what every venue's text becomes first.
//!
//! Each number is parsed once and keeps where it stands, so one parse serves the 64-byte event (the value) and the
//! exact-text listing (the digits as sent).

use feedd_model::{BookAction, Decimal, Side, TradeId, UnixNanos, VenueSeq};

/// A number and the place of its text in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Num {
    /// The exact value.
    pub value: Decimal,
    /// First byte of the text in the frame.
    pub start: u32,
    /// Bytes of the text.
    pub len: u32,
}

impl Num {
    /// The text as sent, out of the frame it was parsed from.
    #[must_use]
    pub fn text(self, frame: &str) -> &str {
        let start = self.start as usize;
        frame.get(start..start + self.len as usize).unwrap_or("")
    }
}

/// What the venue said, still in its own numbering.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// One execution.
    Trade(TradeMsg<'a>),
    /// Best bid and ask.
    Quote(QuoteMsg<'a>),
    /// Depth: the whole book or a change of it.
    Book(BookMsg<'a>),
}

/// One execution.
#[derive(Clone, Copy, Debug)]
pub struct TradeMsg<'a> {
    /// The venue's own text for the instrument.
    pub symbol: &'a str,
    /// When the venue matched it.
    pub exchange_ts: Option<UnixNanos>,
    /// When the venue sent it.
    pub event_ts: Option<UnixNanos>,
    /// Price.
    pub price: Num,
    /// Size in the venue's unit.
    pub size: Num,
    /// The taker's side.
    pub side: Option<Side>,
    /// The venue's id.
    pub id: TradeId,
    /// The venue's sequence number, where it is apart from the id.
    pub seq: Option<VenueSeq>,
    /// From before the subscription: sent again by the venue.
    pub replay: bool,
}

/// Best bid and ask. `None`: the venue sent none.
#[derive(Clone, Copy, Debug)]
pub struct QuoteMsg<'a> {
    /// The venue's own text for the instrument.
    pub symbol: &'a str,
    /// When it became true at the venue.
    pub exchange_ts: Option<UnixNanos>,
    /// When the venue sent it.
    pub event_ts: Option<UnixNanos>,
    /// Best bid.
    pub bid: Option<Num>,
    /// Size at the best bid.
    pub bid_size: Option<Num>,
    /// Best ask.
    pub ask: Option<Num>,
    /// Size at the best ask.
    pub ask_size: Option<Num>,
    /// The venue's sequence number.
    pub seq: Option<VenueSeq>,
    /// From before the subscription: sent again by the venue.
    pub replay: bool,
}

/// One price level. The size is the level's total; zero removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelNum {
    /// Price of the level.
    pub price: Num,
    /// Total size at the price.
    pub size: Num,
}

/// One depth message. The levels lie in buffers that the decoder reuses.
#[derive(Clone, Copy, Debug)]
pub struct BookMsg<'a> {
    /// The venue's own text for the instrument.
    pub symbol: &'a str,
    /// When it became true at the venue.
    pub exchange_ts: Option<UnixNanos>,
    /// When the venue sent it.
    pub event_ts: Option<UnixNanos>,
    /// Replace or change.
    pub action: BookAction,
    /// Bid levels in the order sent.
    pub bids: &'a [LevelNum],
    /// Ask levels in the order sent.
    pub asks: &'a [LevelNum],
    /// First venue sequence number covered.
    pub seq_first: Option<VenueSeq>,
    /// Last venue sequence number covered.
    pub seq_last: Option<VenueSeq>,
    /// Venue sequence number the message claims to follow.
    pub seq_prev: Option<VenueSeq>,
    /// The venue's checksum, its bits as sent.
    pub checksum: Option<u32>,
    /// From before the subscription: sent again by the venue.
    pub replay: bool,
}

impl<'a> Message<'a> {
    /// The venue's own text for the instrument.
    #[must_use]
    pub const fn symbol(&self) -> &'a str {
        match self {
            Self::Trade(trade) => trade.symbol,
            Self::Quote(quote) => quote.symbol,
            Self::Book(book) => book.symbol,
        }
    }

    /// When it happened at the venue.
    #[must_use]
    pub const fn exchange_ts(&self) -> Option<UnixNanos> {
        match self {
            Self::Trade(trade) => trade.exchange_ts,
            Self::Quote(quote) => quote.exchange_ts,
            Self::Book(book) => book.exchange_ts,
        }
    }
}

/// Receives the messages of a frame, in the order sent, once the whole frame has been read without a fault.
pub trait MessageSink {
    /// Takes one message. Its numbers stand in `frame`: the text that was decoded, or, where a venue sends only what has
    /// changed, a text that the decoder has put together.
    fn message(&mut self, frame: &str, message: &Message<'_>);
}

impl<F: FnMut(&str, &Message<'_>)> MessageSink for F {
    fn message(&mut self, frame: &str, message: &Message<'_>) {
        self(frame, message);
    }
}
