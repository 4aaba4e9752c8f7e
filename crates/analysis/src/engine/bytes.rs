//! Values as bytes and back, little-endian: for the state that outlives a restart.

use feedd_model::{Bar, Decimal, Derived, Event, Money, UnixNanos};

/// Most elements of a list: what a damaged length may not exceed.
const LIST_MAX: u32 = 1 << 24;

#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn time(&mut self, value: UnixNanos) {
        self.0.extend(value.0.to_le_bytes());
    }

    pub(crate) fn money(&mut self, value: Money) {
        self.0.extend(value.mantissa().to_le_bytes());
    }

    pub(crate) fn decimal(&mut self, value: Decimal) {
        self.0.extend(value.mantissa().to_le_bytes());
        self.u8(value.scale());
    }

    pub(crate) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// # Panics
    /// For more than four thousand million elements, which no list of ours has.
    pub(crate) fn len(&mut self, len: usize) {
        self.u32(u32::try_from(len).expect("a list of ours is bounded far below"));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.len(text.len());
        self.0.extend(text.as_bytes());
    }

    /// As its 64-byte events.
    pub(crate) fn bar(&mut self, bar: &Bar) {
        let slots = Derived::Bar(*bar).to_events();
        self.u8(u8::try_from(slots.events().len()).unwrap_or(u8::MAX));
        for event in slots.events() {
            self.0.extend(event.to_bytes());
        }
    }
}

/// Reads what [`Writer`] wrote; `None` when it is something else.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn time(&mut self) -> Option<UnixNanos> {
        self.take().map(i64::from_le_bytes).map(UnixNanos)
    }

    pub(crate) fn money(&mut self) -> Option<Money> {
        self.take().map(i128::from_le_bytes).map(Money::from_mantissa)
    }

    pub(crate) fn decimal(&mut self) -> Option<Decimal> {
        let mantissa = self.take().map(i64::from_le_bytes)?;
        Decimal::new(mantissa, self.u8()?)
    }

    #[allow(clippy::option_option, reason = "the outer one says whether it could be read")]
    pub(crate) fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.u8()? {
            0 => Some(None),
            _ => read(self).map(Some),
        }
    }

    pub(crate) fn len(&mut self) -> Option<u32> {
        self.u32().filter(|&len| len <= LIST_MAX)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let len = usize::try_from(self.len()?).ok()?;
        let (front, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        String::from_utf8(front.to_vec()).ok()
    }

    pub(crate) fn bar(&mut self) -> Option<Bar> {
        let events: Option<Vec<Event>> = (0..self.u8()?).map(|_| Event::from_bytes(&self.take()?)).collect();
        match Derived::from_events(&events?).ok()? {
            Derived::Bar(bar) => Some(bar),
            _ => None,
        }
    }
}
