//! Each way in which a connection can go wrong: it is noticed, marked, and replaced; what the venue still has is fetched.

use crate::harness::{FRAME_BYTES_MAX, Recorder, config, exchange, gaps, is_subscribed, live_trades, sorted, statuses};
use crate::recording::trade;
use feedd_model::{GapReason, StatusCode};
use std::time::Duration;
use venue_sim::{Fault, FaultKind, Server};

/// A recorder that has recorded something.
fn recording(server: &Server) -> Recorder {
    let mut recorder = Recorder::start(&config(server), None);
    recorder.until("subscribed", |_| is_subscribed(server, 1));
    trade(server, &mut recorder, 50);
    recorder
}

/// A fault that ends the connection while the market goes on. `code`: what the data says about the end.
fn is_replaced(fault: Fault, code: u64) {
    let name = format!("{:?}", fault.kind);
    let server = exchange(|_| {});
    let mut recorder = recording(&server);
    server.resume_market();
    server.inject(fault);
    recorder.until(&name, |recorder| recorder.opened() >= 2);
    recorder.until("subscribed again", |_| is_subscribed(&server, 2));
    trade(&server, &mut recorder, 50);
    recorder.until("all trades are there", |recorder| recorder.trades().len() >= live_trades(&server).len());
    let recorded = recorder.trades();
    let (reconnects, broken) = (recorder.counters.session.reconnects.get(), recorder.opened() - 1);
    let events = recorder.stop();
    assert_eq!(
        sorted(recorded),
        sorted(live_trades(&server)),
        "{name}: each trade once, those of the meantime by REST"
    );
    assert_eq!(reconnects, broken, "{name}");
    let ends = statuses(&events).into_iter().filter(|(status, _)| *status == StatusCode::Disconnected);
    assert_eq!(ends.map(|(_, code)| code).next(), Some(code), "{name}: how it ended is in the data");
    let away: Vec<_> = gaps(&events).into_iter().filter(|gap| gap.reason == GapReason::Disconnected).collect();
    assert!(away.len() >= 2, "{name}: an interruption for each of two symbols, not {away:?}");
    assert!(away.iter().all(|gap| gap.from_ts < gap.to_ts), "{name}: {away:?}");
}

#[test]
fn an_end_without_a_word_is_replaced() {
    is_replaced(FaultKind::Close { code: None }.into(), 0);
}

#[test]
fn a_close_frame_is_replaced() {
    is_replaced(FaultKind::Close { code: Some(1012) }.into(), 1012);
}

#[test]
fn a_reset_is_replaced() {
    is_replaced(FaultKind::Reset.into(), 0);
}

#[test]
fn a_black_hole_is_replaced() {
    is_replaced(FaultKind::Blackhole.into(), 0);
}

#[test]
fn a_frame_that_is_too_long_is_replaced() {
    is_replaced(FaultKind::Giant { bytes: FRAME_BYTES_MAX + 1 }.into(), 0);
}

#[test]
fn a_text_that_is_not_utf8_is_replaced() {
    is_replaced(FaultKind::InvalidUtf8.into(), 0);
}

#[test]
fn a_frame_as_long_as_allowed_is_taken() {
    let server = exchange(|_| {});
    let mut recorder = recording(&server);
    let unknown = recorder.counters.frames_unknown.get();
    server.inject(FaultKind::Giant { bytes: FRAME_BYTES_MAX });
    recorder.until("it came", |recorder| {
        recorder.counters.frames_unknown.get() + recorder.counters.frames_rejected.total() > unknown
    });
    assert_eq!(recorder.opened(), 1);
    recorder.stop();
}

#[test]
fn a_slow_handshake_is_given_up_in_time() {
    let server = exchange(|_| {});
    let mut config = config(&server);
    config.periods.connect = Duration::from_millis(300);
    let lasts = Some(Duration::from_secs(2));
    server.inject(Fault { lasts, ..Fault::from(FaultKind::SlowHandshake) });
    let mut recorder = Recorder::start(&config, None);
    recorder.until("it is given up", |recorder| recorder.counters.session.connections_failed.get() >= 1);
    assert_eq!(recorder.opened(), 0);
    recorder.until("it gets through later", |_| is_subscribed(&server, 1));
    recorder.stop();
}

#[test]
fn a_refusal_with_a_status_is_told_and_tried_again() {
    let server = exchange(|_| {});
    let lasts = Some(Duration::from_secs(1));
    server.inject(Fault { lasts, ..Fault::from(FaultKind::Status429) });
    let mut recorder = Recorder::start(&config(&server), None);
    recorder.until("refused", |recorder| recorder.counters.session.connections_failed.get() >= 1);
    recorder.until("it gets through later", |_| is_subscribed(&server, 1));
    recorder.stop();
}
