//! What a tape says besides frames: lines of direction `ctl` that tell a replay what the session told its checker.
//!
//! The first line of each file is its header: `tape 1 {"source":…,"run":…,"part":…,"rules":…}`. A capture whose first line
//! is none is a recording of somebody else's, and stays as it is.

use crate::check::{BookRule, KnownTrades, Rules, StreamKind, TradeIds};
use std::fmt;

/// First words of a header; the number is the format's.
const MARK: &str = "tape 1 ";

/// The header of a file of a tape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapeHeader {
    /// Name of the source.
    pub source: String,
    /// Start of the run, nanoseconds since 1970 UTC: files of one run belong together.
    pub run: i64,
    /// Which file of the run, from 1.
    pub part: u64,
    /// How the messages are checked.
    pub rules: Rules,
}

impl TapeHeader {
    /// Reads a header; `None` when the text is none, or of a later format.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fields: serde_json::Value = serde_json::from_str(text.strip_prefix(MARK)?).ok()?;
        Some(Self {
            source: fields["source"].as_str()?.to_owned(),
            run: fields["run"].as_i64()?,
            part: fields["part"].as_u64()?,
            rules: rules_of(fields["rules"].as_str()?)?,
        })
    }

    /// Whether this file goes on where another one ended.
    #[must_use]
    pub fn continues(&self, before: &Self) -> bool {
        let same = self.source == before.source && self.run == before.run && self.rules == before.rules;
        same && self.part == before.part + 1
    }
}

impl fmt::Display for TapeHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = text_of(self.rules);
        let fields = serde_json::json!({"source": self.source, "run": self.run, "part": self.part, "rules": rules});
        write!(f, "{MARK}{fields}")
    }
}

/// Something that the session told its checker, or that a replay has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TapeNote {
    /// The connection was opened.
    Opened,
    /// It ended, with the venue's close code or 0.
    Closed(u16),
    /// A symbol should have spoken and did not. Tapes of before say so of a symbol alone.
    Silent(String),
    /// A stream should have spoken and did not: on the line's connection, or with the connection `-` on every one.
    Mute(StreamKind, String),
    /// Earlier starts have stored these trades of a symbol.
    Known(String, Box<KnownTrades>),
    /// A symbol is not recorded any more, by order.
    Left(String),
    /// The session is over.
    Ended,
    /// The wall clock was set by so many nanoseconds before the frames that follow; 0: not since the ones before.
    Clock(i64),
    /// So many lines found no room on the way to the disk.
    Dropped(u64),
}

impl TapeNote {
    /// The connection of a line that is of none.
    pub const EVERYWHERE: &str = "-";

    /// Reads a note; `None` for words of others.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match (word, rest) {
            ("opened", "") => Some(Self::Opened),
            ("ended", "") => Some(Self::Ended),
            ("closed", code) => code.parse().ok().map(Self::Closed),
            ("silent", symbol) if !symbol.is_empty() => Some(Self::Silent(symbol.to_owned())),
            ("left", symbol) if !symbol.is_empty() => Some(Self::Left(symbol.to_owned())),
            ("mute", stream) => {
                let (kind, symbol) = stream.split_once(' ').filter(|(_, symbol)| !symbol.is_empty())?;
                Some(Self::Mute(StreamKind::from_name(kind)?, symbol.to_owned()))
            }
            ("known", json) => known_of(json),
            ("clock", step) => step.parse().ok().map(Self::Clock),
            ("dropped", count) => count.parse().ok().map(Self::Dropped),
            _ => None,
        }
    }
}

impl fmt::Display for TapeNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => f.write_str("opened"),
            Self::Closed(code) => write!(f, "closed {code}"),
            Self::Silent(symbol) => write!(f, "silent {symbol}"),
            Self::Left(symbol) => write!(f, "left {symbol}"),
            Self::Ended => f.write_str("ended"),
            Self::Mute(kind, symbol) => write!(f, "mute {} {symbol}", kind.name()),
            Self::Known(symbol, trades) => {
                write!(f, "known {}", serde_json::json!({"symbol": symbol, "trades": trades.to_json()}))
            }
            Self::Clock(step) => write!(f, "clock {step}"),
            Self::Dropped(count) => write!(f, "dropped {count}"),
        }
    }
}

fn known_of(json: &str) -> Option<TapeNote> {
    let json: serde_json::Value = serde_json::from_str(json).ok()?;
    let known = KnownTrades::from_json(&json["trades"])?;
    Some(TapeNote::Known(json["symbol"].as_str()?.to_owned(), Box::new(known)))
}

