//! What the venues' requests have in common: cutting them to the limits, and text that stands in an address.

use super::Request;
use crate::config::Limits;
use crate::stream::Stream;

/// How a venue writes a request.
pub(super) struct Shape<'a> {
    /// Whether a stream may stand in the request of which the first stream is the other one.
    pub(super) may_join: fn(&Stream, &Stream) -> bool,
    /// What stands for one stream in the list.
    pub(super) item: &'a dyn Fn(&Stream) -> String,
    /// The request with this number, whose first stream is this one, around the list.
    pub(super) around: &'a dyn Fn(u64, &Stream, &str) -> String,
}

/// Any two streams.
pub(super) const fn any_two(_: &Stream, _: &Stream) -> bool {
    true
}

/// Streams of one kind.
pub(super) fn same_kind(first: &Stream, other: &Stream) -> bool {
    first.kind == other.kind
}

/// Streams of one symbol: where a venue refuses a request as a whole, a bad symbol then harms only itself.
pub(super) fn same_symbol(first: &Stream, other: &Stream) -> bool {
    first.symbol == other.symbol
}

/// Cuts streams into requests, in order, each as large as the limits allow. A stream that alone is above the limit of bytes
/// is sent alone all the same: the venue will say what it thinks of it.
pub(super) fn cut(streams: &[Stream], limits: &Limits, first_id: u64, shape: &Shape<'_>) -> Vec<Request> {
    let mut left: Vec<&Stream> = streams.iter().collect();
    let mut requests = Vec::new();
    let mut id = first_id;
    while let Some(&first) = left.first() {
        let overhead = (shape.around)(id, first, "").len();
        let (mut taken, mut list, mut is_full) = (Vec::new(), String::new(), false);
        left.retain(|&stream| {
            if is_full || !(shape.may_join)(first, stream) {
                return true;
            }
            let item = (shape.item)(stream);
            let bytes = overhead + list.len() + 1 + item.len();
            is_full = taken.len() >= limits.streams_per_request || bytes > limits.request_bytes;
            is_full &= !taken.is_empty();
            if !is_full {
                list.push_str(if taken.is_empty() { "" } else { "," });
                list.push_str(&item);
                taken.push(stream.clone());
            }
            is_full
        });
        requests.push(Request { id, text: (shape.around)(id, first, &list), streams: taken });
        id += 1;
    }
    requests
}

/// A symbol as it stands in an address.
pub(super) fn in_address(symbol: &str) -> String {
    let mut encoded = String::with_capacity(symbol.len());
    for byte in symbol.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// How many trades lie between two ids, both counted, at most `page`.
pub(super) fn page(first: u64, last: u64, page: u64) -> u64 {
    last.saturating_sub(first).saturating_add(1).min(page)
}

/// An address without the slash at its end.
pub(super) fn base(address: &str) -> &str {
    address.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Market;
    use crate::protocol::testing::streams;
    use crate::stream::StreamKind;
    use proptest::prelude::*;

    proptest! {
        /// Every stream stands in exactly one request, and none is above a limit unless it holds a single stream.
        #[test]
        fn requests_keep_their_limits(
            symbols in prop::collection::hash_set("[A-Z]{3,20}", 0..60),
            streams_per_request in 1_usize..20,
            request_bytes in 1_usize..600,
            rule in 0_usize..3,
        ) {
            let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
            let wanted = streams(&StreamKind::ALL, &symbols);
            let limits = Limits { streams_per_request, request_bytes, ..Market::Binance.defaults().limits };
            let may_join = [any_two, same_kind, same_symbol][rule];
            let item = |stream: &Stream| format!("\"{stream}\"");
            let around = |id: u64, first: &Stream, list: &str| format!("{id} {first} [{list}]");
            let requests = cut(&wanted, &limits, 7, &Shape { may_join, item: &item, around: &around });
            let mut seen: Vec<Stream> = requests.iter().flat_map(|request| request.streams.clone()).collect();
            for (request, id) in requests.iter().zip(7..) {
                prop_assert_eq!(request.id, id);
                prop_assert!(request.streams.len() <= streams_per_request);
                prop_assert!(request.text.len() <= request_bytes || request.streams.len() == 1);
                prop_assert!(request.streams.iter().all(|stream| may_join(&request.streams[0], stream)));
                let list: Vec<String> = request.streams.iter().map(item).collect();
                prop_assert_eq!(&request.text, &around(id, &request.streams[0], &list.join(",")));
            }
            let mut wanted = wanted;
            seen.sort();
            wanted.sort();
            prop_assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn symbols_in_addresses() {
        let cases =
            [("BTCUSDT", "BTCUSDT"), ("BTC/USD", "BTC%2FUSD"), ("币USDT", "%E5%B8%81USDT"), ("A B&C", "A%20B%26C")];
        for (symbol, expected) in cases {
            assert_eq!(in_address(symbol), expected);
        }
    }

    #[test]
    fn pages_of_trades() {
        assert_eq!(page(5, 5, 1_000), 1);
        assert_eq!(page(1, 5_000, 1_000), 1_000);
        assert_eq!(page(0, u64::MAX, 1_000), 1_000);
        assert_eq!(page(9, 3, 1_000), 1);
    }
}
