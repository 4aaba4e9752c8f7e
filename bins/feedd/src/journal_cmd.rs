//! `feedd journal`: looks into the journal without locking or changing it, also beside a running recorder.

use crate::cli::{DumpArgs, JournalCommand, RepairArgs, StatArgs};
use crate::commands::{Verdict, bytes_text, first_record, run, time_text, write_json, write_table};
use anyhow::{Context, Result, bail};
use feedd_config::Config;
use feedd_core::Instrument;
use feedd_core::data_dir::{peek, recorder_of};
use feedd_delivery::event_fields;
use feedd_journal::{
    Dump, DumpFrame, EpochSpan, FrameKind, JournalError, Recovered, Repair, dump, inspect, repair_plan,
};
use feedd_model::{Epoch, Position, Seq, StreamId, UnixNanos};
use feedd_telemetry::grouped;
use serde_json::json;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Version of the JSON that `feedd journal stat --json` and `feedd journal dump --events` print.
const JSON_VERSION: u32 = 1;

pub(crate) fn journal(command: &JournalCommand) -> ExitCode {
    match command {
        JournalCommand::Verify(args) => run(args, verify),
        JournalCommand::Stat(args) => run(&args.config, |config, out| stat(config, args, out)),
        JournalCommand::Dump(args) => run(&args.config, |config, out| print_frames(config, args, out)),
        JournalCommand::Repair(args) => run(&args.config, |config, out| repair(config, args, out)),
    }
}

/// The journal's folder, which must be there.
fn folder(config: &Config) -> Result<&Path> {
    let dir = config.journal.dir.as_path();
    if !dir.is_dir() {
        bail!("no journal in {}; is data.dir or journal.dir the one the recorder was given?", dir.display());
    }
    Ok(dir)
}

fn look(config: &Config) -> Result<Recovered> {
    let dir = folder(config)?;
    inspect(dir).with_context(|| format!("reading the journal in {}", dir.display()))
}

/// The start that is being recorded, and by which process.
fn running(config: &Config) -> Result<Option<(StreamId, Epoch, String)>> {
    let Some(pid) = recorder_of(&config.data.dir)? else { return Ok(None) };
    Ok(peek(&config.data.dir)?.map(|(stream, epoch)| (stream, epoch, pid)))
}

fn verify(config: &Config, out: &mut dyn Write) -> Result<Verdict> {
    let running = running(config)?;
    let found = look(config)?;
    let dir = config.journal.dir.display();
    let (bytes, events) = (bytes_text(found.bytes), grouped(found.events));
    writeln!(out, "journal in {dir}: {} segment(s), {bytes}, {events} events, every checksum read", found.segments)?;
    if let Some((_, epoch, pid)) = &running {
        writeln!(out, "process {pid} is recording epoch {epoch}: what it writes meanwhile may be missing below")?;
    }
    let rows = found.epochs.iter().map(|span| {
        let (first, last) = seq_texts(span);
        [span.stream.to_string(), span.epoch.to_string(), first, last, ending(span, running.as_ref())]
    });
    write_table(out, ["stream", "epoch", "first", "last", "ended"], &rows.collect::<Vec<_>>())?;
    for damage in &found.damage {
        let (file, lost) = (damage.file.display(), lost_text(damage.lost));
        writeln!(out, "damaged: {file} at {}, {} bytes; {lost}", damage.offset, damage.bytes)?;
    }
    if found.torn_bytes > 0 {
        writeln!(out, "torn: {} bytes at the end, of a commit that never was durable", found.torn_bytes)?;
    }
    match found.damage.len() {
        0 => writeln!(out, "sound")?,
        places => writeln!(out, "DAMAGED in {places} place(s)")?,
    }
    Ok(Verdict::of(found.damage.is_empty()))
}

/// First and last sequence present; a dash when there is none.
fn seq_texts(span: &EpochSpan) -> (String, String) {
    match span.first <= span.last {
        true => (span.first.to_string(), span.last.to_string()),
        false => ("-".to_owned(), "-".to_owned()),
    }
}

fn ending(span: &EpochSpan, running: Option<&(StreamId, Epoch, String)>) -> String {
    match (span.ended, running) {
        (Some(at), _) => format!("stopped {}", time_text(at)),
        (None, Some((stream, epoch, pid))) if (span.stream, span.epoch) == (*stream, *epoch) => {
            format!("running, process {pid}")
        }
        (None, _) => "killed".to_owned(),
    }
}