/// `join_first dense global`; a checksum carries its depth: `checksum:10`.
fn text_of(rules: Rules) -> String {
    let book = match rules.book {
        BookRule::JoinFirst => "join_first".to_owned(),
        BookRule::JoinPrevious => "join_previous".to_owned(),
        BookRule::Previous => "previous".to_owned(),
        BookRule::Next => "next".to_owned(),
        BookRule::Checksum { depth } => format!("checksum:{depth}"),
        BookRule::Connection => "connection".to_owned(),
        BookRule::Unchecked => "unchecked".to_owned(),
    };
    let trades = rules.trades.name();
    let scope = if rules.is_global { "global" } else { "connection" };
    format!("{book} {trades} {scope}")
}

fn rules_of(text: &str) -> Option<Rules> {
    let mut words = text.split(' ');
    let book = match words.next()?.split_once(':') {
        Some(("checksum", depth)) => BookRule::Checksum { depth: depth.parse().ok()? },
        Some(_) => return None,
        None => {
            const PLAIN: [BookRule; 6] = [
                BookRule::JoinFirst,
                BookRule::JoinPrevious,
                BookRule::Previous,
                BookRule::Next,
                BookRule::Connection,
                BookRule::Unchecked,
            ];
            let word = text.split(' ').next()?;
            let names = |book| text_of(Rules { book, trades: TradeIds::Opaque, is_global: false });
            *PLAIN.iter().find(|book| names(**book).split(' ').next() == Some(word))?
        }
    };
    let trades = TradeIds::from_name(words.next()?)?;
    let is_global = match words.next()? {
        "global" => true,
        "connection" => false,
        _ => return None,
    };
    words.next().is_none().then_some(Rules { book, trades, is_global })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_how_messages_are_checked() {
        let text =
            r#"tape 1 {"part":2,"rules":"checksum:25 dense connection","run":1795363024000000000,"source":"kr \"1\""}"#;
        let header = TapeHeader {
            source: "kr \"1\"".into(),
            run: 1_795_363_024_000_000_000,
            part: 2,
            rules: Rules { book: BookRule::Checksum { depth: 25 }, trades: TradeIds::Dense, is_global: false },
        };
        assert_eq!((header.to_string().as_str(), TapeHeader::parse(text)), (text, Some(header.clone())));
        let other = |part, run| TapeHeader { part, run, ..header.clone() };
        assert!(other(3, header.run).continues(&header));
        assert!(!other(4, header.run).continues(&header) && !other(3, 7).continues(&header));
        for bad in ["tape 2 {}", "tape 1 {}", "tape 1 ", "opened", &text.replace("dense", "odd")] {
            assert_eq!(TapeHeader::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_rule_can_be_written_and_read() {
        let books = [
            BookRule::JoinFirst,
            BookRule::JoinPrevious,
            BookRule::Previous,
            BookRule::Next,
            BookRule::Checksum { depth: 10 },
            BookRule::Connection,
            BookRule::Unchecked,
        ];
        for book in books {
            for trades in [TradeIds::Dense, TradeIds::DenseNewestFirst, TradeIds::Learned, TradeIds::Opaque] {
                for is_global in [true, false] {
                    let rules = Rules { book, trades, is_global };
                    assert_eq!(rules_of(&text_of(rules)), Some(rules), "{rules:?}");
                }
            }
        }
        for bad in ["", "join_first", "join_first dense", "join_first dense global x", "checksum dense global"] {
            assert_eq!(rules_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn notes_are_read_as_they_are_written() {
        let cases = [
            ("opened", TapeNote::Opened),
            ("closed 1006", TapeNote::Closed(1006)),
            ("silent BTC/USD", TapeNote::Silent("BTC/USD".into())),
            ("mute depth BTC/USD", TapeNote::Mute(StreamKind::Depth, "BTC/USD".into())),
            ("left BTC/USD", TapeNote::Left("BTC/USD".into())),
            ("ended", TapeNote::Ended),
            ("clock -3600000000000", TapeNote::Clock(-3_600_000_000_000)),
            ("dropped 12", TapeNote::Dropped(12)),
        ];
        for (text, note) in cases {
            assert_eq!((note.to_string().as_str(), TapeNote::parse(text)), (text, Some(note)));
        }
        for other in [
            "",
            "open",
            "closed",
            "closed x",
            "silent",
            "mute depth",
            "mute odd BTC/USD",
            "known {}",
            "opened now",
            "clock",
            "ping",
        ] {
            assert_eq!(TapeNote::parse(other), None, "{other}");
        }
    }
}
