//! One line of Binance's public files of trades, <https://github.com/binance/binance-public-data> (read 2026-11-22).
//!
//! Four layouts, told apart by their columns alone; times are milliseconds, or microseconds as in spot files since 2025.
//! Pure; nothing is allocated. Prices and sizes are taken as they are written, exactly, or the line is refused.

use feedd_model::{Decimal, Side, UnixNanos};

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A trade.
    Trade(CsvTrade),
    /// The names of the columns: at the beginning, or where files were put together.
    Header,
    /// Nothing.
    Empty,
}

/// One trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CsvTrade {
    pub(crate) layout: Layout,
    /// The trade's id, or the aggregated trade's.
    pub(crate) id: u64,
    pub(crate) price: Decimal,
    pub(crate) size: Decimal,
    pub(crate) at: UnixNanos,
    pub(crate) side: Side,
}

/// Which columns a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// id, price, qty, quoteQty, time, isBuyerMaker, isBestMatch.
    SpotTrades,
    /// id, price, qty, `quote_qty` or `base_qty`, time, `is_buyer_maker`.
    FuturesTrades,
    /// id, price, qty, first id, last id, time, isBuyerMaker, isBestMatch.
    SpotAggregates,
    /// id, price, qty, first id, last id, time, `is_buyer_maker`.
    FuturesAggregates,
}

impl Layout {
    /// Whether a line stands for an order's fills at one price, with an id of another sequence.
    pub(crate) const fn is_aggregated(self) -> bool {
        matches!(self, Self::SpotAggregates | Self::FuturesAggregates)
    }

    const fn time_column(self) -> usize {
        if self.is_aggregated() { 5 } else { 4 }
    }
}

/// Why a line is no trade, by what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineFault {
    Columns,
    Layout,
    Id,
    Price,
    Size,
    Time,
    Side,
    TooLong,
}

impl LineFault {
    /// Every fault, in the order of their numbers.
    pub(crate) const ALL: [Self; 8] =
        [Self::Columns, Self::Layout, Self::Id, Self::Price, Self::Size, Self::Time, Self::Side, Self::TooLong];

    /// The name, as reports show it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::Layout => "layout",
            Self::Id => "trade_id",
            Self::Price => "price",
            Self::Size => "size",
            Self::Time => "time",
            Self::Side => "side",
            Self::TooLong => "too_long",
        }
    }

    /// What is wrong, and what is expected.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Columns => {
                "6 to 8 columns with commas between them are expected, as Binance's trades and aggTrades have"
            }
            Self::Layout => "its columns are not those of the file's first trade",
            Self::Id => "the first column is no trade id, a whole number",
            Self::Price => "the price is no number above 0 with at most 19 digits",
            Self::Size => "the quantity is no number above 0 with at most 19 digits",
            Self::Time => "the time is neither in milliseconds nor in microseconds since 1970",
            Self::Side => "whether the buyer was the maker is neither true nor false",
            Self::TooLong => "longer than any line of trades; is this a file of trades?",
        }
    }
}

/// Names of every fault of a line, as a source counts them.
pub const FAULT_NAMES: [&str; LineFault::ALL.len()] = {
    let mut names = [""; LineFault::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = LineFault::ALL[at].name();
        at += 1;
    }
    names
};

/// Reads a line without its end (a carriage return there is passed over).
///
/// # Errors
/// [`LineFault`], the first from left to right.
pub(crate) fn parse(line: &[u8]) -> Result<Line, LineFault> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Ok(Line::Empty);
    }
    let mut fields = [&[][..]; COLUMNS_MAX];
    let mut count = 0;
    for field in line.split(|byte| *byte == b',') {
        *fields.get_mut(count).ok_or(LineFault::Columns)? = field;
        count += 1;
    }
    let fields = &fields[..count];
    if count >= COLUMNS_MIN && fields.iter().all(|field| is_column_name(field)) {
        return Ok(Line::Header);
    }
    let layout = layout(fields)?;
    let at = layout.time_column();
    Ok(Line::Trade(CsvTrade {
        layout,
        id: whole(fields[0]).ok_or(LineFault::Id)?,
        price: amount(fields[1]).ok_or(LineFault::Price)?,
        size: amount(fields[2]).ok_or(LineFault::Size)?,
        at: whole(fields[at]).and_then(time).ok_or(LineFault::Time)?,
        // Whoever did not make the trade took it.
        side: if truth(fields[at + 1]).ok_or(LineFault::Side)? { Side::Sell } else { Side::Buy },
    }))
}

const COLUMNS_MIN: usize = 6;
const COLUMNS_MAX: usize = 8;

/// Seven columns are a spot trade or an aggregated trade of futures: what the sixth is tells which.
fn layout(fields: &[&[u8]]) -> Result<Layout, LineFault> {
    match fields {
        [_, _, _, _, _, _] => Ok(Layout::FuturesTrades),
        [_, _, _, _, _, sixth, _] if sixth.first().is_some_and(u8::is_ascii_digit) => Ok(Layout::FuturesAggregates),
        [_, _, _, _, _, _, _] => Ok(Layout::SpotTrades),
        [_, _, _, _, _, _, _, _] => Ok(Layout::SpotAggregates),
        _ => Err(LineFault::Columns),
    }
}

