//! Events a sink refused, kept aside with their identity, all their fields and the reason.

use feedd_core::BatchId;
use feedd_model::{Event, Seq};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file of refused events: one JSON line each, synced before the rest of the batch goes on.
#[derive(Debug)]
pub struct Quarantine {
    path: PathBuf,
    file: Option<File>,
}

impl Quarantine {
    /// Made at the first refused event.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None }
    }

    /// Keeps one event.
    ///
    /// # Errors
    /// The system's; the event must not be skipped then.
    pub fn keep(&mut self, id: BatchId, seq: Seq, sink: &str, reason: &str, event: &Event) -> std::io::Result<()> {
        if self.file.is_none() {
            self.file = Some(OpenOptions::new().create(true).append(true).open(&self.path)?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let line = format!(
            "{{\"sink\":{},\"stream\":{},\"epoch\":{},\"seq\":{seq},\"reason\":{},\"event\":{}}}\n",
            quoted(sink),
            id.stream,
            id.epoch,
            quoted(reason),
            quoted(&format!("{event:?}")),
        );
        file.write_all(line.as_bytes())?;
        file.sync_data()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
