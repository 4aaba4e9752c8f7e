//! Identities: who (source), what (instrument), where in the record (stream, epoch, seq).

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A venue's instrument in the persistent dictionary of one data folder: from 1, never reused.
    ///
    /// 0 stands for "no instrument": status and gap events of a whole connection.
    InstrumentId(u32)
);
id!(
    /// A source (one producer thread, one ring) of the running process, in the order of the configuration.
    SourceId(u16)
);
id!(
    /// One recorded stream of a data folder, persistent.
    StreamId(u32)
);
id!(
    /// Start counter of a stream, made durable before the first event of that start; from 1.
    Epoch(u32)
);
id!(
    /// Place of an event within its (stream, epoch): dense from 1, given by the batching thread. 0 means "none yet".
    Seq(u64)
);
id!(
    /// A sequence number as the venue numbers it; venues also send -1 with a meaning, so it is signed.
    VenueSeq(i64)
);

/// A place in a recorded stream, across its starts; ordered by epoch, then sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Which start.
    pub epoch: Epoch,
    /// Where in it; 0 for its beginning.
    pub seq: Seq,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} seq {}", self.epoch, self.seq)
    }
}

impl InstrumentId {
    /// The event concerns a whole connection, not one instrument.
    pub const NONE: Self = Self(0);
}

impl Seq {
    /// The sequence after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
