//! A recording that is replayed: each connection gets it from the beginning, after its first request.

use crate::config::Replay;
use crate::http::{Answer, Request};
use crate::market::Fact;
use crate::venues::{Activity, Data, Frame, Ids, Out, Session};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Frames that a connection takes at one time: reading and pings come in between.
const FRAMES_AT_ONCE: usize = 512;

/// A recording in memory.
pub(crate) struct Recording {
    frames: Arc<[Recorded]>,
    /// Bodies by path and query.
    rest: HashMap<String, String>,
    speed_milli: Option<u64>,
}

struct Recorded {
    /// Nanoseconds after the first frame.
    at_ns: u64,
    text: String,
}

impl Recording {
    /// Reads it whole.
    pub(crate) fn read(replay: &Replay) -> Result<Self, String> {
        let path = &replay.file;
        let fail = |line: usize, what: String| format!("{}:{line}: {what}", path.display());
        let reader = open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let (mut frames, mut rest, mut asked, mut first_ns) = (Vec::new(), HashMap::new(), None, None);
        for (line, number) in reader.lines().zip(1..) {
            let line = line.map_err(|error| fail(number, error.to_string()))?;
            if line.trim().is_empty() {
                continue;
            }
            let value: Value = serde_json::from_str(&line).map_err(|error| fail(number, error.to_string()))?;
            let text = |key: &str| {
                let found = value.get(key).and_then(Value::as_str);
                found.ok_or_else(|| fail(number, format!("a line of a recording has {key}, a text")))
            };
            let (conn, dir, frame) = (text("conn")?, text("dir")?, text("frame")?);
            if conn == "rest" {
                match (dir, asked.take()) {
                    ("out", _) => asked = frame.strip_prefix("GET ").map(path_of),
                    (_, Some(asked)) => drop(rest.insert(asked, frame.to_owned())),
                    _ => {}
                }
                continue;
            }
            if dir != "in" || replay.conn.as_ref().is_some_and(|wanted| wanted != conn) {
                continue;
            }
            // Without a time: at the same time as the frame before.
            let recv_ns = value.get("recv_ns").and_then(Value::as_u64);
            let before = frames.last().map_or(0, |frame: &Recorded| frame.at_ns);
            let at_ns = recv_ns.map_or(before, |ns| ns.saturating_sub(*first_ns.get_or_insert(ns))).max(before);
            frames.push(Recorded { at_ns, text: frame.to_owned() });
        }
        if frames.is_empty() {
            let of = replay.conn.as_ref().map_or(String::new(), |conn| format!(" of connection {conn:?}"));
            return Err(format!("{}: no incoming frame{of} to replay", path.display()));
        }
        Ok(Self { frames: frames.into(), rest, speed_milli: replay.speed_milli })
    }

    /// The recorded answer to a request; when it was asked with another query, the only one of its path.
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        let mark = if request.query.is_empty() { "" } else { "?" };
        let exact = self.rest.get(&format!("{}{mark}{}", request.path, request.query));
        let symbol = request.parameter("symbol").map(|symbol| format!("symbol={symbol}"));
        let similar = || {
            self.rest.iter().find(|(known, _)| {
                known.starts_with(&request.path) && symbol.as_ref().is_none_or(|symbol| known.contains(symbol.as_str()))
            })
        };
        match exact.or_else(|| similar().map(|(_, body)| body)) {
            Some(body) => Answer::json(body.clone()),
            None => Answer::error(404, "{\"error\":\"the recording has no such answer\"}"),
        }
    }

    /// A session for one connection.
    pub(crate) fn session(&self) -> Box<dyn Session> {
        let (frames, speed_milli) = (self.frames.clone(), self.speed_milli);
        Box::new(ReplaySession { frames, speed_milli, next: 0, start: None })
    }
}

fn open(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    let file = std::fs::File::open(path)?;
    let reader: Box<dyn Read> = match path.extension().is_some_and(|end| end == "zst") {
        true => Box::new(zstd::stream::read::Decoder::new(file)?),
        false => Box::new(file),
    };
    Ok(Box::new(BufReader::new(reader)))
}

/// Path and query of a URL.
fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..]).to_owned()
}

struct ReplaySession {
    frames: Arc<[Recorded]>,
    speed_milli: Option<u64>,
    next: usize,
    start: Option<Instant>,
}

impl ReplaySession {
    /// When the next frame is due.
    fn due(&self) -> Option<Instant> {
        let (start, frame) = (self.start?, self.frames.get(self.next)?);
        Some(match self.speed_milli {
            None => start,
            Some(milli) => {
                let ns = u128::from(frame.at_ns) * 1000 / u128::from(milli.max(1));
                start + Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
            }
        })
    }
}

impl Session for ReplaySession {
    fn text(&mut self, _text: &str, _out: &mut Out<'_>) {
        // What the venue answered is part of the recording.
        self.start.get_or_insert_with(Instant::now);
    }

    fn fact(&mut self, _fact: &Fact, _serial: u64, _out: &mut Out<'_>) {}

    fn tick(&mut self, activity: &Activity, out: &mut Out<'_>) {
        for _ in 0..FRAMES_AT_ONCE {
            if self.due().is_none_or(|due| due > activity.now) {
                return;
            }
            let text = self.frames[self.next].text.clone();
            let number = self.next as u64;
            self.next += 1;
            let data =
                Data { kind: "recorded", symbol: None, ids: Ids::Range(number, number), live: true, damaged: false };
            out.frames.push(Frame { text, data: Some(data) });
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.due()
    }
}
