//! What was read out of frames, added up: two ways with the same sums are taken to have read the same.

use feedd_model::{BookAction, Decimal, Side, TradeId, UnixNanos};
use feedd_venues::message::{LevelNum, Message, Num};

/// Sums over messages. They may run over: equal inputs run over equally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) messages: u64,
    numbers: u64,
    mantissas: u64,
    scales: u64,
    ids: u64,
    times: u64,
    symbol_bytes: u64,
    sells: u64,
    snapshots: u64,
}

impl Tally {
    #[inline]
    pub(super) fn symbol(&mut self, symbol: &str) {
        self.messages += 1;
        self.symbol_bytes += symbol.len() as u64;
    }

    #[inline]
    pub(super) fn number(&mut self, value: Decimal) {
        self.numbers += 1;
        self.mantissas = self.mantissas.wrapping_add(value.mantissa().cast_unsigned());
        self.scales += u64::from(value.scale());
    }

    #[inline]
    pub(super) fn id(&mut self, id: u64) {
        self.ids = self.ids.wrapping_add(id);
    }

    #[inline]
    pub(super) fn time(&mut self, time: UnixNanos) {
        self.times = self.times.wrapping_add(time.0.cast_unsigned());
    }

    #[inline]
    pub(super) fn side(&mut self, side: Side) {
        self.sells += u64::from(side == Side::Sell);
    }

    #[inline]
    pub(super) fn action(&mut self, action: BookAction) {
        self.snapshots += u64::from(action == BookAction::Snapshot);
    }

    /// What another one has.
    pub(super) fn add(&mut self, other: &Self) {
        self.add_times(other, 1);
    }

    /// What another one has, so many times.
    pub(super) fn add_times(&mut self, other: &Self, times: u64) {
        let pairs = [
            (&mut self.messages, other.messages),
            (&mut self.numbers, other.numbers),
            (&mut self.mantissas, other.mantissas),
            (&mut self.scales, other.scales),
            (&mut self.ids, other.ids),
            (&mut self.times, other.times),
            (&mut self.symbol_bytes, other.symbol_bytes),
            (&mut self.sells, other.sells),
            (&mut self.snapshots, other.snapshots),
        ];
        for (sum, addend) in pairs {
            *sum = sum.wrapping_add(addend.wrapping_mul(times));
        }
    }

    /// All that a message says.
    pub(super) fn message(&mut self, message: &Message<'_>) {
        self.symbol(message.symbol());
        let number = |tally: &mut Self, num: Num| tally.number(num.value);
        let event_ts = match message {
            Message::Trade(trade) => {
                number(self, trade.price);
                number(self, trade.size);
                trade.side.into_iter().for_each(|side| self.side(side));
                if let TradeId::Number(id) = trade.id {
                    self.id(u64::try_from(id).unwrap_or(u64::MAX));
                }
                trade.event_ts
            }
            Message::Quote(quote) => {
                let nums = [quote.bid, quote.bid_size, quote.ask, quote.ask_size];
                nums.into_iter().flatten().for_each(|num| number(self, num));
                quote.seq.into_iter().for_each(|seq| self.id(seq.0.cast_unsigned()));
                quote.event_ts
            }
            Message::Book(book) => {
                self.action(book.action);
                let seqs = [book.seq_first, book.seq_last, book.seq_prev];
                seqs.into_iter().flatten().for_each(|seq| self.id(seq.0.cast_unsigned()));
                for LevelNum { price, size } in book.bids.iter().chain(book.asks) {
                    number(self, *price);
                    number(self, *size);
                }
                book.event_ts
            }
        };
        [message.exchange_ts(), event_ts].into_iter().flatten().for_each(|time| self.time(time));
    }
}
