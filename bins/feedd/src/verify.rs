//! `feedd verify`: whether what the sinks hold, what is in quarantine and what the journal still has add up, start by start.

use crate::cli::VerifyArgs;
use crate::commands::{Verdict, run, write_json, write_table};
use anyhow::{Context, Result, bail};
use feedd_config::{Config, Sink as SinkSettings, SinkKind};
use feedd_core::data_dir::{peek, recorder_of};
use feedd_core::{EpochAudit, Instruments, SinkError, error_text};
use feedd_delivery::{EntryState, Quarantine, QuarantineError, list_quarantine};
use feedd_journal::{Recovered, inspect};
use feedd_model::{Epoch, Seq, StreamId};
use feedd_run::identity::{Facts, JournalSpan, Judgement, judge};
use feedd_run::registry;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

/// Version of the JSON that `feedd verify --json` prints.
const VERSION: u32 = 1;

pub(crate) fn verify(args: &VerifyArgs) -> ExitCode {
    run(&args.config, |config, out| check(config, args, out))
}

/// One start of one sink.
struct Line {
    sink: String,
    epoch: Epoch,
    counted: Counted,
    facts: Facts,
    judged: Judgement,
}

/// What a sink said of a start.
enum Counted {
    Audit(EpochAudit),
    /// This kind of sink cannot tell.
    CannotTell,
    /// The store is not as it must be.
    Broken(String),
}

fn check(config: &Config, args: &VerifyArgs, out: &mut dyn Write) -> Result<Verdict> {
    let dir = &config.data.dir;
    let Some((stream, current)) = peek(dir)? else {
        bail!("nothing was ever recorded to {}; is data.dir the one the recorder was given?", dir.display());
    };
    let running = recorder_of(dir)?;
    let epochs: Vec<Epoch> = match args.epochs.as_slice() {
        [] => (1..=current.0).map(Epoch).collect(),
        given => given.iter().copied().map(Epoch).collect(),
    };
    if let Some(unknown) = epochs.iter().find(|epoch| **epoch > current) {
        bail!("epoch {unknown} is above {current}, the newest start of {}", dir.display());
    }
    // The sinks first, then their quarantine, then the journal: what was stored then is in what is read later.
    let mut lines = Vec::new();
    for settings in &config.sinks {
        lines.extend(count(config, settings, stream, &epochs)?);
    }
    let journal = journal(config)?;
    // A recorder that was started meanwhile moves as well.
    let running = running.or(recorder_of(dir)?);
    for line in &mut lines {
        line.facts.journal = span(&journal, stream, line.epoch);
        line.facts.moving = running.is_some();
        line.judged = match &line.counted {
            Counted::Audit(_) => judge(&line.facts),
            Counted::CannotTell => Judgement::default(),
            Counted::Broken(fault) => Judgement { faults: vec![fault.clone()], ..Judgement::default() },
        };
    }
    let pass = lines.iter().all(|line| line.judged.faults.is_empty());
    if args.json {
        let lines = lines.iter().map(Line::json).collect::<Vec<_>>();
        let value = json!({
            "version": VERSION, "stream": stream.0, "epoch": current.0, "running": running, "pass": pass, "lines": lines,
        });
        write_json(out, &value)?;
    } else {
        show(out, stream, current, running.as_deref(), &lines)?;
    }
    Ok(Verdict::of(pass))
}

/// Asks a sink for each of the starts. A sink that cannot tell gets one line.
fn count(config: &Config, settings: &SinkSettings, stream: StreamId, epochs: &[Epoch]) -> Result<Vec<Line>> {
    // No event is written or made, so no instrument has to be known.
    let mut sink = registry::sink(settings, config, &Instruments::in_memory())?;
    let mut lines = Vec::new();
    for &epoch in epochs {
        let counted = match sink.audit(stream, epoch) {
            Ok(Some(audit)) => Counted::Audit(audit),
            Ok(None) => Counted::CannotTell,
            Err(error @ SinkError::Fatal { .. }) => Counted::Broken(error_text(&error)),
            Err(error) => return Err(error).with_context(|| format!("counting what sink {} holds", settings.name)),
        };
        let audit = if let Counted::Audit(audit) = counted { audit } else { EpochAudit::default() };
        let facts = Facts { audit, may_be_early: settings.kind == SinkKind::Parquet, ..Facts::default() };
        let cannot_tell = matches!(counted, Counted::CannotTell);
        lines.push(Line { sink: settings.name.clone(), epoch, counted, facts, judged: Judgement::default() });
        if cannot_tell {
            break;
        }
    }
    let mut waiting = quarantined(config, &settings.name, stream)?;
    for line in &mut lines {
        line.facts.quarantined = waiting.remove(&line.epoch).unwrap_or_default();
    }
    Ok(lines)
}

