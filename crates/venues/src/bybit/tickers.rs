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

/// Tickers by connection and symbol, because markets use the same symbols.
#[derive(Debug, Default)]
pub(super) struct Tickers {
    /// Places in `tickers`.
    by_key: FxHashMap<Box<str>, usize>,
    tickers: Vec<Ticker>,
    /// Connection and symbol of the ticker being looked up.
    key: String,
    /// The next text of a ticker.
    text: String,
    /// Rises with each look-up.
    now: u64,
}

/// One ticker. Its numbers stand in its own text, because the frames they came in are gone.
#[derive(Debug, Default)]
struct Ticker {
    key: Box<str>,
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
        self.key.clear();
        self.key.push_str(conn);
        self.key.push('/');
        self.key.push_str(symbol);
        let place = match self.by_key.get(self.key.as_str()) {
            Some(&place) => place,
            None => self.add(),
        };
        let Some(ticker) = self.tickers.get_mut(place) else { return ("", Best::default()) };
        ticker.used_at = self.now;
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

    /// A place for the ticker of `key`: a new one, or that of the one that has been silent longest.
    #[cold]
    fn add(&mut self) -> usize {
        let key: Box<str> = self.key.as_str().into();
        let silent = self.tickers.iter().enumerate().min_by_key(|(_, ticker)| ticker.used_at).map(|(place, _)| place);
        let place = match silent {
            Some(silent) if self.tickers.len() >= TICKERS_MAX => silent,
            _ => {
                self.tickers.push(Ticker::default());
                self.tickers.len() - 1
            }
        };
        if let Some(ticker) = self.tickers.get_mut(place) {
            self.by_key.remove(&ticker.key);
            *ticker = Ticker { key: key.clone(), ..Ticker::default() };
        }
        self.by_key.insert(key, place);
        place
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
    fn the_most_silent_ticker_makes_room() {
        let mut tickers = Tickers::default();
        let symbols: Vec<String> = (0..=TICKERS_MAX).map(|i| i.to_string()).collect();
        for symbol in &symbols[..TICKERS_MAX] {
            told(&mut tickers, ("ws", symbol), true, 0, "1");
        }
        told(&mut tickers, ("ws", &symbols[0]), false, 1, "2");
        told(&mut tickers, ("ws", &symbols[TICKERS_MAX]), true, 0, "1");
        assert_eq!((tickers.by_key.len(), tickers.tickers.len()), (TICKERS_MAX, TICKERS_MAX));
        let kept = told(&mut tickers, ("ws", &symbols[0]), false, 2, "3");
        assert_eq!(kept, [Some("1"), Some("2"), Some("3"), None].map(|text| text.map(str::to_owned)));
        let forgotten = told(&mut tickers, ("ws", &symbols[1]), false, 2, "3");
        assert_eq!(forgotten, [None, None, Some("3"), None].map(|text| text.map(str::to_owned)));
    }
}