fn lost_text(lost: Option<(Position, Position)>) -> String {
    lost.map_or_else(
        || "no event is known to be lost".to_owned(),
        |(first, last)| format!("lost: epoch {} seq {}..={}", last.epoch, first.seq, last.seq),
    )
}

fn stat(config: &Config, args: &StatArgs, out: &mut dyn Write) -> Result<Verdict> {
    let found = look(config)?;
    let oldest = oldest(&config.journal.dir)?;
    let present = |span: &&EpochSpan| span.first <= span.last;
    let newest = found.epochs.iter().rfind(present).map(|span| Position { epoch: span.epoch, seq: span.last });
    let bytes_max = config.journal.bytes_max;
    if args.json {
        let event = |(position, at): (Position, Option<UnixNanos>)| json!({ "epoch": position.epoch.0, "seq": position.seq.0, "at": at.map(|at| at.0) });
        let value = json!({
            "version": JSON_VERSION, "dir": config.journal.dir, "segments": found.segments, "bytes": found.bytes,
            "bytes_max": bytes_max, "events": found.events, "epochs": found.epochs.len(),
            "oldest": oldest.map(|(position, at)| event((position, Some(at)))),
            "newest": newest.map(|position| event((position, found.last_event_at))),
            "torn_bytes": found.torn_bytes, "damaged": found.damage.len(),
        });
        write_json(out, &value)?;
        return Ok(Verdict::Good);
    }
    let percent = found.bytes.saturating_mul(100) / bytes_max.max(1);
    let (bytes, of) = (bytes_text(found.bytes), bytes_text(bytes_max));
    writeln!(out, "segments  {}", found.segments)?;
    writeln!(out, "bytes     {bytes} of {of} ({percent} %)")?;
    writeln!(out, "events    {} of {} start(s)", grouped(found.events), found.epochs.len())?;
    let text = |at: Option<UnixNanos>| at.map_or_else(String::new, |at| format!(" at {}", time_text(at)));
    let none = || "none".to_owned();
    let event = oldest.map_or_else(none, |(position, at)| format!("{position}{}", text(Some(at))));
    writeln!(out, "oldest    {event}")?;
    let event = newest.map_or_else(none, |position| format!("{position}{}", text(found.last_event_at)));
    writeln!(out, "newest    {event}")?;
    writeln!(out, "damaged   {} place(s)", found.damage.len())?;
    Ok(Verdict::Good)
}

/// The oldest event, and when it was journalled.
fn oldest(dir: &Path) -> Result<Option<(Position, UnixNanos)>> {
    for frame in dump(dir)? {
        let Some(frame) = present(frame)? else { continue };
        if frame.kind == FrameKind::Events {
            return Ok(Some((Position { epoch: frame.epoch, seq: frame.first }, frame.at)));
        }
    }
    Ok(None)
}

