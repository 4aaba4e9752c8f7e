//! A stream: one kind of message of one symbol.

/// Kinds of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamKind {
    /// Executions.
    Trades,
    /// Best bid and ask.
    Quotes,
    /// Depth: a snapshot and changes.
    Depth,
}

impl StreamKind {
    /// Every kind, in the order of [`StreamKind::index`].
    pub const ALL: [Self; 3] = [Self::Trades, Self::Quotes, Self::Depth];

    /// Place in an array by kind.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word of the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trades => "trades",
            Self::Quotes => "quotes",
            Self::Depth => "depth",
        }
    }
}

/// One kind of message of one symbol.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stream {
    /// What.
    pub kind: StreamKind,
    /// Of which instrument, as the venue writes it in its messages.
    pub symbol: String,
}

impl std::fmt::Display for Stream {
    /// `depth BTCUSDT`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.symbol)
    }
}
