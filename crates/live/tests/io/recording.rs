//! Without faults, and with faults of the sequence: every event once, every hole marked and filled where it can be.

use crate::harness::{Recorder, config, exchange, gaps, is_subscribed, live_trades, sorted, statuses};
use feedd_model::{EventBody, Flags, GapReason, StatusCode};
use venue_sim::{FaultKind, Server};

/// Lets the market go on until so many trades have been made, and the recorder has them all.
pub(crate) fn trade(server: &Server, recorder: &mut Recorder, trades: usize) {
    let before = server.summary().trades;
    server.resume_market();
    recorder.until("trades are made", |_| server.summary().trades >= before + trades as u64);
    server.pause_market();
    recorder.until("the last trade is recorded", |recorder| recorder.has_last_trades(server));
}

fn records_everything(is_tls: bool, redundancy: u8) {
    let server = exchange(|config| config.tls = is_tls);
    let config = feedd_live::config::LiveConfig { redundancy, ..config(&server) };
    let mut recorder = Recorder::start(&config, None);
    recorder.until("subscribed", |_| is_subscribed(&server, redundancy.into()));
    trade(&server, &mut recorder, 500);
    recorder.until("both books are joined", |recorder| {
        let snapshot = |event: &&feedd_model::Event| matches!(event.body(), EventBody::Book(book) if book.action == feedd_model::BookAction::Snapshot);
        recorder.events.iter().filter(snapshot).count() >= 2
    });
    let recorded = recorder.trades();
    let quotes = server.log().iter().filter(|line| line["what"] == "quote").count();
    assert!(recorder.counters.frames_rejected.total() == 0 && recorder.counters.frames_unknown.get() == 0);
    let events = recorder.stop();
    assert_eq!(sorted(recorded), sorted(live_trades(&server)), "each trade once");
    assert_eq!(gaps(&events), [], "nothing is missing");
    let stored = events.iter().filter(|event| matches!(event.body(), EventBody::Quote(_))).count();
    // Those from before the first connection are not to be had.
    assert!(stored > 0 && stored <= quotes, "{stored} of {quotes} quotes");
    let expected: Vec<_> = std::iter::repeat_n((StatusCode::Connected, 0), redundancy.into())
        .chain(std::iter::repeat_n((StatusCode::Disconnected, 0), redundancy.into()))
        .chain([(StatusCode::Ended, 0)])
        .collect();
    assert_eq!(statuses(&events), expected);
}

#[test]
fn every_trade_is_recorded_once() {
    records_everything(false, 1);
}

#[test]
fn every_trade_is_recorded_once_over_tls() {
    records_everything(true, 1);
}

#[test]
fn every_trade_is_recorded_once_from_two_connections() {
    records_everything(false, 2);
}

#[test]
fn trades_that_the_venue_left_out_are_marked_and_fetched() {
    let server = exchange(|_| {});
    let mut recorder = Recorder::start(&config(&server), None);
    recorder.until("subscribed", |_| is_subscribed(&server, 1));
    trade(&server, &mut recorder, 100);
    server.inject(FaultKind::Drop { count: 40 });
    trade(&server, &mut recorder, 300);
    let log = server.log();
    let dropped: Vec<_> = log.iter().filter(|line| line["what"] == "dropped" && line["kind"] == "trade").collect();
    assert!(!dropped.is_empty(), "40 frames of which none was a trade");
    recorder.until("all trades are there", |recorder| recorder.trades().len() == live_trades(&server).len());
    let (recorded, counters) = (recorder.trades(), recorder.counters.clone());
    let events = recorder.stop();
    assert_eq!(sorted(recorded), sorted(live_trades(&server)), "each trade once");
    let missing = gaps(&events).into_iter().filter(|gap| gap.reason == GapReason::VenueSequence);
    let missing: u64 = missing.map(|gap| gap.events.unwrap()).sum();
    assert_eq!(missing, dropped.len() as u64, "what was dropped is marked, and nothing else");
    let is_backfilled = |event: &&feedd_model::Event| {
        matches!(event.body(), EventBody::Trade(_)) && event.flags().contains(Flags::BACKFILLED)
    };
    assert_eq!(events.iter().filter(is_backfilled).count(), dropped.len());
    assert_eq!(counters.session.trades_backfilled.get(), dropped.len() as u64);
}

#[test]
fn two_copies_and_a_wrong_order_change_nothing() {
    let server = exchange(|_| {});
    let mut recorder = Recorder::start(&config(&server), None);
    recorder.until("subscribed", |_| is_subscribed(&server, 1));
    for fault in [FaultKind::Duplicate { count: 30 }, FaultKind::Reorder, FaultKind::Duplicate { count: 5 }] {
        server.inject(fault);
        trade(&server, &mut recorder, 100);
    }
    recorder.until("all trades are there", |recorder| recorder.trades().len() == live_trades(&server).len());
    let recorded = recorder.trades();
    recorder.stop();
    assert_eq!(sorted(recorded), sorted(live_trades(&server)), "each trade once");
}

#[test]
fn a_stop_before_anything_is_open_ends_it() {
    let server = exchange(|_| {});
    let mut config = config(&server);
    // Nobody listens there.
    config.endpoints.ws = vec!["ws://127.0.0.1:9".to_owned()];
    let mut recorder = Recorder::start(&config, None);
    recorder.until("two attempts failed", |recorder| recorder.counters.session.connections_failed.get() >= 2);
    let events = recorder.stop();
    assert_eq!(statuses(&events), [(StatusCode::Ended, 0)]);
}