/// What waits in a sink's quarantine, by start.
fn quarantined(config: &Config, sink: &str, stream: StreamId) -> Result<BTreeMap<Epoch, Vec<Seq>>> {
    let mut waiting: BTreeMap<Epoch, Vec<Seq>> = BTreeMap::new();
    for entry in list_quarantine(&Quarantine::path_in(&config.data.dir, sink))? {
        match entry {
            Ok(entry) if entry.identity.stream == stream && entry.state == EntryState::Pending => {
                let seqs = entry.identities().map(|identity| identity.seq);
                waiting.entry(entry.identity.epoch).or_default().extend(seqs);
            }
            Ok(_) => {}
            Err(error @ QuarantineError::Damaged { .. }) => eprintln!("feedd: {}", error_text(&error)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(waiting)
}

fn journal(config: &Config) -> Result<Recovered> {
    let dir = &config.journal.dir;
    if !dir.is_dir() {
        return Ok(Recovered::default());
    }
    inspect(dir).with_context(|| format!("reading the journal in {}", dir.display()))
}

/// The journal's part of one start. Events that are known to be lost count as known.
fn span(found: &Recovered, stream: StreamId, epoch: Epoch) -> Option<JournalSpan> {
    let span = found.epochs.iter().find(|span| (span.stream, span.epoch) == (stream, epoch))?;
    let lost: Vec<(Seq, Seq)> = found
        .damage
        .iter()
        .filter_map(|damage| damage.lost)
        .filter(|(_, last)| last.epoch == epoch)
        .map(|(first, last)| (if first.epoch == epoch { first.seq } else { Seq(1) }, last.seq))
        .collect();
    let last = lost.iter().map(|(_, last)| *last).max().unwrap_or_default().max(span.last);
    // A start without a single event left: what is lost of it begins behind the last one.
    let first = if span.first <= span.last { span.first } else { last.next() };
    (last > Seq(0)).then_some(JournalSpan { first, last, lost })
}

fn show(out: &mut dyn Write, stream: StreamId, current: Epoch, running: Option<&str>, lines: &[Line]) -> Result<()> {
    writeln!(out, "stream {stream}, newest start {current}")?;
    if let Some(pid) = running {
        writeln!(
            out,
            "process {pid} is recording: numbers move while they are read, and only what holds at every moment is judged"
        )?;
    }
    let heads = [
        "sink",
        "epoch",
        "stored_seq",
        "rows",
        "dropped",
        "markers",
        "missed",
        "quarantined",
        "early",
        "journal",
        "pending",
        "",
    ];
    write_table(out, heads, &lines.iter().map(Line::cells).collect::<Vec<_>>())?;
    for line in lines {
        for fault in &line.judged.faults {
            writeln!(out, "{} epoch {}: {fault}", line.sink, line.epoch)?;
        }
    }
    for line in lines.iter().filter(|line| line.facts.audit.dropped_rows > 0) {
        let rows = line.facts.audit.dropped_rows;
        writeln!(out, "{} epoch {}: dropped by retention: {rows} rows", line.sink, line.epoch)?;
    }
    for line in lines.iter().filter(|line| matches!(line.counted, Counted::CannotTell)) {
        writeln!(out, "{}: this kind of sink cannot tell what it holds", line.sink)?;
    }
    let pass = lines.iter().all(|line| line.judged.faults.is_empty());
    writeln!(out, "{}", if pass { "PASS" } else { "FAIL" })?;
    Ok(())
}

impl Line {
    fn word(&self) -> &'static str {
        match &self.counted {
            Counted::CannotTell => "-",
            _ if self.judged.faults.is_empty() => "PASS",
            _ => "FAIL",
        }
    }

    fn cells(&self) -> [String; 12] {
        let mut cells = std::array::from_fn(|_| "-".to_owned());
        cells[0].clone_from(&self.sink);
        cells[11] = self.word().to_owned();
        if matches!(self.counted, Counted::CannotTell) {
            return cells;
        }
        cells[1] = self.epoch.to_string();
        if let Counted::Audit(audit) = &self.counted {
            let numbers = [audit.stored_seq.0, audit.rows, audit.dropped_rows, audit.markers, audit.missed];
            cells[2..7].clone_from_slice(&numbers.map(|number| number.to_string()));
            cells[7] = self.judged.quarantined.to_string();
            cells[8] = audit.beyond.to_string();
        }
        if let Some(journal) = &self.facts.journal {
            cells[9] = format!("{}..={}", journal.first, journal.last);
        }
        if let Some(pending) = self.judged.pending {
            cells[10] = pending.to_string();
        }
        cells
    }

    fn json(&self) -> Value {
        let audit = match &self.counted {
            Counted::Audit(audit) => Some(json!({
                "stored_seq": audit.stored_seq.0, "rows": audit.rows, "duplicates": audit.duplicates,
                "beyond": audit.beyond, "markers": audit.markers, "missed": audit.missed,
                "dropped_rows": audit.dropped_rows,
            })),
            Counted::CannotTell | Counted::Broken(_) => None,
        };
        let journal = self.facts.journal.as_ref();
        let pass = !matches!(self.counted, Counted::CannotTell);
        json!({
            "sink": self.sink, "epoch": self.epoch.0, "audit": audit, "quarantined": self.judged.quarantined,
            "journal": journal.map(|span| json!({ "first": span.first.0, "last": span.last.0 })),
            "pending": self.judged.pending, "pass": pass.then_some(self.judged.faults.is_empty()),
            "faults": self.judged.faults,
        })
    }
}
