//! Faults as they are written: `5s close; 12s blackhole for=20s; 32s drop=3 conn=2`.

use super::{FAULT_NAMES, Fault, FaultKind};
use std::time::Duration;

/// Bytes of a giant frame when none are named.
const GIANT_BYTES: usize = 20 << 20;
/// Largest giant: it is one text in memory, for each connection.
const GIANT_BYTES_MAX: usize = 256 << 20;

/// Why a fault cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fault {text:?}: {why}")]
pub struct FaultError {
    text: String,
    why: String,
}

impl Fault {
    /// Reads one: an optional time, a name with an optional value, then `for=` and `conn=` in any order.
    ///
    /// # Errors
    /// When it is not one; the message names what is wrong and what would do.
    ///
    /// ```
    /// use venue_sim::{Fault, FaultKind};
    /// let fault = Fault::parse("12s blackhole for=20s conn=2")?;
    /// assert_eq!(fault.kind, FaultKind::Blackhole);
    /// assert_eq!((fault.at, fault.conn), (Some(std::time::Duration::from_secs(12)), Some(2)));
    /// # Ok::<(), venue_sim::FaultError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, FaultError> {
        let text = text.trim();
        read(text).map_err(|why| FaultError { text: text.to_owned(), why })
    }

    /// Reads a schedule: faults with their times, separated by semicolons or new lines.
    ///
    /// # Errors
    /// When one of them cannot be read, or has no time.
    pub fn parse_schedule(text: &str) -> Result<Vec<Self>, FaultError> {
        let mut faults = Vec::new();
        for part in text.split([';', '\n']).map(str::trim).filter(|part| !part.is_empty()) {
            let fault = Self::parse(part)?;
            if fault.at.is_none() {
                let why = format!("begin with the time when it strikes, such as `5s {part}`");
                return Err(FaultError { text: part.to_owned(), why });
            }
            faults.push(fault);
        }
        faults.sort_by_key(|fault| fault.at);
        Ok(faults)
    }
}

fn read(text: &str) -> Result<Fault, String> {
    let mut words = text.split_whitespace().peekable();
    let at = words.peek().filter(|word| word.starts_with(|c: char| c.is_ascii_digit())).copied();
    let at = match at {
        Some(word) => {
            words.next();
            Some(duration(word)?)
        }
        None => None,
    };
    let word = words.next().ok_or_else(|| format!("no fault is named; there are {}", FAULT_NAMES.join(", ")))?;
    let (name, mut value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let (mut lasts, mut conn) = (None, None);
    // `close-frame=1001` is a way of closing, also beside the word `close`.
    let mut name = name;
    for word in words {
        match word.split_once('=') {
            Some(("for", text)) => lasts = Some(duration(text)?),
            Some(("conn", text)) => {
                conn = Some(text.parse().map_err(|_| format!("conn={text}: a connection's number from the log"))?);
            }
            Some(("close-frame", code)) if name == "close" => (name, value) = ("close-frame", Some(code)),
            _ => return Err(format!("{word}: only for=TIME and conn=N may follow")),
        }
    }
    let kind = kind(name, value)?;
    if lasts.is_some() && !kind.lasts() {
        return Err(format!("{name} strikes once, for= means nothing"));
    }
    if conn.is_some() && matches!(kind, FaultKind::SlowHandshake | FaultKind::Status429 | FaultKind::Skew { .. }) {
        return Err(format!("{name} cannot be for one connection"));
    }
    Ok(Fault { at, kind, lasts, conn })
}

fn kind(name: &str, value: Option<&str>) -> Result<FaultKind, String> {
    let needed = |example: &str| value.ok_or_else(|| format!("write {name}={example}"));
    let count = || match value {
        None => Ok(1),
        Some(text) => {
            text.parse().ok().filter(|&n| n > 0).ok_or_else(|| format!("{name}={text}: a number of frames from 1 on"))
        }
    };
    let kind = match name {
        "close" => FaultKind::Close { code: None },
        "close-frame" => {
            let text = needed("1001")?;
            let code =
                text.parse().ok().filter(|code| (1000..5000).contains(code) && ![1005, 1006, 1015].contains(code));
            FaultKind::Close {
                code: Some(code.ok_or_else(|| format!("{text} is no code that a close frame may carry"))?),
            }
        }
        "reset" => FaultKind::Reset,
        "blackhole" => FaultKind::Blackhole,
        "mute" => FaultKind::Mute,
        "mute-symbol" => FaultKind::MuteSymbol { symbol: needed("BTCUSDT")?.to_owned() },
        "duplicate" => FaultKind::Duplicate { count: count()? },
        "reorder" => FaultKind::Reorder,
        "drop" => FaultKind::Drop { count: count()? },
        "bad-checksum" => FaultKind::BadChecksum,
        "sequence-reset" => FaultKind::SequenceReset,
        "slow-handshake" => FaultKind::SlowHandshake,
        "giant" => FaultKind::Giant { bytes: value.map_or(Ok(GIANT_BYTES), bytes)? },
        "invalid-utf8" => FaultKind::InvalidUtf8,
        "shutdown" => FaultKind::Shutdown,
        "status-429" => FaultKind::Status429,
        "skew" => FaultKind::Skew { ms: skew_ms(needed("-1500ms")?)? },
        _ => return Err(format!("{name} is no fault; there are {}, and close-frame=CODE", FAULT_NAMES.join(", "))),
    };
    let takes_none = !matches!(name, "close-frame" | "mute-symbol" | "duplicate" | "drop" | "giant" | "skew");
    if let Some(value) = value.filter(|_| takes_none) {
        return Err(format!("{name} takes no value, and {value:?} is given"));
    }
    Ok(kind)
}

/// `1500ms`, `20s`, `5m`, `24h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let ms_each = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("{text}: write a whole number with ms, s, m or h, such as 1500ms")),
    };
    let number: u64 = number.parse().map_err(|_| format!("{text}: begin with a whole number, such as 20s"))?;
    Ok(Duration::from_millis(number.saturating_mul(ms_each)))
}

