//! From one given value to its type: what is accepted, and what is said about the rest.

use crate::choice::{Choice, Level};
use crate::error::Wrong;
use crate::journal::JournalSync;
use crate::schema::LogLevels;
use crate::source::{Core, Rate, Speed};
use crate::suggest::nearest;
use crate::tree::{Node, Origin, Value};
use crate::units::{self, Percent};
use feedd_model::{Decimal, UnixNanos};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use time::format_description::well_known::Rfc3339;

/// A value of its type, or what is wrong.
pub(crate) type Parsed<T> = Result<T, Wrong>;

/// A whole number inside `range`, which must fit into `T`.
pub(crate) fn count<T: TryFrom<u64>>(range: RangeInclusive<u64>) -> impl Fn(&Node) -> Parsed<T> {
    move |node| {
        let remedy = format!("give a whole number from {} to {}", range.start(), range.end());
        let number = match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Raw(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| Wrong::new(format!("expected a number, found {}; {remedy}", node.value)))?;
        let inside = u64::try_from(number).ok().filter(|number| range.contains(number));
        inside
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| Wrong::new(format!("{number} is out of range; {remedy}")))
    }
}

/// `true` or `false`.
pub(crate) fn flag(node: &Node) -> Parsed<bool> {
    match (&node.value, node.text()) {
        (Value::Bool(value), _) => Ok(*value),
        (Value::Raw(_), Some("true")) => Ok(true),
        (Value::Raw(_), Some("false")) => Ok(false),
        _ => Err(Wrong::new(format!("expected true or false, found {}", node.value))),
    }
}

/// Text that is not empty.
pub(crate) fn text(node: &Node) -> Parsed<String> {
    match node.text() {
        Some(text) if !text.trim().is_empty() => Ok(text.to_owned()),
        Some(_) => Err(Wrong::new("empty; give a text".to_owned())),
        None => Err(Wrong::new(format!("expected a text in quotes, found {}", node.value))),
    }
}

/// A path, as given: relative ones start at the working folder.
pub(crate) fn path(node: &Node) -> Parsed<PathBuf> {
    text(node).map(PathBuf::from)
}

/// A word of a closed set.
pub(crate) fn choice<T: Choice>(node: &Node) -> Parsed<T> {
    let words = T::ALL.iter().map(|(word, _)| *word);
    let all = words.clone().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    let Some(given) = node.text() else {
        return Err(Wrong::new(format!("expected a {}, found {}; choose from {all}", T::NOUN, node.value)));
    };
    if let Some((_, value)) = T::ALL.iter().find(|(word, _)| *word == given) {
        return Ok(*value);
    }
    let noun = T::NOUN;
    Err(Wrong::new(match nearest(given, words) {
        Some(word) => format!("unknown {noun} {given:?}, did you mean {word:?}?"),
        None => format!("unknown {noun} {given:?}; choose from {all}"),
    }))
}

/// A duration with its unit, inside `range`.
pub(crate) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Node) -> Parsed<Duration> {
    move |node| {
        let remedy = "write a number and a unit (ms, s, m, h, d), such as \"5s\"";
        let unread = || Wrong::new(format!("{} is not a duration; {remedy}", node.value));
        let duration = node.text().and_then(units::duration).ok_or_else(unread)?;
        if range.contains(&duration) {
            return Ok(duration);
        }
        let [low, high] = [range.start(), range.end()].map(|end| units::show_duration(*end));
        Err(Wrong::new(format!("{} is out of range; give a duration from \"{low}\" to \"{high}\"", node.value)))
    }
}

/// A size in bytes, with a unit or as a plain number, inside `range`.
pub(crate) fn bytes(range: RangeInclusive<u64>) -> impl Fn(&Node) -> Parsed<u64> {
    move |node| {
        let remedy = "write a number and a unit (B, KiB, MiB, GiB), such as \"64MiB\", or a number of bytes";
        let unread = || Wrong::new(format!("{} is not a size; {remedy}", node.value));
        let size = match &node.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Raw(text) => text.trim().parse().ok().or_else(|| units::bytes(text)),
            _ => node.text().and_then(units::bytes),
        };
        let size = size.ok_or_else(unread)?;
        if range.contains(&size) {
            return Ok(size);
        }
        let [low, high] = [range.start(), range.end()].map(|end| units::show_bytes(*end));
        Err(Wrong::new(format!("{} is out of range; give a size from \"{low}\" to \"{high}\"", node.value)))
    }
}

