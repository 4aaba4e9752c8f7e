//! What the fuzz targets of `fuzz/` call. The committed corpus is replayed by the ordinary tests.

use crate::csv::line::{Line, parse};

/// Any bytes as a line of a file of trades: an answer, never a panic, and only trades that can be stored.
///
/// # Panics
/// When a trade comes out that has no price or size above 0, or that reads differently once it is written again.
pub fn csv_line(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(Line::Trade(trade)) = parse(line) else { continue };
        assert!(trade.price.is_positive() && trade.size.is_positive());
        let maker = trade.side == feedd_model::Side::Sell;
        let micros = trade.at.0 / 1_000;
        let (id, price, size) = (trade.id, trade.price, trade.size);
        let again = if trade.layout.is_aggregated() {
            format!("{id},{price},{size},1,2,{micros},{maker},true")
        } else {
            format!("{id},{price},{size},1,{micros},{maker}")
        };
        let Ok(Line::Trade(same)) = parse(again.as_bytes()) else { panic!("{again} is a trade") };
        assert_eq!((same.id, same.price, same.size, same.at, same.side), (id, price, size, trade.at, trade.side));
    }
}
