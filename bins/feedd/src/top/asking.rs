//! The thread that asks the recorder, again and again, also while none answers.

use crate::admin_client::Recorder;
use crate::status_cmd::read;
use anyhow::{Context, Result};
use feedd_telemetry::status::Status;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// What came of asking.
pub(super) type Heard = Result<Status, String>;

/// Answers that wait to be shown. Whoever draws is faster than whoever asks.
const WAITING_MAX: usize = 4;

/// Asks in its own thread, which ends with this.
pub(super) struct Asker(Receiver<Heard>);

impl Asker {
    pub(super) fn start(recorder: Recorder, every: Duration) -> Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let ask = move || {
            // Until nobody takes them.
            while sender.send(status(&recorder).map_err(|error| format!("{error:#}"))).is_ok() {
                std::thread::sleep(every);
            }
        };
        std::thread::Builder::new().name("asking".into()).spawn(ask).context("starting the thread that asks")?;
        Ok(Self(receiver))
    }

    /// What has come since the last call.
    pub(super) fn heard(&self) -> impl Iterator<Item = Heard> {
        self.0.try_iter()
    }
}

/// The status of a recorder.
pub(super) fn status(recorder: &Recorder) -> Result<Status> {
    read(&recorder.get("/status")?)
}