/// As [`bytes`], for what lies in memory.
pub(crate) fn size(range: RangeInclusive<u64>) -> impl Fn(&Node) -> Parsed<usize> {
    move |node| bytes(range.clone())(node).map(|size| usize::try_from(size).unwrap_or(usize::MAX))
}

/// A percentage above 0, at most 100,000 %; a plain number counts percent, too.
pub(crate) fn percent(node: &Node) -> Parsed<Percent> {
    let written = match &node.value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Decimal(text) => Some(text.clone()),
        _ => node.text().map(str::to_owned),
    };
    let range = Percent::from_bp(1)..=Percent::from_bp(10_000_000);
    written.and_then(|text| Percent::parse(&text)).filter(|percent| range.contains(percent)).ok_or_else(|| {
        let remedy = "write a percentage above 0 with at most two decimals, such as \"10%\"";
        Wrong::new(format!("{} is not a usable percentage; {remedy}", node.value))
    })
}

/// `"auto"`, `"none"` or the number of a core; whether it exists is for the machine to say.
pub(crate) fn core(node: &Node) -> Parsed<Core> {
    match (&node.value, node.text()) {
        (Value::Integer(number), _) => usize::try_from(*number).ok().map(Core::Pinned),
        (_, Some("auto")) => Some(Core::Auto),
        (_, Some("none")) => Some(Core::None),
        (Value::Raw(text), _) => text.trim().parse().ok().map(Core::Pinned),
        _ => None,
    }
    .ok_or_else(|| Wrong::new(format!("{} is not a core; choose \"auto\", \"none\" or a core's number", node.value)))
}

/// Whole frames per second, or `"max"`.
pub(crate) fn rate(node: &Node) -> Parsed<Rate> {
    let written = match &node.value {
        Value::Raw(text) | Value::Text(text) if text == "max" => return Ok(Rate::Max),
        Value::Integer(number) => Some(number.to_string()),
        Value::Raw(text) => Some(text.trim().to_owned()),
        _ => None,
    };
    let frames = written.and_then(|text| text.parse().ok()).filter(|frames| RATE_RANGE.contains(frames));
    frames.map(Rate::PerSecond).ok_or_else(|| {
        let remedy = "give \"max\" or a whole number of frames per second from 1 to 1000000000";
        Wrong::new(format!("{} is not a rate; {remedy}", node.value))
    })
}

/// Times the recorded pace in thousandths, or `"max"`.
pub(crate) fn speed(node: &Node) -> Parsed<Speed> {
    let written = match &node.value {
        Value::Raw(text) | Value::Text(text) if text == "max" => return Ok(Speed::Max),
        Value::Integer(number) => Some(number.to_string()),
        Value::Decimal(text) | Value::Raw(text) => Some(text.trim().to_owned()),
        _ => None,
    };
    let factor = written.and_then(|text| Decimal::parse(text.as_bytes()).ok());
    let thousandths = factor.and_then(|factor| factor.mantissa_at(3)).and_then(|value| u32::try_from(value).ok());
    thousandths.and_then(std::num::NonZeroU32::new).map(Speed::Thousandths).ok_or_else(|| {
        let remedy =
            "give \"max\" or a number of times the recorded pace from 0.001 to 4000000, at most three decimals";
        Wrong::new(format!("{} is not a speed; {remedy}", node.value))
    })
}

/// A time with an offset, as RFC 3339 writes it.
pub(crate) fn time(node: &Node) -> Parsed<UnixNanos> {
    let written = match &node.value {
        Value::Time(text) => Some(text.as_str()),
        _ => node.text(),
    };
    let time = written.and_then(|text| time::OffsetDateTime::parse(text, &Rfc3339).ok());
    time.and_then(|time| i64::try_from(time.unix_timestamp_nanos()).ok()).map(UnixNanos).ok_or_else(|| {
        let remedy = "write it with its offset, such as 2026-01-31T12:00:00Z";
        Wrong::new(format!("{} is not a point in time; {remedy}", node.value))
    })
}

