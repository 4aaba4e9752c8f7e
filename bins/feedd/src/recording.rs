//! What `--from` names, as a source: a folder of the Parquet sink, captures, or public files of trades.

use anyhow::{Context, Result, bail};
use feedd_core::Source;
use feedd_core::histogram::Histogram;
use feedd_core::pace::Speed;
use feedd_core::playback::{Pause, Playback};
use feedd_core::source::Progress;
use feedd_replay::{LINE_FAULTS, ReplayParts, ReplaySource, Selection, Tally, is_csv, is_stored};
use feedd_venues::intake::{FRAME_REASONS, TRADE_REASONS};
use feedd_venues::sources::{CaptureConfig, CaptureSource, SourceParts};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A recording, and how it is replayed.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Where it is: one folder of the Parquet sink, or any number of captures, or of files of trades, or of folders of them.
    pub from: Vec<PathBuf>,
    /// Which part of it.
    pub selection: Selection,
    /// Venue of captures whose folder does not name it, and of files of trades (else `binance`).
    pub venue: Option<String>,
    /// How fast.
    pub speed: Speed,
}

/// A recording that is ready to run.
pub struct OpenRecording {
    /// The source. Its ring must be one that waits when it is full.
    pub source: Box<dyn Source>,
    /// How far it is.
    pub progress: Arc<Progress>,
    /// How late its events come against their deadlines, nanoseconds; nothing at [`Speed::Max`].
    pub drift: Arc<Histogram>,
    /// What was left out, repeated, bad; captures count that as every source does.
    pub tally: Option<Arc<Tally>>,
    /// Names of the reasons for which it rejects frames (lines) and events.
    pub reasons: [&'static [&'static str]; 2],
    /// Whether a store holds its events already.
    pub is_stored: bool,
}

/// What a path holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stored,
    Csv,
    Capture,
}

impl Recording {
    /// Finds out what it is, and opens it. Of `parts`, everything is for captures but the name and the dictionary.
    ///
    /// # Errors
    /// When it is not there, is of several kinds, or cannot be opened, with the remedy.
    pub fn open(&self, parts: SourceParts, pause: Pause) -> Result<OpenRecording> {
        let mut kinds = self.from.iter().map(|path| kind_of(path).map(|kind| (path, kind)));
        let (first, kind) = kinds.next().context("nothing to replay: give --from PATH")??;
        for other in kinds {
            let (path, other) = other?;
            if other != kind || kind == Kind::Stored {
                let both = format!("{} and {}", first.display(), path.display());
                bail!("{both} cannot be replayed together; replay one after the other");
            }
        }
        if kind == Kind::Capture {
            return self.captures(parts, pause);
        }
        let SourceParts { name, instruments, .. } = parts;
        let parts = ReplayParts { name, instruments, speed: self.speed, pause, selection: self.selection.clone() };
        let source = match kind {
            Kind::Stored => ReplaySource::stored(parts, first)?,
            _ => ReplaySource::csv(parts, &self.from, self.venue.as_deref().unwrap_or(CSV_VENUE))?,
        };
        Ok(OpenRecording {
            progress: source.progress(),
            drift: source.drift(),
            tally: Some(source.tally()),
            source: Box::new(source),
            reasons: [&LINE_FAULTS, &[]],
            is_stored: kind == Kind::Stored,
        })
    }

    fn captures(&self, parts: SourceParts, pause: Pause) -> Result<OpenRecording> {
        let Selection { since, until, symbols } = &self.selection;
        if since.is_some() || until.is_some() || !symbols.is_empty() {
            bail!("captures are replayed whole; leave --since, --until and --symbols out, or store the capture first");
        }
        let config = CaptureConfig { paths: self.from.clone(), venue: self.venue.clone(), speed: self.speed };
        let playback = Playback::new(self.speed, pause);
        let drift = playback.drift();
        let source = CaptureSource::new(parts, &config)?.held_by(playback);
        let (progress, reasons) = (source.progress(), [&FRAME_REASONS[..], &TRADE_REASONS[..]]);
        Ok(OpenRecording { source: Box::new(source), progress, drift, tally: None, reasons, is_stored: false })
    }
}

