//! What a connection has subscribed to.

/// Channels of instruments, each with the number of the last batch of facts that the subscriber is not to get.
#[derive(Clone, Debug)]
pub(crate) struct Subs {
    channels: usize,
    since: Vec<Option<u64>>,
}

impl Subs {
    pub(crate) fn new(symbols: usize, channels: usize) -> Self {
        Self { channels, since: vec![None; symbols * channels] }
    }

    /// Subscribes; `serial` is the last batch that came before. `false`: it was subscribed already.
    pub(crate) fn add(&mut self, symbol: usize, channel: usize, serial: u64) -> bool {
        let place = &mut self.since[symbol * self.channels + channel];
        let new = place.is_none();
        place.get_or_insert(serial);
        new
    }

    /// Ends a subscription. `false`: there was none.
    pub(crate) fn remove(&mut self, symbol: usize, channel: usize) -> bool {
        self.since[symbol * self.channels + channel].take().is_some()
    }

    pub(crate) fn has(&self, symbol: usize, channel: usize) -> bool {
        self.since[symbol * self.channels + channel].is_some()
    }

    /// Whether a fact of batch `serial` is for this subscriber.
    pub(crate) fn wants(&self, symbol: usize, channel: usize, serial: u64) -> bool {
        self.since[symbol * self.channels + channel].is_some_and(|since| serial > since)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.since.iter().flatten().count()
    }

    /// Every subscription: instrument and channel.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        let places = self.since.iter().enumerate().filter(|(_, since)| since.is_some());
        places.map(|(place, _)| (place / self.channels, place % self.channels))
    }
}
