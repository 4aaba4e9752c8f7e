//! `feedd quarantine`: events that a sink refused. Listing needs nothing; retrying works beside a running recorder for sinks
//! that can take it, and asks for a stopped one where files are written.

use crate::cli::{ListArgs, QuarantineCommand, RetryArgs};
use crate::commands::{Verdict, run, time_text, write_json, write_table};
use anyhow::{Context, Result, bail};
use feedd_config::{Config, Sink as SinkSettings, SinkKind};
use feedd_core::data_dir::{STATE_DIR, lock};
use feedd_core::{Clock, Instrument, Instruments, Sink, SinkError, SystemClock, error_text};
use feedd_delivery::{Entry, EntryState, Identity, Quarantine, QuarantineError, event_fields, list_quarantine};
use feedd_model::{InstrumentId, Position};
use feedd_run::registry;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Version of the JSON lines that `feedd quarantine list --json` prints.
const LIST_VERSION: u32 = 1;
/// Events whose storing is noted with one sync. Those of an unfinished note are stored again, which is safe.
const MARK_EVERY: usize = 256;

pub(crate) fn quarantine(command: &QuarantineCommand) -> ExitCode {
    match command {
        QuarantineCommand::List(args) => {
            let (config, names) = args.config.sink_names();
            run(&config, |config, out| list(config, &names, args, out))
        }
        QuarantineCommand::Retry(args) => {
            let (config, names) = args.config.sink_names();
            run(&config, |config, out| retry(config, &names, args, out))
        }
    }
}

/// The quarantines of the named sinks, or of all that have one: also of sinks that are no longer configured.
fn files(config: &Config, names: &[String]) -> Result<Vec<(String, PathBuf)>> {
    let path_of = |name: &str| Quarantine::path_in(&config.data.dir, name);
    let mut found = BTreeSet::new();
    for name in names {
        if !config.sinks.iter().any(|sink| sink.name == *name) && !path_of(name).is_file() {
            bail!("no sink {name:?} is configured, and none of that name has a quarantine");
        }
        found.insert(name.clone());
    }
    if names.is_empty() {
        let any = path_of("any");
        let folder = any.parent().unwrap_or(&config.data.dir);
        let listing = match std::fs::read_dir(folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("listing {}", folder.display())),
        };
        for entry in listing {
            let path = entry.with_context(|| format!("listing {}", folder.display()))?.path();
            let name = path.file_stem().and_then(|name| name.to_str()).map(str::to_owned);
            found.extend(name.filter(|name| path_of(name) == path));
        }
    }
    Ok(found.into_iter().map(|name| (name.clone(), path_of(&name))).collect())
}

