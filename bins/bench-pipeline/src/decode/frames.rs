//! Recorded frames in memory, sorted by venue and by what they hold.

use super::tally::Tally;
use super::typed::{self, SerdeJson, SonicRs};
use anyhow::{Context, Result, bail, ensure};
use feedd_venues::capture::{CaptureReader, Direction, expand};
use feedd_venues::decoder::{Decoder, Outcome};
use feedd_venues::message::Message;
use feedd_venues::scan::{JsonError, Scanner, TokenKind};
use feedd_venues::table::{self, Venue};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Trade,
    Quote,
    Depth,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Trade, Self::Quote, Self::Depth];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::Quote => "quote",
            Self::Depth => "depth",
        }
    }

    const fn of(message: &Message<'_>) -> Self {
        match message {
            Message::Trade(_) => Self::Trade,
            Message::Quote(_) => Self::Quote,
            Message::Book(_) => Self::Depth,
        }
    }
}

/// Frames of one kind and venue, one behind the other.
pub(super) struct Set {
    pub(super) venue: &'static Venue,
    pub(super) kind: Kind,
    text: String,
    ends: Vec<usize>,
    /// Of all its frames once.
    pub(super) tally: Tally,
    pub(super) events: u64,
}

impl Set {
    pub(super) fn frames(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.text[start..end])
    }

    pub(super) const fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.text.len()
    }

    fn new(venue: &'static Venue, kind: Kind) -> Self {
        Self { venue, kind, text: String::new(), ends: Vec::new(), tally: Tally::default(), events: 0 }
    }

    fn push(&mut self, frame: &str) {
        self.text.push_str(frame);
        self.ends.push(self.text.len());
    }

    /// The same frames with the keys of their payload from last to first; sums and events are those of the frames as
    /// sent, so a decoder that minds the order is found out.
    pub(super) fn turned_round(&self) -> Result<Self> {
        let mut turned = Self { tally: self.tally, events: self.events, ..Self::new(self.venue, self.kind) };
        for frame in self.frames() {
            turned.push(&turn_round(frame).with_context(|| format!("turning round {frame}"))?);
        }
        Ok(turned)
    }
}

/// Everything that was read.
pub(super) struct Recorded {
    /// Without those that have no frame.
    pub(super) sets: Vec<Arc<Set>>,
    /// Frames with nothing in them to measure: answers, candles.
    pub(super) frames_without_message: u64,
    /// Frames that the typed structs do not read as feedd does.
    pub(super) frames_unlike: u64,
    /// Venues without a folder of captures.
    pub(super) absent: Vec<&'static str>,
    /// Venues for which there are no typed structs to compare with.
    pub(super) incomparable: Vec<&'static str>,
}

/// The folder of captures when none is given.
pub(super) fn default_folder() -> PathBuf {
    std::env::var_os("FEEDD_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from).join("captures")
}

/// Reads the captures of every venue, or of one.
///
/// # Errors
/// When there are none, the venue is unknown, or a capture cannot be read.
pub(super) fn read(folder: &Path, only: Option<&str>) -> Result<Recorded> {
    if let Some(name) = only
        && table::venue(name).is_none()
    {
        bail!("--venue {name}: no such venue; there are {}", table::names().collect::<Vec<_>>().join(", "));
    }
    let mut all = Recorded {
        sets: Vec::new(),
        frames_without_message: 0,
        frames_unlike: 0,
        absent: Vec::new(),
        incomparable: Vec::new(),
    };
    if let Some(name) = only {
        ensure!(typed::fits(name), "--venue {name}: there are no typed structs of its frames to compare with");
    }
    for venue in table::VENUES.iter().filter(|venue| only.is_none_or(|name| venue.name == name)) {
        let captures = folder.join(venue.name);
        if !typed::fits(venue.name) {
            all.incomparable.push(venue.name);
        } else if captures.is_dir() {
            read_venue(venue, &captures, &mut all)?;
        } else {
            all.absent.push(venue.name);
        }
    }
    ensure!(
        !all.sets.is_empty(),
        "{}: no captures of {}; name a folder with a folder of captures for each venue by --captures, or set FEEDD_SHARED \
         to the folder that holds captures/",
        folder.display(),
        only.unwrap_or("any venue")
    );
    Ok(all)
}

fn read_venue(venue: &'static Venue, captures: &Path, all: &mut Recorded) -> Result<()> {
    let mut sets = Kind::ALL.map(|kind| Set::new(venue, kind));
    let mut decoder = (venue.decoder)();
    for path in expand(captures)? {
        let mut reader = CaptureReader::open(&path)?;
        while let Some(line) = reader.next_line()? {
            if line.dir == Direction::In {
                sort(line.frame, &mut *decoder, &mut sets, all);
            }
        }
    }
    all.sets.extend(sets.into_iter().filter(|set| set.len() > 0).map(Arc::new));
    Ok(())
}

/// Puts a frame where it belongs. Requests are not noted, so that it gives the same however often it is read.
fn sort(frame: &str, decoder: &mut dyn Decoder, sets: &mut [Set; 3], all: &mut Recorded) {
    let (mut kind, mut ours, mut events) = (None, Tally::default(), 0);
    let outcome = decoder.decode(CONN, frame, &mut |_: &str, message: &Message<'_>| {
        kind = Some(Kind::of(message));
        ours.message(message);
        events += match message {
            Message::Book(book) => 1 + book.bids.len() as u64 + book.asks.len() as u64,
            _ => 1,
        };
    });
    let (Outcome::Messages(1..), Some(kind)) = (outcome, kind) else {
        all.frames_without_message += 1;
        return;
    };
    let Some(set) = sets.iter_mut().find(|set| set.kind == kind) else { return };
    let readers = [typed::structs_of::<SerdeJson>(set.venue.name), typed::structs_of::<SonicRs>(set.venue.name)];
    let agrees = |read: typed::Read| {
        let mut theirs = Tally::default();
        read(kind, frame, &mut theirs).is_some() && theirs == ours
    };
    if !readers.into_iter().flatten().all(agrees) {
        all.frames_unlike += 1;
        return;
    }
    set.push(frame);
    set.tally.add(&ours);
    set.events += events;
}

