//! A stream: one kind of message of one symbol.

pub use feedd_venues::check::StreamKind;

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
