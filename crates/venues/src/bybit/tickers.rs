//! Best bids and asks as last told: a ticker of futures and perpetuals begins with a `snapshot`, and a `delta` says only
//! what has changed since.
//!
//! Hot path: no allocation once a ticker has been seen. Source: bybit-exchange/docs, `ticker.mdx` (2026-07-24): "If a
//! response param is not found in the message, then its value has not changed".

use crate::message::Num;
use rustc_hash::FxHashMap;

/// Tickers remembered at once, of all connections: the venue has some 800 that send changes. One more takes the place of
/// the one that has been silent longest, whose next change is then told without what stood before.
const TICKERS_MAX: usize = 4096;

/// Bid, its size, ask, its size.
pub(super) type Best = [Option<Num>; 4];

/// Values that stand so close in a frame are kept with what stands between them: one copy in place of four.
const CLOSE_BYTES: usize = 256;

/// Tickers by connection and symbol, because markets use the same symbols.
#[derive(Debug, Default)]
pub(super) struct Tickers {
    /// Those opened last come last. One that is gone leaves with the last of its tickers.
    conns: Vec<Conn>,
    tickers: Vec<Ticker>,
    /// The next text of a ticker.
    text: String,
    /// Rises with each look-up.
    now: u64,
}

/// The tickers of one connection.
#[derive(Debug)]
struct Conn {
    name: Box<str>,
    /// Places in `tickers`.
    by_symbol: FxHashMap<Box<str>, usize>,
}

/// One ticker. Its numbers stand in its own text, because the frames they came in are gone.
#[derive(Debug, Default)]
struct Ticker {
    conn: Box<str>,
    symbol: Box<str>,
    text: String,
    best: Best,
    used_at: u64,
}

impl Tickers {
    /// Notes what `frame` says (`None`: nothing about this value), and gives all that is known now, with the text that it
    /// stands in. What a snapshot does not say is not known.
    #[inline]
    pub(super) fn update(
        &mut self,
        (conn, symbol): (&str, &str),
        is_snapshot: bool,
        frame: &str,
        said: [Option<Option<Num>>; 4],
    ) -> (&str, Best) {
        self.now += 1;
        let place = match self.place(conn, symbol) {
            Some(place) => place,
            None => self.add(conn, symbol),
        };
        let Some(ticker) = self.tickers.get_mut(place) else { return ("", Best::default()) };
        ticker.used_at = self.now;
        if let [Some(bid), Some(bid_size), Some(ask), Some(ask_size)] = said
            && let Some(best) = ticker.keep_close(frame, [bid, bid_size, ask, ask_size])
        {
            return (&ticker.text, best);
        }
        self.text.clear();
        for (value, said) in ticker.best.iter_mut().zip(said) {
            let (source, num) = match said {
                Some(num) => (frame, num),
                None if is_snapshot => ("", None),
                None => (ticker.text.as_str(), *value),
            };
            *value = num.and_then(|num| {
                let start = u32::try_from(self.text.len()).ok()?;
                self.text.push_str(num.text(source));
                Some(Num { start, ..num })
            });
        }
        std::mem::swap(&mut self.text, &mut ticker.text);
        (&ticker.text, ticker.best)
    }

    #[inline]
    fn place(&self, conn: &str, symbol: &str) -> Option<usize> {
        let conn = self.conns.iter().rev().find(|known| &*known.name == conn)?;
        conn.by_symbol.get(symbol).copied()
    }

    /// A place for a ticker: a new one, or that of the one that has been silent longest.
    #[cold]
    fn add(&mut self, conn: &str, symbol: &str) -> usize {
        let place = if self.tickers.len() < TICKERS_MAX { self.tickers.len() } else { self.give_up_one() };
        let ticker = Ticker { conn: conn.into(), symbol: symbol.into(), ..Ticker::default() };
        match self.tickers.get_mut(place) {
            Some(kept) => *kept = ticker,
            None => self.tickers.push(ticker),
        }
        let at = self.conns.iter().rposition(|known| &*known.name == conn).unwrap_or_else(|| {
            self.conns.push(Conn { name: conn.into(), by_symbol: FxHashMap::default() });
            self.conns.len() - 1
        });
        if let Some(conn) = self.conns.get_mut(at) {
            conn.by_symbol.insert(symbol.into(), place);
        }
        place
    }

    /// Forgets the ticker that has been silent longest, and tells its place.
    fn give_up_one(&mut self) -> usize {
        let silent = self.tickers.iter().enumerate().min_by_key(|(_, ticker)| ticker.used_at);
        let Some((place, ticker)) = silent else { return 0 };
        if let Some(conn) = self.conns.iter_mut().find(|conn| conn.name == ticker.conn) {
            conn.by_symbol.remove(&ticker.symbol);
        }
        self.conns.retain(|conn| !conn.by_symbol.is_empty());
        place
    }
}

