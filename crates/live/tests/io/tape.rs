//! A tape, played again, gives the same rows.

use crate::harness::{Recorder, config, exchange, is_subscribed, source_parts};
use crate::recording::trade;
use feedd_core::Instruments;
use feedd_live::config::LiveConfig;
use feedd_live::tape::TapeConfig;
use feedd_model::Event;
use feedd_venues::pace::Speed;
use feedd_venues::sources::{CaptureConfig, CaptureSource};
use std::path::Path;
use std::time::Duration;
use venue_sim::FaultKind;

fn tape(dir: &Path, file_bytes_max: u64) -> TapeConfig {
    TapeConfig {
        dir: dir.to_owned(),
        file_bytes_max,
        file_age_max: Duration::from_secs(3600),
        compression_level: 3,
        bytes_max: u64::MAX,
        queue_bytes_max: 64 << 20,
    }
}

fn play(dir: &Path) -> Vec<Event> {
    let instruments = Instruments::in_memory();
    let capture = CaptureConfig { paths: vec![dir.to_owned()], venue: None, speed: Speed::Max };
    let source = CaptureSource::new(source_parts("played", &instruments), &capture).unwrap();
    Recorder::run(Box::new(source), instruments).ended()
}

/// Everything that can happen to a session, on one tape.
fn is_the_same_when_played(redundancy: u8, file_bytes_max: u64) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let server = exchange(|_| {});
    let config = LiveConfig { redundancy, ..config(&server) };
    let mut recorder = Recorder::start(&config, Some(tape(dir.path(), file_bytes_max)));
    recorder.until("subscribed", |_| is_subscribed(&server, redundancy.into()));
    trade(&server, &mut recorder, 100);
    let faults = [
        FaultKind::Drop { count: 30 },
        FaultKind::Duplicate { count: 10 },
        FaultKind::Reorder,
        FaultKind::BadChecksum,
        FaultKind::Close { code: None },
        FaultKind::SequenceReset,
        FaultKind::Close { code: Some(1012) },
        FaultKind::Reset,
    ];
    for fault in faults {
        let (opened, ends) = (recorder.opened(), matches!(fault, FaultKind::Close { .. } | FaultKind::Reset));
        server.resume_market();
        server.inject(fault);
        if ends {
            recorder.until("replaced", |recorder| recorder.opened() >= opened + u64::from(redundancy));
        }
        let opened = usize::try_from(recorder.opened()).unwrap();
        recorder.until("subscribed", |_| is_subscribed(&server, opened));
        trade(&server, &mut recorder, 60);
    }
    let dropped = recorder.counters.session.tape_lines_dropped.get();
    let live = recorder.stop();
    assert_eq!(dropped, 0, "the queue has room for all of it");
    let played = play(dir.path());
    let differs = live.iter().zip(&played).position(|(live, played)| live != played);
    if let Some(at) = differs {
        panic!("row {at} of {}: {:?}, played {:?}", live.len(), live[at], played[at]);
    }
    assert_eq!(live.len(), played.len(), "rows");
    std::fs::read_dir(dir.path().join("binance")).unwrap().count()
}

#[test]
fn a_tape_gives_the_same_rows() {
    assert_eq!(is_the_same_when_played(1, 64 << 20), 1);
}

#[test]
fn a_tape_of_two_connections_in_many_files_gives_the_same_rows() {
    assert!(is_the_same_when_played(2, 1) > 1, "each second a file");
}