/// One item or a list of them; not empty, each once.
pub(crate) fn list<T: PartialEq>(
    noun: &'static str,
    item: impl Fn(&Node) -> Parsed<T>,
) -> impl Fn(&Node) -> Parsed<Vec<T>> {
    move |node| {
        let mut values = Vec::new();
        for node in items(node) {
            // The place of the item, not of the list, unless the item knows a closer one.
            let here = |wrong: Wrong| Wrong { at: wrong.at.or_else(|| Some(node.origin.clone())), ..wrong };
            let value = item(&node).map_err(here)?;
            if values.contains(&value) {
                return Err(here(Wrong::new(format!("{} is named twice; name each {noun} once", node.value))));
            }
            values.push(value);
        }
        if values.is_empty() {
            return Err(Wrong::new(format!("empty; name at least one {noun}")));
        }
        Ok(values)
    }
}

/// As [`list`], but an empty list is one.
pub(crate) fn list_or_none<T: PartialEq>(
    noun: &'static str,
    item: impl Fn(&Node) -> Parsed<T>,
) -> impl Fn(&Node) -> Parsed<Vec<T>> {
    let filled = list(noun, item);
    move |node| if items(node).is_empty() { Ok(Vec::new()) } else { filled(node) }
}

/// A decimal number, exactly as written.
pub(crate) fn exact(node: &Node) -> Parsed<Decimal> {
    let written = match &node.value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Decimal(text) => Some(text.clone()),
        _ => node.text().map(|text| text.trim().to_owned()),
    };
    written.and_then(|text| Decimal::parse(text.as_bytes()).ok()).ok_or_else(|| {
        Wrong::new(format!("{} is not a decimal number; write it plainly, such as 10000 or \"0.5\"", node.value))
    })
}

/// A percentage from 0 to 10 %, as a share: `"0.1%"` is 0.001.
pub(crate) fn share(node: &Node) -> Parsed<Decimal> {
    let wrong = || {
        let remedy = "write a percentage from 0% to 10% with at most eight decimals, such as \"0.1%\"";
        Wrong::new(format!("{} is not a usable percentage; {remedy}", node.value))
    };
    let percent = match node.text() {
        Some(text) => Decimal::parse(text.trim().trim_end_matches('%').trim_end().as_bytes()).map_err(|_| wrong())?,
        None => exact(node).map_err(|_| wrong())?,
    };
    let is_usable = percent.mantissa() >= 0 && percent <= TEN && percent.canonical().scale() <= 8;
    let percent = percent.canonical();
    Decimal::new(percent.mantissa(), percent.scale() + 2).filter(|_| is_usable).ok_or_else(wrong)
}

/// A symbol as venues spell it: 3 to 20 capital letters and digits.
pub(crate) fn symbol(node: &Node) -> Parsed<String> {
    let symbol = text(node)?;
    let fits = (3..=20).contains(&symbol.len());
    if fits && symbol.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
        return Ok(symbol);
    }
    let remedy = "write 3 to 20 capital letters and digits, such as \"BTCUSDT\"";
    Err(Wrong::new(format!("{symbol:?} is not a symbol; {remedy}")))
}

/// A level, and `target=level` for single targets: a list, or one text with commas.
pub(crate) fn log_levels(node: &Node) -> Parsed<LogLevels> {
    let mut levels = LogLevels::default();
    let split = |node: Node| match &node.value {
        Value::Text(text) => split_at_commas(text, &node.origin),
        _ => vec![node],
    };
    for node in items(node).into_iter().flat_map(split) {
        let here = |wrong: Wrong| Wrong { at: Some(node.origin.clone()), ..wrong };
        let item = text(&node).map_err(here)?;
        match item.split_once('=') {
            Some((target, level)) => {
                let target = target.trim();
                let named = target.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'));
                if target.is_empty() || !named {
                    return Err(here(Wrong::new(format!("{item:?} names no target; write \"feedd_core=debug\""))));
                }
                levels.targets.push((target.to_owned(), level_of(level, &node.origin)?));
            }
            None => levels.default = level_of(&item, &node.origin)?,
        }
    }
    Ok(levels)
}

fn level_of(text: &str, origin: &Origin) -> Parsed<Level> {
    choice(&Node { value: Value::Text(text.trim().to_owned()), origin: origin.clone() })
        .map_err(|wrong| Wrong { at: Some(origin.clone()), ..wrong })
}

/// Letters, digits, `_` and `-`: a sink's name is a part of the names of its files.
pub(crate) fn sink_name(node: &Node) -> Parsed<String> {
    let name = text(node)?;
    if name.len() <= NAME_BYTES_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return Ok(name);
    }
    let remedy = "write 1 to 63 letters, digits, \"_\" and \"-\", such as \"archive-1\"";
    Err(Wrong::new(format!("{name:?} is not a name of a sink; {remedy}")))
}