fn is_column_name(field: &[u8]) -> bool {
    !field.is_empty() && truth(field).is_none() && field.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
}

fn whole(field: &[u8]) -> Option<u64> {
    let digit = |value: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    };
    if field.is_empty() { None } else { field.iter().try_fold(0, digit) }
}

fn amount(field: &[u8]) -> Option<Decimal> {
    // What the stores have no room for, they would refuse later.
    Decimal::parse(field).ok().filter(|value| value.is_positive() && value.mantissa_at(STORED_SCALE).is_some())
}

/// Decimals of every price and size that is stored.
const STORED_SCALE: u8 = 18;

/// Milliseconds from 1973 to 5138, or microseconds from 1973 to 2262: the two do not meet.
fn time(value: u64) -> Option<UnixNanos> {
    let value = i64::try_from(value).ok()?;
    match value {
        100_000_000_000..100_000_000_000_000 => UnixNanos::from_millis(value),
        100_000_000_000_000.. => UnixNanos::from_micros(value),
        _ => None,
    }
}

fn truth(field: &[u8]) -> Option<bool> {
    match field {
        b"true" | b"True" | b"TRUE" => Some(true),
        b"false" | b"False" | b"FALSE" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trade(line: &str) -> CsvTrade {
        match parse(line.as_bytes()) {
            Ok(Line::Trade(trade)) => trade,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn every_layout_is_read() {
        const MS: i64 = 1_723_075_200_123_000_000;
        const US: i64 = 1_735_689_600_123_456_000;
        let cases = [
            // line, layout, id, price, size, time, side
            (
                "3719103243,55134.16000000,0.00108000,59.54489280,1723075200123,True,True",
                (Layout::SpotTrades, 3_719_103_243, "55134.16000000", "0.00108000", MS, Side::Sell),
            ),
            (
                "4359867214,93576.00000000,0.00100000,93.57600000,1735689600123456,false,true\r",
                (Layout::SpotTrades, 4_359_867_214, "93576.00000000", "0.00100000", US, Side::Buy),
            ),
            (
                "5236511863,55133.9,0.004,220.5356,1723075200123,true",
                (Layout::FuturesTrades, 5_236_511_863, "55133.9", "0.004", MS, Side::Sell),
            ),
            (
                "3112010523,55134.16,1e-05,3719103243,3719103244,1723075200123,FALSE,TRUE",
                (Layout::SpotAggregates, 3_112_010_523, "55134.16", "0.00001", MS, Side::Buy),
            ),
            (
                "2310011229,55133.9,1.5E3,5236511863,5236511863,1723075200123,true",
                (Layout::FuturesAggregates, 2_310_011_229, "55133.9", "1500", MS, Side::Sell),
            ),
        ];
        for (line, expected) in cases {
            let found = trade(line);
            let (price, size) = (found.price.to_string(), found.size.to_string());
            assert_eq!((found.layout, found.id, &*price, &*size, found.at.0, found.side), expected, "{line}");
        }
    }

    #[test]
    fn headers_and_empty_lines_are_no_trades() {
        for line in [
            "id,price,qty,quote_qty,time,is_buyer_maker",
            "id,price,qty,quoteQty,time,isBuyerMaker,isBestMatch\r",
            "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(Line::Header), "{line}");
        }
        assert_eq!((parse(b""), parse(b"\r")), (Ok(Line::Empty), Ok(Line::Empty)));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let cases = [
            ("five columns", "1,2,3,4,1723075200123", LineFault::Columns),
            ("nine columns", "1,2,3,4,5,1723075200123,true,true,true", LineFault::Columns),
            ("cut off", "1,2.5,3", LineFault::Columns),
            ("a web page", "<html><head><title>404 Not Found</title>", LineFault::Columns),
            ("semicolons", "1;2;3;4;1723075200123;true", LineFault::Columns),
            ("text for an id", "x1,2,3,6,1723075200123,true", LineFault::Id),
            ("a negative id", "-1,2,3,6,1723075200123,true", LineFault::Id),
            ("an id beyond 64 bits", "18446744073709551616,2,3,6,1723075200123,true", LineFault::Id),
            ("an id in quotes", "\"1\",2,3,6,1723075200123,true", LineFault::Id),
            ("no price", "1,,3,6,1723075200123,true", LineFault::Price),
            ("price 0", "1,0.000,3,6,1723075200123,true", LineFault::Price),
            ("a negative price", "1,-2,3,6,1723075200123,true", LineFault::Price),
            ("a price with a space", "1, 2,3,6,1723075200123,true", LineFault::Price),
            ("not a number", "1,nan,3,6,1723075200123,true", LineFault::Price),
            ("20 digits", "1,12345678901234567890,3,6,1723075200123,true", LineFault::Price),
            ("digits below 10^-18", "1,1e-19,3,6,1723075200123,true", LineFault::Price),
            ("size 0", "1,2,0,6,1723075200123,true", LineFault::Size),
            ("an infinite size", "1,2,inf,6,1723075200123,true", LineFault::Size),
            ("seconds", "1,2,3,6,1723075200,true", LineFault::Time),
            ("nanoseconds", "1,2,3,6,1723075200123456789,true", LineFault::Time),
            ("no time", "1,2,3,6,,true", LineFault::Time),
            ("time as a float", "1,2,3,6,1.7e12,true", LineFault::Time),
            ("a number for the side", "1,2,3,6,1723075200123,1", LineFault::Side),
            ("no side", "1,2,3,6,1723075200123,", LineFault::Side),
            ("two lines in one", "1,2,3,6,1723075200123,true2,2,3,6,1723075200123,true", LineFault::Columns),
        ];
        for (name, line, expected) in cases {
            assert_eq!(parse(line.as_bytes()), Err(expected), "{name}: {line}");
        }
        let names: Vec<&str> = LineFault::ALL.iter().map(|fault| FAULT_NAMES[*fault as usize]).collect();
        assert_eq!(names, LineFault::ALL.map(LineFault::name));
    }

    #[test]
    fn both_units_of_time_end_where_the_other_begins() {
        let cases = [
            (99_999_999_999, None),
            (100_000_000_000, Some(100_000_000_000_000_000)),
            (99_999_999_999_999, None),
            (100_000_000_000_000, Some(100_000_000_000_000_000)),
            (9_223_372_036_854, Some(9_223_372_036_854_000_000)),
            (9_223_372_036_854_775, Some(9_223_372_036_854_775_000)),
            (9_223_372_036_854_776, None),
            (u64::MAX, None),
        ];
        for (value, expected) in cases {
            assert_eq!(time(value).map(|at| at.0), expected, "{value}");
        }
    }

    /// The same from the standard library's texts and numbers, as plainly as possible.
    fn reference(line: &str) -> Option<(u64, f64, f64, i64, bool)> {
        let fields: Vec<&str> = line.split(',').collect();
        let (time, maker) = match fields.len() {
            6 => (fields[4], fields[5]),
            7 if fields[5].to_lowercase().parse::<bool>().is_ok() => (fields[4], fields[5]),
            7 => (fields[5], fields[6]),
            8 => (fields[5], fields[6]),
            _ => return None,
        };
        let time: i64 = time.parse().ok()?;
        let nanos = if time < 100_000_000_000_000 { time * 1_000_000 } else { time * 1_000 };
        let number = |text: &str| text.parse::<f64>().ok();
        Some((fields[0].parse().ok()?, number(fields[1])?, number(fields[2])?, nanos, maker.to_lowercase() == "true"))
    }

    proptest! {
        /// A plain reading of the same line, with numbers compared as the nearest floats.
        #[test]
        fn agrees_with_a_plain_reading(
            id in any::<u64>(),
            price in "[1-9][0-9]{0,6}(\\.[0-9]{1,8})?|0\\.[0-9]{0,6}[1-9]|[1-9](\\.[0-9]{1,3})?e-0?[1-8]",
            size in "[1-9][0-9]{0,4}(\\.[0-9]{1,8})?|[1-9]E-[1-9]",
            time in prop_oneof![100_000_000_000i64..4_000_000_000_000, 100_000_000_000_000i64..4_000_000_000_000_000],
            maker in prop::sample::select(vec!["true", "false", "True", "False", "TRUE", "FALSE"]),
            shape in 0usize..4,
            end in prop::sample::select(vec!["", "\r"]),
        ) {
            let line = match shape {
                0 => format!("{id},{price},{size},1.5,{time},{maker}"),
                1 => format!("{id},{price},{size},1.5,{time},{maker},True"),
                2 => format!("{id},{price},{size},7,9,{time},{maker}"),
                _ => format!("{id},{price},{size},7,9,{time},{maker},true"),
            };
            let found = trade(&format!("{line}{end}"));
            let float = |value: Decimal| value.to_string().parse::<f64>().unwrap();
            let found = (found.id, float(found.price), float(found.size), found.at.0, found.side == Side::Sell);
            prop_assert_eq!(Some(found), reference(&line));
        }

        /// Any bytes give an answer.
        #[test]
        fn any_bytes_are_answered(line in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = parse(&line);
        }

        /// One changed byte of a good line gives an answer: a trade with a price and a size, or a fault.
        #[test]
        fn a_changed_byte_is_answered(at in 0usize..60, byte in any::<u8>()) {
            let mut line = b"3719103243,55134.16000000,0.00108000,59.54489280,1723075200123,True,True".to_vec();
            line[at] = byte;
            if let Ok(Line::Trade(trade)) = parse(&line) {
                prop_assert!(trade.price.is_positive() && trade.size.is_positive());
            }
        }
    }
}