fn list(config: &Config, names: &[String], args: &ListArgs, out: &mut dyn Write) -> Result<Verdict> {
    let (mut rows, mut damaged) = (Vec::new(), 0u64);
    for (name, path) in files(config, names)? {
        for entry in list_quarantine(&path)? {
            let entry = match entry {
                Ok(entry) if args.all || entry.state == EntryState::Pending => entry,
                Ok(_) => continue,
                Err(error @ QuarantineError::Damaged { .. }) => {
                    eprintln!("feedd: {}", error_text(&error));
                    damaged += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if args.json {
                write_entry(out, &name, &entry)?;
            } else {
                rows.push(cells(&name, &entry));
            }
        }
    }
    if !args.json && rows.is_empty() {
        writeln!(out, "no event waits in quarantine")?;
    } else if !args.json {
        let heads = ["sink", "epoch", "seq", "refused at", "venue", "symbol", "kind", "state", "reason"];
        write_table(out, heads, &rows)?;
    }
    Ok(Verdict::of(damaged == 0))
}

fn kind(entry: &Entry) -> &str {
    entry.fields.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default()
}

fn cells(sink: &str, entry: &Entry) -> [String; 9] {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    [
        sink.to_owned(),
        entry.identity.epoch.to_string(),
        entry.identity.seq.to_string(),
        time_text(entry.refused_at),
        or_dash(&entry.venue),
        or_dash(&entry.symbol),
        kind(entry).to_owned(),
        match entry.state {
            EntryState::Pending => "waits".to_owned(),
            EntryState::Retried { at } => format!("stored {}", time_text(at)),
        },
        entry.reason.clone(),
    ]
}

fn write_entry(out: &mut dyn Write, sink: &str, entry: &Entry) -> Result<()> {
    let Identity { stream, epoch, seq } = entry.identity;
    let stored_at = match entry.state {
        EntryState::Pending => None,
        EntryState::Retried { at } => Some(at.0),
    };
    let value = json!({
        "version": LIST_VERSION, "sink": sink, "stream": stream.0, "epoch": epoch.0, "seq": seq.0,
        "refused_at": entry.refused_at.0, "reason": entry.reason, "venue": entry.venue, "symbol": entry.symbol,
        "event": event_fields(&entry.events)?, "stored_at": stored_at,
    });
    Ok(write_json(out, &value)?)
}

fn retry(config: &Config, names: &[String], args: &RetryArgs, out: &mut dyn Write) -> Result<Verdict> {
    let mut total = Retried::default();
    let mut asked: BTreeSet<Position> = args.seqs.iter().copied().collect();
    let wanted = (!asked.is_empty()).then(|| asked.clone());
    for (name, path) in files(config, names)? {
        let Some(settings) = config.sinks.iter().find(|sink| sink.name == name) else {
            if names.contains(&name) {
                bail!("no sink {name:?} is configured; configure it as it was when it refused the events");
            }
            eprintln!("feedd: sink {name} is not configured; its events stay in {}", path.display());
            total.remaining += pending(&path, wanted.as_ref())?;
            continue;
        };
        let mut one = Retry { name: &name, out: &mut *out, done: Vec::new(), retried: Retried::default() };
        one.run(config, settings, &path, wanted.as_ref(), &mut asked)?;
        total.add(one.retried);
    }
    if let Some(place) = asked.first() {
        bail!("no event of {place} is in quarantine; `feedd quarantine list` shows those that are");
    }
    eprintln!("feedd: {} stored, {} had been stored before, {} remain", total.stored, total.known, total.remaining);
    Ok(Verdict::of(total.remaining == 0))
}

fn pending(path: &Path, wanted: Option<&BTreeSet<Position>>) -> Result<u64> {
    let entries = list_quarantine(path)?.flatten();
    Ok(entries.filter(|entry| entry.state == EntryState::Pending && is_wanted(entry, wanted)).count() as u64)
}

fn place(entry: &Entry) -> Position {
    Position { epoch: entry.identity.epoch, seq: entry.identity.seq }
}

fn is_wanted(entry: &Entry, wanted: Option<&BTreeSet<Position>>) -> bool {
    wanted.is_none_or(|wanted| wanted.contains(&place(entry)))
}

#[derive(Clone, Copy, Debug, Default)]
struct Retried {
    stored: u64,
    /// Found in the store.
    known: u64,
    remaining: u64,
}

impl Retried {
    fn add(&mut self, other: Self) {
        self.stored += other.stored;
        self.known += other.known;
        self.remaining += other.remaining;
    }
}

/// One sink's quarantine being offered again.
struct Retry<'a> {
    name: &'a str,
    out: &'a mut dyn Write,
    /// In the store, and not noted in the file yet.
    done: Vec<Identity>,
    retried: Retried,
}

impl Retry<'_> {
    fn run(
        &mut self,
        config: &Config,
        settings: &SinkSettings,
        path: &Path,
        wanted: Option<&BTreeSet<Position>>,
        asked: &mut BTreeSet<Position>,
    ) -> Result<()> {
        // A sink that writes files does not share them with a recorder.
        let _lock = match settings.kind {
            SinkKind::Parquet => Some(lock(&config.data.dir).context("storing into the files of the Parquet sink")?),
            SinkKind::Postgres | SinkKind::Null => None,
        };
        let instruments = known_instruments(&config.data.dir)?;
        let mut sink = registry::sink(settings, config, &instruments)?;
        let quarantine = Quarantine::open(path, config.quarantine.bytes_max, instruments)?;
        let mut given_up = false;
        for entry in list_quarantine(path)? {
            let entry = match entry {
                Ok(entry) => entry,
                // Told when the quarantine was opened.
                Err(QuarantineError::Damaged { .. }) => {
                    self.retried.remaining += u64::from(wanted.is_none());
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if !is_wanted(&entry, wanted) {
                continue;
            }
            asked.remove(&place(&entry));
            if entry.state != EntryState::Pending {
                continue;
            }
            if given_up {
                self.retried.remaining += 1;
                continue;
            }
            given_up = !self.offer(&mut *sink, &entry)?;
            if self.done.len() >= MARK_EVERY {
                self.mark(&quarantine)?;
            }
        }
        self.mark(&quarantine)?;
        make_room(&quarantine, config.quarantine.bytes_max)
    }

    /// Offers one event once. False when offering others makes no sense.
    fn offer(&mut self, sink: &mut dyn Sink, entry: &Entry) -> Result<bool> {
        let Identity { stream, epoch, seq } = entry.identity;
        let which = format!("{} epoch {epoch} seq {seq}", self.name);
        match sink.store_late(stream, epoch, seq, &entry.events) {
            Ok(new) => {
                self.done.push(entry.identity);
                self.retried.stored += u64::from(new);
                self.retried.known += u64::from(!new);
                writeln!(self.out, "{which}: {}", if new { "stored" } else { "had been stored before" })?;
                Ok(true)
            }
            Err(SinkError::Refused { reason, .. }) => {
                self.retried.remaining += 1;
                writeln!(self.out, "{which}: refused: {reason}")?;
                Ok(true)
            }
            Err(error) => {
                self.retried.remaining += 1;
                writeln!(self.out, "{which}: not stored: {}", error_text(&error))?;
                Ok(false)
            }
        }
    }

    fn mark(&mut self, quarantine: &Quarantine) -> Result<()> {
        quarantine.mark_stored(&self.done, SystemClock::new().wall())?;
        self.done.clear();
        Ok(())
    }
}

/// What was stored stays listed, as long as it takes no more than half of the room for what may come.
fn make_room(quarantine: &Quarantine, bytes_max: u64) -> Result<()> {
    let bytes = match std::fs::metadata(quarantine.path()) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", quarantine.path().display())),
    };
    if bytes > bytes_max / 2 {
        let events = quarantine.drop_stored()?;
        eprintln!("feedd: took {events} stored event(s) out of {} to make room", quarantine.path().display());
    }
    Ok(())
}

/// The instruments of a data folder with their ids, read without changing the file: a recorder may be adding to it.
fn known_instruments(data_dir: &Path) -> Result<Instruments> {
    let path = data_dir.join(STATE_DIR).join("instruments.jsonl");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let instruments = Instruments::in_memory();
    // What follows the last line feed is being written, and was never used.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let entry: Instrument = serde_json::from_str(line).with_context(|| format!("reading {}", path.display()))?;
        if instruments.resolve(&entry.venue, &entry.symbol)? != InstrumentId(entry.id) {
            bail!("{}: id {} out of order; restore the file from a copy", path.display(), entry.id);
        }
    }
    Ok(instruments)
}
