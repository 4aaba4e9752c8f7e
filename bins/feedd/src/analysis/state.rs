//! The lane's state between two starts: a small file in the data folder, written when a run ends in order.
//!
//! After a kill there is none of that start: bars and books begin anew, and their numbers go on far above all that may have
//! been given.

use anyhow::{Context, Result, bail};
use feedd_analysis::bars::Processor;
use feedd_analysis::engine::Engine;
use feedd_analysis::flow::Records;
use feedd_core::data_dir::write_whole;
use feedd_core::error_text;
use std::path::Path;

/// Name of the file in the state folder.
pub(crate) const STATE_FILE: &str = "analysis.state";
/// What it begins with; the digit is the version of the form.
const MAGIC: &[u8; 8] = b"FEEDDAN1";

/// What the stages of the lane know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saved {
    /// The start that wrote it.
    pub(crate) epoch: u32,
    /// Of the bars.
    pub(crate) processor: Vec<u8>,
    /// Of the strategies and their books; empty when there were none.
    pub(crate) engine: Vec<u8>,
}

/// What a start of the lane goes on from.
pub(crate) struct LaneStart {
    saved: Option<Saved>,
    epoch: u32,
}

impl LaneStart {
    /// From nothing, as a replay does.
    pub(crate) const fn anew(epoch: u32) -> Self {
        Self { saved: None, epoch }
    }

    /// From the state that the last start has left; `epoch` is that of this one.
    pub(crate) fn after(path: &Path, epoch: u32) -> Self {
        let saved = match Saved::read(path) {
            Ok(Some(saved)) if saved.epoch + 1 == epoch => Some(saved),
            Ok(Some(_)) => {
                tracing::warn!("the last start left no state of the analysis lane: bars and paper books begin anew");
                None
            }
            Ok(None) => None,
            Err(error) => {
                tracing::warn!("{error:#}: bars and paper books begin anew");
                None
            }
        };
        Self { saved, epoch }
    }

    /// The first number of a start that knows of none before: above all that earlier starts can have given.
    const fn number(&self) -> u64 {
        (self.epoch.saturating_sub(1) as u64) << 32
    }

    /// Lets the bars go on.
    pub(super) fn processor(&self, processor: &mut Processor) {
        let loaded = self.saved.as_ref().map(|saved| processor.load(&saved.processor));
        match &loaded {
            Some(Ok(())) => processor.interrupted(),
            Some(Err(error)) => tracing::warn!("{}: bars begin anew", error_text(error)),
            None => {}
        }
        if !matches!(loaded, Some(Ok(()))) {
            processor.number_from(self.number() + 1);
        }
    }

    /// Lets the strategies and their books go on.
    pub(super) fn engine<R: Records>(&self, engine: &mut Engine<R>) {
        let state = self.saved.as_ref().map(|saved| &saved.engine).filter(|state| !state.is_empty());
        let loaded = state.map(|state| engine.load(state));
        if let Some(Err(error)) = &loaded {
            tracing::warn!("{}", error_text(error));
        }
        if !matches!(loaded, Some(Ok(()))) {
            engine.numbers_from(self.number());
        }
    }
}

impl Saved {
    /// Reads the file; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was written.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        match Self::parse(&bytes) {
            Some(saved) => Ok(Some(saved)),
            None => bail!("{} is damaged, or of another version of feedd", path.display()),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        if crc32fast::hash(rest) != u32::from_le_bytes(*sum) {
            return None;
        }
        let (epoch, rest) = rest.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (processor, engine) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        Some(Self { epoch: u32::from_le_bytes(*epoch), processor: processor.to_vec(), engine: engine.to_vec() })
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut rest = self.epoch.to_le_bytes().to_vec();
        rest.extend((self.processor.len() as u64).to_le_bytes());
        rest.extend(&self.processor);
        rest.extend(&self.engine);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(crc32fast::hash(&rest).to_le_bytes());
        bytes.extend(rest);
        write_whole(path, &bytes).with_context(|| format!("writing {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_every_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STATE_FILE);
        assert_eq!(Saved::read(&path).unwrap(), None);
        let saved = Saved { epoch: 7, processor: b"bars".to_vec(), engine: b"books".to_vec() };
        saved.write(&path).unwrap();
        assert_eq!(Saved::read(&path).unwrap(), Some(saved));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert!(Saved::read(&path).is_err(), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(Saved::read(&path).is_err(), "cut at {at}");
        }
    }
}