impl Ticker {
    /// Keeps values that stand close together in a frame, if they do.
    #[inline]
    fn keep_close(&mut self, frame: &str, values: Best) -> Option<Best> {
        let spans = || values.iter().flatten().map(|num| (num.start, num.start + num.len));
        let (start, end) = spans().fold((u32::MAX, 0), |(start, end), (from, to)| (start.min(from), end.max(to)));
        let piece = frame.get(start as usize..end as usize).filter(|piece| piece.len() <= CLOSE_BYTES)?;
        self.text.clear();
        self.text.push_str(piece);
        self.best = values.map(|value| value.map(|num| Num { start: num.start - start, ..num }));
        Some(self.best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_model::Decimal;

    fn num(text: &str) -> Option<Option<Num>> {
        let len = u32::try_from(text.len()).unwrap();
        Some(Decimal::parse(text.as_bytes()).ok().map(|value| Num { value, start: 0, len }))
    }

    /// All that is known after a frame that is nothing but the number it says.
    fn told(
        tickers: &mut Tickers,
        key: (&str, &str),
        is_snapshot: bool,
        at: usize,
        frame: &str,
    ) -> [Option<String>; 4] {
        let mut said = [None; 4];
        said[at] = num(frame);
        let (text, best) = tickers.update(key, is_snapshot, frame, said);
        best.map(|num| {
            let num = num?;
            assert_eq!(Decimal::parse(num.text(text).as_bytes()), Ok(num.value));
            Some(num.text(text).to_owned())
        })
    }

    #[test]
    fn a_change_keeps_what_it_does_not_say() {
        let mut tickers = Tickers::default();
        let some = |texts: [&str; 4]| texts.map(|text| (!text.is_empty()).then(|| text.to_owned()));
        let (a, b) = (("linear", "BTCUSDT"), ("inverse", "BTCUSDT"));
        assert_eq!(told(&mut tickers, a, true, 0, "65114.20"), some(["65114.20", "", "", ""]));
        assert_eq!(told(&mut tickers, a, false, 3, "5.954"), some(["65114.20", "", "", "5.954"]));
        assert_eq!(told(&mut tickers, b, false, 1, "1e1"), some(["", "1e1", "", ""]));
        assert_eq!(told(&mut tickers, a, false, 2, "7"), some(["65114.20", "", "7", "5.954"]));
        assert_eq!(told(&mut tickers, a, false, 0, ""), some(["", "", "7", "5.954"]));
        assert_eq!(told(&mut tickers, a, true, 1, "3"), some(["", "3", "", ""]));
    }

    #[test]
    fn a_frame_that_says_all_four_needs_nothing_of_those_before() {
        let mut tickers = Tickers::default();
        let key = ("ws", "X");
        told(&mut tickers, key, true, 0, "9");
        for gap in [2, CLOSE_BYTES] {
            let frame = format!("..1.5{}27{}3e0", " ".repeat(gap), " ".repeat(gap));
            let at = |text: &str| {
                let (start, len) =
                    (u32::try_from(frame.find(text).unwrap()).unwrap(), u32::try_from(text.len()).unwrap());
                Some(Num { value: Decimal::parse(text.as_bytes()).unwrap(), start, len })
            };
            let said = [Some(at("3e0")), Some(at("1.5")), Some(None), Some(at("27"))];
            let texts = |(text, best): (&str, Best)| best.map(|num| num.map(|num| num.text(text).to_owned()));
            let expected = [Some("3e0"), Some("1.5"), None, Some("27")].map(|text| text.map(str::to_owned));
            assert_eq!(texts(tickers.update(key, false, &frame, said)), expected, "{gap}");
            assert_eq!(texts(tickers.update(key, false, "", [None; 4])), expected, "{gap}: kept");
        }
        assert_eq!(texts_of_none(&mut tickers, key), [None, None, None, None]);
    }

    /// After a frame that says that there is neither bid nor ask.
    fn texts_of_none(tickers: &mut Tickers, key: (&str, &str)) -> [Option<String>; 4] {
        let (text, best) = tickers.update(key, false, "", [Some(None); 4]);
        best.map(|num| num.map(|num| num.text(text).to_owned()))
    }

    #[test]
    fn a_connection_leaves_with_its_last_ticker() {
        let mut tickers = Tickers::default();
        for conn in 0..=TICKERS_MAX {
            told(&mut tickers, (&conn.to_string(), "X"), true, 0, "1");
        }
        assert_eq!((tickers.conns.len(), tickers.tickers.len()), (TICKERS_MAX, TICKERS_MAX));
        assert_eq!(&*tickers.conns[0].name, "1");
    }

    #[test]
    fn the_most_silent_ticker_makes_room() {
        let mut tickers = Tickers::default();
        let symbols: Vec<String> = (0..=TICKERS_MAX).map(|i| i.to_string()).collect();
        for symbol in &symbols[..TICKERS_MAX] {
            told(&mut tickers, ("ws", symbol), true, 0, "1");
        }
        told(&mut tickers, ("ws", &symbols[0]), false, 1, "2");
        told(&mut tickers, ("ws", &symbols[TICKERS_MAX]), true, 0, "1");
        let places = tickers.conns.iter().map(|conn| conn.by_symbol.len()).sum::<usize>();
        assert_eq!((places, tickers.tickers.len()), (TICKERS_MAX, TICKERS_MAX));
        let kept = told(&mut tickers, ("ws", &symbols[0]), false, 2, "3");
        assert_eq!(kept, [Some("1"), Some("2"), Some("3"), None].map(|text| text.map(str::to_owned)));
        let forgotten = told(&mut tickers, ("ws", &symbols[1]), false, 2, "3");
        assert_eq!(forgotten, [None, None, Some("3"), None].map(|text| text.map(str::to_owned)));
    }
}