/// The venue of files of trades: only Binance publishes them in this form.
const CSV_VENUE: &str = "binance";

fn kind_of(path: &Path) -> Result<Kind> {
    let metadata = std::fs::metadata(path).with_context(|| format!("{} cannot be replayed", path.display()))?;
    if !metadata.is_dir() {
        if path.extension().is_some_and(|extension| extension == "parquet") {
            bail!("{}: give the folder that the Parquet sink writes to, not one of its files", path.display());
        }
        return Ok(if is_csv(path) || is_packed(path) { Kind::Csv } else { Kind::Capture });
    }
    if is_stored(path) {
        return Ok(Kind::Stored);
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let entries =
        entries.collect::<Result<Vec<_>, _>>().with_context(|| format!("{} cannot be read", path.display()))?;
    let has_trades = entries.iter().map(std::fs::DirEntry::path).any(|file| is_csv(&file) || is_packed(&file));
    Ok(if has_trades { Kind::Csv } else { Kind::Capture })
}

/// As Binance offers its files: the source says how to unpack them.
fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zip" || extension == "gz")
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_core::Instruments;
    use feedd_core::dead_letters::DeadLetters;
    use feedd_model::UnixNanos;

    fn open(from: &[PathBuf], selection: Selection) -> Result<OpenRecording> {
        let parts = SourceParts {
            name: "replay".to_owned(),
            validation: Default::default(),
            instruments: Instruments::in_memory(),
            dead_letters: DeadLetters::disabled(),
            keep_unknown: false,
            frame_bytes_max: 1 << 20,
        };
        let recording = Recording { from: from.to_vec(), selection, venue: None, speed: Speed::Max };
        recording.open(parts, Pause::new())
    }

    #[test]
    fn what_is_there_decides_how_it_is_replayed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            let dir = folder.path().join(name);
            std::fs::create_dir(&dir).unwrap();
            dir
        };
        let (stored, csv, zipped, captures) = (dir("stored"), dir("csv"), dir("zipped"), dir("binance"));
        std::fs::create_dir(stored.join("trades")).unwrap();
        let trades = csv.join("BTCUSDT-trades-2024-08-08.csv");
        std::fs::write(&trades, "1,2,3,6,1723075200123,true\n").unwrap();
        std::fs::write(zipped.join("BTCUSDT-trades-2024-08-08.zip"), "PK").unwrap();
        std::fs::write(captures.join("a.jsonl"), "").unwrap();
        let found = [&stored, &csv, &trades, &zipped, &captures].map(|path| kind_of(path).unwrap());
        assert_eq!(found, [Kind::Stored, Kind::Csv, Kind::Csv, Kind::Csv, Kind::Capture]);
        let of_csv = open(std::slice::from_ref(&csv), Selection::default()).unwrap();
        assert!(of_csv.tally.is_some() && !of_csv.is_stored && of_csv.progress.total.get() == 27);
        let part = Selection { since: Some(UnixNanos(1)), ..Selection::default() };
        let refused = [
            (vec![], Selection::default(), "give --from PATH"),
            (vec![csv.clone(), captures.clone()], Selection::default(), "cannot be replayed together"),
            (vec![stored.clone(), stored.clone()], Selection::default(), "cannot be replayed together"),
            (vec![stored], Selection::default(), "no file of trades, quotes, gaps or status"),
            (vec![captures], part, "captures are replayed whole"),
            (vec![folder.path().join("none")], Selection::default(), "none cannot be replayed"),
        ];
        for (from, selection, expected) in refused {
            let error = format!("{:#}", open(&from, selection).err().unwrap());
            assert!(error.contains(expected), "{from:?}: {error}");
        }
    }
}