fn skew_ms(text: &str) -> Result<i64, String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let ms = i64::try_from(duration(rest)?.as_millis()).map_err(|_| format!("{text} is too long"))?;
    // A clock that is wrong by more than a year is no clock, and must not run below 1970.
    if ms > 366 * 24 * 3_600_000 { Err(format!("{text}: at most a year")) } else { Ok(sign * ms) }
}

fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        _ => return Err(format!("{text}: write a size such as 20MiB, 64KiB or 1000")),
    };
    let number: usize = number.parse().map_err(|_| format!("{text}: begin with a whole number, such as 20MiB"))?;
    number
        .checked_mul(1 << shift)
        .filter(|&bytes| (64..=GIANT_BYTES_MAX).contains(&bytes))
        .ok_or_else(|| format!("{text}: 64 bytes to {} MiB", GIANT_BYTES_MAX >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_and_sorted() {
        let text =
            "9s reset; 5s close; 12s blackhole for=20s; 20s mute; 25s mute-symbol=BTCUSDT for=10s; 30s duplicate;
            31s reorder; 32s drop=3; 35s bad-checksum; 40s sequence-reset; 45s slow-handshake for=10s; 50s giant=20MiB;
            55s invalid-utf8; 60s shutdown; 65s status-429 for=5s; 70s skew=-1500ms; 71s close-frame=1001 conn=3";
        let faults = Fault::parse_schedule(text).unwrap();
        let names: Vec<&str> = faults.iter().map(|fault| fault.kind.name()).collect();
        assert_eq!(names[..16], FAULT_NAMES);
        let seconds = Duration::from_secs;
        assert_eq!((faults[2].at, faults[2].lasts), (Some(seconds(12)), Some(seconds(20))));
        assert_eq!(faults[7].kind, FaultKind::Drop { count: 3 });
        assert_eq!(faults[11].kind, FaultKind::Giant { bytes: 20 << 20 });
        assert_eq!(faults[15].kind, FaultKind::Skew { ms: -1500 });
        let last =
            Fault { at: Some(seconds(71)), kind: FaultKind::Close { code: Some(1001) }, lasts: None, conn: Some(3) };
        assert_eq!(faults[16], last);
        assert_eq!(Fault::parse("close close-frame=1001 conn=3").unwrap(), Fault { at: None, ..last });
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_do() {
        let cases = [
            ("5s clsoe", "clsoe is no fault; there are close,"),
            ("5 close", "such as 1500ms"),
            ("5s", "no fault is named"),
            ("5s reset for=3s", "strikes once"),
            ("5s mute-symbol", "write mute-symbol=BTCUSDT"),
            ("5s drop=0", "from 1 on"),
            ("5s close-frame=1006", "no code that a close frame may carry"),
            ("5s mute=3", "takes no value"),
            ("5s mute to=3s", "only for=TIME and conn=N"),
            ("5s giant=1GiB", "such as 20MiB"),
            ("5s giant=999MiB", "64 bytes to 256 MiB"),
            ("5s status-429 conn=1", "cannot be for one connection"),
            ("close", "begin with the time"),
        ];
        for (text, words) in cases {
            let error = Fault::parse_schedule(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