/// Connection that all frames seem to come from.
pub(super) const CONN: &str = "ws-1";

/// A frame with the members of `data`, or its own when it has none, from last to first; of a list, the members of the
/// objects in it.
fn turn_round(frame: &str) -> Result<String, JsonError> {
    if frame.starts_with('[') {
        return turn_list(frame);
    }
    let members = members(frame)?;
    let data = members.iter().find(|member| member.key == "data" && member.is_object);
    let Some(data) = data else { return Ok(joined(&members)) };
    let inner = frame.get(data.value_at..data.end).unwrap_or("");
    let turned = joined(&self::members(inner)?);
    Ok(format!("{}{turned}{}", &frame[..data.value_at], &frame[data.end..]))
}

fn turn_list(frame: &str) -> Result<String, JsonError> {
    let mut scanner = Scanner::new(frame)?;
    let mut elements = Vec::new();
    let mut more = scanner.open_array()?;
    while more {
        scanner.peek();
        let start = scanner.mark().0;
        let is_object = scanner.value()?.kind == TokenKind::Object;
        let text = &frame[start..scanner.mark().0];
        elements.push(if is_object { joined(&members(text)?) } else { text.to_owned() });
        more = scanner.next_element()?;
    }
    scanner.end()?;
    Ok(format!("[{}]", elements.join(",")))
}

struct Member<'a> {
    key: &'a str,
    text: &'a str,
    value_at: usize,
    end: usize,
    is_object: bool,
}

fn members(object: &str) -> Result<Vec<Member<'_>>, JsonError> {
    let mut scanner = Scanner::new(object)?;
    let mut members = Vec::new();
    let mut more = scanner.open_object()?;
    while more {
        scanner.peek();
        let start = scanner.mark().0;
        let key = scanner.key()?.text(object);
        scanner.peek();
        let value_at = scanner.mark().0;
        let is_object = scanner.value()?.kind == TokenKind::Object;
        let end = scanner.mark().0;
        members.push(Member { key, text: &object[start..end], value_at, end, is_object });
        more = scanner.next_member()?;
    }
    scanner.end()?;
    Ok(members)
}

fn joined(members: &[Member<'_>]) -> String {
    let texts: Vec<&str> = members.iter().rev().map(|member| member.text).collect();
    format!("{{{}}}", texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_turned_round_and_nothing_else() {
        let cases = [
            (
                r#"{"stream":"x@trade","data":{"a":1,"b":[2,{"c":3}],"d":"e"}}"#,
                r#"{"stream":"x@trade","data":{"d":"e","b":[2,{"c":3}],"a":1}}"#,
            ),
            (r#"{"u":1,"s":"X"}"#, r#"{"s":"X","u":1}"#),
            (r#"{"data":null,"u":{}}"#, r#"{"u":{},"data":null}"#),
            ("{}", "{}"),
            (r#"[7,{"b":[["1","2"]],"c":"3"},"book-10"]"#, r#"[7,{"c":"3","b":[["1","2"]]},"book-10"]"#),
        ];
        for (frame, expected) in cases {
            assert_eq!(turn_round(frame).as_deref(), Ok(expected));
        }
        assert!(turn_round("1").is_err() && turn_round("[1").is_err());
    }
}
