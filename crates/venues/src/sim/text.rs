//! Frames as text, with the keys and the order of keys that Binance spot sends.
//!
//! Hot path: no allocation (once the buffer has grown), lock, log or syscall. Shares no code with the decoders.

use super::book::{Book, LEVELS, Level, Side};
use super::profile::ONE_E8;

/// The constant parts of one symbol's frames, rendered once.
#[derive(Debug)]
pub(super) struct Texts {
    trade_head: Vec<u8>,
    trade_symbol: Vec<u8>,
    quote_head: Vec<u8>,
    quote_symbol: Vec<u8>,
    depth_head: Vec<u8>,
    depth_symbol: Vec<u8>,
    request: Vec<u8>,
}

/// What a trade frame says. Times in ms since 1970.
pub(super) struct TradeText {
    pub(super) event_ms: u64,
    pub(super) trade_ms: u64,
    pub(super) id: u64,
    pub(super) executed: Level,
    /// The side of the book that was hit.
    pub(super) side: Side,
}

impl Texts {
    pub(super) fn new(symbol: &str) -> Self {
        let lower = symbol.to_ascii_lowercase();
        Self {
            trade_head: format!(r#"{{"stream":"{lower}@trade","data":{{"e":"trade","E":"#).into_bytes(),
            trade_symbol: format!(r#","s":"{symbol}","t":"#).into_bytes(),
            quote_head: format!(r#"{{"stream":"{lower}@bookTicker","data":{{"u":"#).into_bytes(),
            quote_symbol: format!(r#","s":"{symbol}","b":""#).into_bytes(),
            depth_head: format!(r#"{{"stream":"{lower}@depth@100ms","data":{{"e":"depthUpdate","E":"#).into_bytes(),
            depth_symbol: format!(r#","s":"{symbol}","U":"#).into_bytes(),
            request: format!("GET https://sim.invalid/api/v3/depth?symbol={symbol}&limit={LEVELS}").into_bytes(),
        }
    }

    /// The request for the depth snapshot.
    pub(super) fn write_request(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.request);
    }

    /// One trade.
    pub(super) fn write_trade(&self, trade: &TradeText, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.trade_head);
        push_number(out, trade.event_ms);
        out.extend_from_slice(&self.trade_symbol);
        push_number(out, trade.id);
        out.extend_from_slice(br#","p":""#);
        push_e8(out, trade.executed.price_e8);
        out.extend_from_slice(br#"","q":""#);
        push_e8(out, trade.executed.size_e8);
        out.extend_from_slice(br#"","T":"#);
        push_number(out, trade.trade_ms);
        // `m`: the buyer is the maker, that is, a bid was hit.
        out.extend_from_slice(match trade.side {
            Side::Bid => br#","m":true,"M":true}}"#,
            Side::Ask => br#","m":false,"M":true}}"#,
        });
    }

    /// The best bid and ask.
    pub(super) fn write_quote(&self, book: &Book, out: &mut Vec<u8>) {
        let (bid, ask) = (book.best(Side::Bid), book.best(Side::Ask));
        out.extend_from_slice(&self.quote_head);
        push_number(out, book.update_id());
        out.extend_from_slice(&self.quote_symbol);
        push_e8(out, bid.price_e8);
        out.extend_from_slice(br#"","B":""#);
        push_e8(out, bid.size_e8);
        out.extend_from_slice(br#"","a":""#);
        push_e8(out, ask.price_e8);
        out.extend_from_slice(br#"","A":""#);
        push_e8(out, ask.size_e8);
        out.extend_from_slice(br#""}}"#);
    }

    /// The levels that changed since the last diff.
    pub(super) fn write_depth(&self, book: &mut Book, event_ms: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.depth_head);
        push_number(out, event_ms);
        out.extend_from_slice(&self.depth_symbol);
        push_number(out, book.diff_first_id());
        out.extend_from_slice(br#","u":"#);
        push_number(out, book.update_id());
        out.extend_from_slice(br#","b":"#);
        push_levels(out, book.changes(Side::Bid));
        out.extend_from_slice(br#","a":"#);
        push_levels(out, book.changes(Side::Ask));
        out.extend_from_slice(b"}}");
    }
}

/// The whole book, as the REST call answers it: without the symbol.
pub(super) fn write_snapshot(book: &Book, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"lastUpdateId":"#);
    push_number(out, book.update_id());
    out.extend_from_slice(br#","bids":"#);
    push_levels(out, book.levels(Side::Bid));
    out.extend_from_slice(br#","asks":"#);
    push_levels(out, book.levels(Side::Ask));
    out.push(b'}');
}

fn push_levels(out: &mut Vec<u8>, levels: impl Iterator<Item = Level>) {
    out.push(b'[');
    for (i, level) in levels.enumerate() {
        out.extend_from_slice(if i == 0 { br#"[""# } else { br#",[""# });
        push_e8(out, level.price_e8);
        out.extend_from_slice(br#"",""#);
        push_e8(out, level.size_e8);
        out.extend_from_slice(br#""]"#);
    }
    out.push(b']');
}

/// Appends `58942.01000000` for 5894201000000.
fn push_e8(out: &mut Vec<u8>, value: u64) {
    let mut buffer = [0u8; 21];
    let mut rest = value % ONE_E8;
    for pair in buffer[13..].rchunks_exact_mut(2) {
        pair.copy_from_slice(two_digits(rest % 100));
        rest /= 100;
    }
    buffer[12] = b'.';
    let start = write_digits(&mut buffer[..12], value / ONE_E8);
    out.extend_from_slice(&buffer[start..]);
}

/// Appends a whole number.
fn push_number(out: &mut Vec<u8>, value: u64) {
    let mut buffer = [0u8; 20];
    let start = write_digits(&mut buffer, value);
    out.extend_from_slice(&buffer[start..]);
}

/// Writes the digits of `value` at the end of `buffer` and returns where they start.
fn write_digits(buffer: &mut [u8], value: u64) -> usize {
    let mut at = buffer.len();
    let mut rest = value;
    while rest >= 10 {
        at -= 2;
        buffer[at..at + 2].copy_from_slice(two_digits(rest % 100));
        rest /= 100;
    }
    if rest > 0 || at == buffer.len() {
        at -= 1;
        buffer[at] = two_digits(rest)[1];
    }
    at
}

/// The two digits of a value below 100.
#[allow(clippy::cast_possible_truncation, reason = "the value is below 100")]
fn two_digits(value: u64) -> &'static [u8; 2] {
    &DIGITS[value as usize]
}

const DIGITS: [[u8; 2]; 100] = {
    let mut table = [[b'0'; 2]; 100];
    let mut i = 0;
    while i < 100 {
        #[allow(clippy::cast_possible_truncation, reason = "both are below ten")]
        let pair = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        table[i] = pair;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_like_the_standard_library() {
        let mut values = vec![0, 9, 10, 99, 100, 101, 12_345, u64::MAX];
        values.extend((0..20).map(|i| 10u64.pow(i)));
        for value in values {
            let mut out = Vec::new();
            push_number(&mut out, value);
            assert_eq!(out, value.to_string().into_bytes());
            out.clear();
            push_e8(&mut out, value);
            assert_eq!(out, format!("{}.{:08}", value / ONE_E8, value % ONE_E8).into_bytes());
        }
    }
}
