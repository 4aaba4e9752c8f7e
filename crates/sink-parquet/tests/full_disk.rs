//! A real file system without room: needs to mount a small tmpfs, so it is skipped, saying so, without the right to.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use feedd_core::contract::sink::{STREAM, batch, instruments, sample_events};
use feedd_core::{Epoch, Seq, Sink, SinkError};
use feedd_model::MonoNanos;
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use std::path::Path;
use std::process::Command;

mod readback;

/// Unmounts when it goes out of scope, also by a failing test.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn tmpfs(dir: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(dir);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn recording_goes_on_when_there_is_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mounted) = Mounted::tmpfs(dir.path()) else {
        println!("skipped: mounting a tmpfs is not allowed here");
        return;
    };
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![0; 480 * 1024]).unwrap();
    let mut config = ParquetConfig::new(dir.path().join("data"));
    config.memory_bytes_max = 0;
    let mut sink = ParquetSink::open(config, instruments()).unwrap();
    sink.recover(STREAM, Epoch(1)).unwrap();
    let events = sample_events(6000);
    let mut at = 0;
    let mut refused = 0;
    while at < events.len() {
        match sink.write(&batch(&events, Epoch(1), at..at + 1000, 1000), MonoNanos(0)) {
            Ok(()) => at += 1000,
            Err(error) => {
                assert!(matches!(error, SinkError::Unavailable { .. }), "{error}");
                refused += 1;
                std::fs::remove_file(&ballast).unwrap();
            }
        }
    }
    assert_eq!(refused, 1, "the disk was full once");
    sink.flush(MonoNanos(0)).unwrap();
    assert_eq!(sink.stored_seq(), Seq(6000));
    let mut seqs: Vec<u64> =
        readback::read_all(dir.path(), &instruments()).into_iter().map(|(_, seq, _)| seq.0).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=6000).collect::<Vec<_>>());
    drop(mounted);
}