/// `"always"`, `"os"`, or the time between two.
pub(crate) fn journal_sync(node: &Node) -> Parsed<JournalSync> {
    let range = Duration::from_millis(1)..=Duration::from_secs(10);
    match node.text() {
        Some("always") => Some(JournalSync::Always),
        Some("os") => Some(JournalSync::Os),
        Some(text) => units::duration(text).filter(|every| range.contains(every)).map(JournalSync::Every),
        None => None,
    }
    .ok_or_else(|| {
        let remedy = "give \"always\", \"os\", or a duration from \"1ms\" to \"10s\"";
        Wrong::new(format!("{} does not say when to sync; {remedy}", node.value))
    })
}

/// A host's name or address, or the folder of a Unix socket.
pub(crate) fn host(node: &Node) -> Parsed<String> {
    let host = text(node)?;
    let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    let is_folder = host.starts_with('/') && !host.contains(char::is_control);
    if is_name || is_folder || host.parse::<std::net::IpAddr>().is_ok() {
        return Ok(host);
    }
    // Often a whole URL, with a password in it.
    let remedy = "write its name or address alone, or the folder of its socket, such as \"/run/postgresql\"";
    Err(Wrong::hidden(format!("not a host; {remedy}; port, database and user have keys of their own")))
}

/// A database's or a user's name: PostgreSQL would cut a longer one.
pub(crate) fn database_name(node: &Node) -> Parsed<String> {
    let name = text(node)?;
    if name.len() <= NAME_BYTES_MAX && !name.contains(char::is_control) {
        return Ok(name);
    }
    Err(Wrong::hidden("not a name; write 1 to 63 bytes of text".to_owned()))
}

/// A schema's name, which needs no quotes in SQL.
pub(crate) fn schema_name(node: &Node) -> Parsed<String> {
    let name = text(node)?;
    if name.len() <= NAME_BYTES_MAX && is_word(&name) {
        return Ok(name);
    }
    let remedy = "write a letter or \"_\", then at most 62 letters, digits and \"_\"";
    Err(Wrong::new(format!("{name:?} is not a name of a schema; {remedy}")))
}

/// An environment variable's name; those of the configuration itself are not for secrets.
pub(crate) fn variable_name(node: &Node) -> Parsed<String> {
    let name = text(node)?;
    if !is_word(&name) {
        let remedy = "write the name of an environment variable, such as \"PGPASSWORD\", not the password itself";
        return Err(Wrong::hidden(format!("not a name of a variable; {remedy}")));
    }
    if name.starts_with("FEEDD_") {
        let message = "variables that begin with FEEDD_ are settings; choose another name, such as \"PGPASSWORD\"";
        return Err(Wrong::new(message.to_owned()));
    }
    Ok(name)
}

/// A credential's name, which is a file's name.
pub(crate) fn credential(node: &Node) -> Parsed<String> {
    let name = text(node)?;
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if is_name && !name.starts_with('.') {
        return Ok(name);
    }
    let remedy = "write its name as in LoadCredential=NAME:PATH, not the password itself";
    Err(Wrong::hidden(format!("not a name of a credential; {remedy}")))
}

/// A letter or `_`, then letters, digits and `_`.
fn is_word(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The items of a list; variables and flags separate them by commas; a single value is a list of one.
fn items(node: &Node) -> Vec<Node> {
    match &node.value {
        Value::List(items) => items.clone(),
        Value::Raw(text) => split_at_commas(text, &node.origin),
        _ => vec![node.clone()],
    }
}

fn split_at_commas(text: &str, origin: &Origin) -> Vec<Node> {
    let node = |item: &str| Node { value: Value::Raw(item.trim().to_owned()), origin: origin.clone() };
    text.split(',').filter(|item| !item.trim().is_empty()).map(node).collect()
}

const TEN: Decimal = match Decimal::new(10, 0) {
    Some(ten) => ten,
    None => Decimal::ZERO,
};

/// What PostgreSQL keeps of a name.
const NAME_BYTES_MAX: usize = 63;
/// More frames a second than any machine sends is a mistake.
const RATE_RANGE: RangeInclusive<u64> = 1..=1_000_000_000;