/// A segment that is gone was trimmed by a running recorder meanwhile.
fn present(frame: Result<DumpFrame, JournalError>) -> Result<Option<DumpFrame>> {
    match frame {
        Ok(frame) => Ok(Some(frame)),
        Err(JournalError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn print_frames(config: &Config, args: &DumpArgs, out: &mut dyn Write) -> Result<Verdict> {
    let mut frames = dump(folder(config)?)?;
    let mut names = HashMap::new();
    let (mut left, mut damaged) = (args.limit.unwrap_or(u64::MAX), 0u64);
    while left > 0 {
        let Some(frame) = frames.next() else { break };
        let Some(frame) = present(frame)? else { continue };
        damaged += u64::from(frame.kind == FrameKind::Damaged);
        if frame.kind == FrameKind::Dictionary {
            learn(&mut names, frame.stream, frames.instruments());
        }
        if !args.events {
            writeln!(out, "{}", frame_line(&frame))?;
            left -= 1;
        } else if frame.kind == FrameKind::Events {
            left -= print_events(out, &frame, &frames, &names, left)?;
        } else if matches!(frame.kind, FrameKind::Damaged | FrameKind::Torn) {
            eprintln!("feedd: {}", frame_line(&frame));
        }
    }
    Ok(Verdict::of(damaged == 0))
}

type Names = HashMap<(StreamId, u32), Instrument>;

/// Takes in a dictionary of the journal. Ids belong to one stream.
fn learn(names: &mut Names, stream: StreamId, text: &[u8]) {
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice::<Instrument>(line) {
            Ok(instrument) => {
                names.insert((stream, instrument.id), instrument);
            }
            Err(error) => eprintln!("feedd: a line of the journal's dictionary is not understood: {error}"),
        }
    }
}

/// Prints up to `limit` lines of the frame that was read last, one for each event or derived record, and says how many.
fn print_events(out: &mut dyn Write, frame: &DumpFrame, frames: &Dump, names: &Names, limit: u64) -> Result<u64> {
    let mut printed = 0;
    let (mut rest, mut seq) = (frames.events(), frame.first.0);
    while !rest.is_empty() && printed < limit {
        let slots = first_record(rest);
        let name = names.get(&(frame.stream, slots[0].instrument().0));
        let value = json!({
            "version": JSON_VERSION, "segment": frame.segment, "offset": frame.offset, "stream": frame.stream.0,
            "epoch": frame.epoch.0, "seq": seq, "source": frame.source.0, "at": frame.at.0,
            "venue": name.map(|name| &*name.venue), "symbol": name.map(|name| &*name.symbol),
            "event": event_fields(slots)?,
        });
        write_json(out, &value)?;
        (rest, seq, printed) = (&rest[slots.len()..], seq + slots.len() as u64, printed + 1);
    }
    Ok(printed)
}

/// `segment 1 at 4096: events, 4096 bytes, epoch 1 seq 1..=63 (63), source 0, 2026-01-01T00:00:00Z`.
fn frame_line(frame: &DumpFrame) -> String {
    let DumpFrame { segment, offset, bytes, epoch, first, count, .. } = frame;
    let place = format!("segment {segment} at {offset}");
    let kind = kind_name(frame.kind);
    let at = || time_text(frame.at);
    match frame.kind {
        FrameKind::Events => {
            let last = Seq(first.0 + u64::from(*count).saturating_sub(1));
            format!(
                "{place}: {kind}, {bytes} bytes, epoch {epoch} seq {first}..={last} ({count}), source {}, {}",
                frame.source,
                at()
            )
        }
        FrameKind::Damaged | FrameKind::Torn => format!("{place}: {kind}, {bytes} bytes"),
        FrameKind::Dictionary => {
            format!("{place}: {kind}, {bytes} bytes, epoch {epoch}, {count} instruments, {}", at())
        }
        FrameKind::Seal | FrameKind::CleanStop => {
            format!("{place}: {kind}, {bytes} bytes, epoch {epoch} up to seq {first}, {}", at())
        }
        FrameKind::Segment | FrameKind::EpochStart => {
            format!("{place}: {kind}, {bytes} bytes, stream {} epoch {epoch}, {}", frame.stream, at())
        }
    }
}

const fn kind_name(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Segment => "segment head",
        FrameKind::Dictionary => "dictionary",
        FrameKind::Events => "events",
        FrameKind::EpochStart => "start",
        FrameKind::CleanStop => "stop",
        FrameKind::Seal => "seal",
        FrameKind::Damaged => "DAMAGED",
        FrameKind::Torn => "torn",
    }
}

fn repair(config: &Config, args: &RepairArgs, out: &mut dyn Write) -> Result<Verdict> {
    if !args.dry_run {
        bail!("there is nothing to run: every start repairs the journal by itself; --dry-run shows what it would do");
    }
    let dir = folder(config)?;
    let plan = repair_plan(dir).with_context(|| format!("reading the journal in {}", dir.display()))?;
    let mut damaged = false;
    for step in &plan {
        damaged |= !matches!(step, Repair::CutTornTail { .. });
        match step {
            Repair::CutTornTail { bytes } => {
                writeln!(out, "leave out {bytes} bytes at the end, of a commit that never was durable")?;
            }
            Repair::SetAside { file, offset, bytes, quarantine, lost } => {
                let (file, copy, lost) = (file.display(), quarantine.display(), lost_text(*lost));
                writeln!(out, "copy {bytes} bytes of {file} at {offset} to {copy} and go on behind them; {lost}")?;
            }
            Repair::ReportLost { file, lost } => {
                writeln!(out, "mark what is gone with {} as missing; {}", file.display(), lost_text(*lost))?;
            }
        }
    }
    if plan.is_empty() {
        writeln!(out, "nothing: the journal is sound")?;
    }
    Ok(Verdict::of(!damaged))
}
