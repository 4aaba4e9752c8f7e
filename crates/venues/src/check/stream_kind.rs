//! The kinds of streams that a venue is subscribed to.

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

    /// What [`StreamKind::name`] gave.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
