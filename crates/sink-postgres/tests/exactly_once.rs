//! Each event is stored once, whatever happens to connections, servers and answers. Needs a server.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use common::{LAYOUTS, Store, deliver, offer, trades};
use feedd_core::contract::sink::{STREAM, batch, canonical, sample_events};
use feedd_core::{EpochAudit, Sink, SinkError, error_text};
use feedd_model::{Epoch, MonoNanos, Seq};
use feedd_sink_postgres::{Layout, PostgresConfig, PostgresSink, Secret};
use feedd_testkit::postgres::{Options, Server};
use feedd_testkit::promise;
use feedd_testkit::proxy::{At, Cut, Direction, Faults, How, Place, Plan, Proxy, Sides, Target};
use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

mod common;

fn with_tcp() -> Option<Rc<RefCell<Server>>> {
    let server = Server::start_with(Options { tcp: true, ..Options::default() })?;
    Some(Rc::new(RefCell::new(server)))
}

/// A sink that reaches its server through the proxy.
fn config_through(store: &Store, proxy: &Proxy) -> PostgresConfig {
    let mut config = store.config();
    config.host = proxy.address().ip().to_string();
    config.port = proxy.address().port();
    config.password = Some(Secret::new(store.server.borrow().password()));
    config
}

/// Where connections are cut, by the number of the batch.
fn cut(number: u64, rng: &mut fastrand::Rng) -> Cut {
    let how = if rng.bool() { How::Rst } else { How::Fin };
    let message = |direction, kind: Option<u8>, nth, place| At::Message { direction, kind, nth, place };
    let place = if rng.bool() { Place::Before } else { Place::Behind };
    let at = match number % 5 {
        0 | 3 => At::CommitReply { nth: 1 },
        1 => At::Commit { nth: 1, place },
        2 => message(Direction::ToServer, None, rng.u64(1..8), place),
        _ => message(Direction::ToClient, None, rng.u64(1..8), place),
    };
    Cut { at, how }
}

#[test]
fn connections_cut_anywhere_lose_and_double_nothing() {
    let Some(server) = with_tcp() else { return };
    let seed = promise::seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let batches = if promise::full() { 5000 } else { 200 };
    let events = sample_events(batches * 20);
    let store = Store::new(&server, Layout::Compact);
    let proxy = Proxy::start(Target::Tcp(server.borrow().tcp_address().unwrap()), Plan::postgres());
    let mut sink = PostgresSink::open(config_through(&store, &proxy), store.instruments.clone()).unwrap();
    sink.recover(STREAM, Epoch(1)).unwrap();
    let (mut at, mut number, mut failed) = (0, 0u64, 0);
    while at < events.len() {
        proxy.arm(cut(number, &mut rng));
        let end = events.len().min(at + rng.usize(1..40));
        failed += deliver(&mut sink, &events, at..end).1;
        proxy.disarm();
        (at, number) = (end, number + 1);
    }
    let swallowed = proxy.counters().commits_swallowed;
    let found = common::read_all(&store);
    let duplicates = store.sql(
        "SELECT count(*) - count(DISTINCT (epoch, seq)) FROM (SELECT epoch, seq FROM trades UNION ALL SELECT epoch, seq \
         FROM quotes UNION ALL SELECT epoch, seq FROM books UNION ALL SELECT epoch, seq FROM levels UNION ALL \
         SELECT epoch, seq FROM gaps UNION ALL SELECT epoch, seq FROM status) AS every",
    );
    let right = found.iter().filter(|(_, seq, event)| {
        usize::try_from(seq.0).is_ok_and(|seq| canonical(&events[seq - 1]) == canonical(event))
    });
    let lost = events.len() - right.count();
    promise::Report::new("P2")
        .runs(number)
        .faults(proxy.counters().cuts)
        .fault_kinds("connections cut at messages of the protocol")
        .lost(lost as u64)
        .duplicated(duplicates.parse().unwrap())
        .seed(seed)
        .note(&format!("{swallowed} commits answered and the answer swallowed; {failed} calls failed"))
        .demand(swallowed >= number / 4, "enough commits went unanswered")
        .finish();
    assert_eq!(sink.stored_seq(), Seq(events.len() as u64));
}

#[test]
fn an_unanswered_commit_is_unknown_until_the_position_was_asked_for() {
    let Some(server) = with_tcp() else { return };
    let store = Store::new(&server, Layout::Compact);
    let proxy = Proxy::start(Target::Tcp(server.borrow().tcp_address().unwrap()), Plan::postgres());
    let mut sink = PostgresSink::open(config_through(&store, &proxy), store.instruments.clone()).unwrap();
    sink.recover(STREAM, Epoch(1)).unwrap();
    let events = trades(30);
    offer(&mut sink, &events, 0..10).unwrap();
    proxy.arm(Cut { at: At::CommitReply { nth: 1 }, how: How::Rst });
    let error = offer(&mut sink, &events, 10..20).unwrap_err();
    assert!(matches!(error, SinkError::Unknown { .. }), "{}", error_text(&error));
    assert_eq!(proxy.counters().commits_swallowed, 1);
    let error = offer(&mut sink, &events, 10..20).unwrap_err();
    assert!(matches!(error, SinkError::Unknown { .. }), "writing before asking: {}", error_text(&error));
    assert_eq!(sink.recover(STREAM, Epoch(1)).unwrap(), Seq(20), "it had committed");
    offer(&mut sink, &events, 10..30).unwrap();
    store.assert_stored(1..=30, "nothing twice");
}

#[test]
fn a_connection_cut_before_commit_is_known_to_have_stored_nothing() {
    let Some(server) = with_tcp() else { return };
    let store = Store::new(&server, Layout::Compact);
    let proxy = Proxy::start(Target::Tcp(server.borrow().tcp_address().unwrap()), Plan::postgres());
    let mut sink = PostgresSink::open(config_through(&store, &proxy), store.instruments.clone()).unwrap();
    sink.recover(STREAM, Epoch(1)).unwrap();
    let events = trades(20);
    offer(&mut sink, &events, 0..10).unwrap();
    let place = Place::Before;
    proxy.arm(Cut {
        at: At::Message { direction: Direction::ToServer, kind: Some(b'd'), nth: 1, place },
        how: How::Rst,
    });
    let error = offer(&mut sink, &events, 10..20).unwrap_err();
    assert!(!matches!(error, SinkError::Refused { .. } | SinkError::Fatal { .. }), "{}", error_text(&error));
    deliver(&mut sink, &events, 10..20);
    store.assert_stored(1..=20, "after the cut");
}

#[test]
fn a_server_that_answers_nothing_costs_one_batch_time() {
    let Some(server) = with_tcp() else { return };
    let store = Store::new(&server, Layout::Compact);
    let proxy = Proxy::start(Target::Tcp(server.borrow().tcp_address().unwrap()), Plan::postgres());
    let mut config = config_through(&store, &proxy);
    (config.batch_timeout, config.connect_timeout) = (Duration::from_millis(700), Duration::from_millis(700));
    let mut sink = PostgresSink::open(config, store.instruments.clone()).unwrap();
    sink.recover(STREAM, Epoch(1)).unwrap();
    let events = trades(30);
    offer(&mut sink, &events, 0..10).unwrap();
    for (stall, start) in [(Sides::TO_SERVER, 10), (Sides::TO_CLIENT, 20)] {
        proxy.set(Faults { stall, ..Faults::default() });
        let error = offer(&mut sink, &events, start..start + 10).unwrap_err();
        assert!(matches!(error, SinkError::Unavailable { .. } | SinkError::Unknown { .. }), "{}", error_text(&error));
        assert!(error_text(&error).contains("no answer within 700ms"), "{}", error_text(&error));
        // Also connecting ends in time.
        assert!(matches!(sink.recover(STREAM, Epoch(1)), Err(SinkError::Unavailable { .. })));
        proxy.set(Faults::default());
        proxy.cut_now(How::Rst);
        deliver(&mut sink, &events, start..start + 10);
        store.assert_stored(1..=start as u64 + 10, "after the silence");
    }
}

#[test]
fn two_recorders_with_one_identity_store_each_sequence_once() {
    let Some(server) = common::server() else { return };
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let seed = promise::seed();
        let events = sample_events(3000);
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let (mut sink, events) = (store.recovered(), events.clone());
                std::thread::spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(seed + thread);
                    let mut at = 0;
                    while at < events.len() {
                        let end = events.len().min(at + rng.usize(1..120));
                        deliver(&mut sink, &events, at..end);
                        at = end;
                    }
                    sink.stored_seq()
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Seq(3000));
        }
        store.assert_stored(1..=3000, layout.name());
    }
}

#[test]
fn terminated_backends_and_killed_servers_lose_and_double_nothing() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    let mut sink = store.recovered();
    let events = trades(40_000);
    let mut terminator = server.borrow().psql_command(&store.database).spawn().unwrap();
    let script = "DO $$ BEGIN FOR i IN 1..150 LOOP PERFORM pg_terminate_backend(pid) FROM pg_stat_activity \
                  WHERE application_name = 'feedd'; PERFORM pg_stat_clear_snapshot(); PERFORM pg_sleep(0.007); \
                  END LOOP; END $$;";
    terminator.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let (mut at, mut failed) = (0, 0);
    while at < 30_000 {
        failed += deliver(&mut sink, &events, at..at + 250).1;
        at += 250;
    }
    assert!(terminator.wait().unwrap().success());
    println!("{failed} calls failed by terminated backends");
    for (i, start) in (30_000..40_000).step_by(1000).enumerate() {
        deliver(&mut sink, &events, start..start + 1000);
        if i % 3 == 0 {
            server.borrow_mut().restart_immediate();
        } else if i % 3 == 1 {
            server.borrow_mut().kill9();
            let error = offer(&mut sink, &events, start + 1000..start + 1001);
            assert!(matches!(error, Err(SinkError::Unavailable { .. })), "{error:?}");
            server.borrow_mut().start_again();
        }
    }
    store.assert_stored(1..=40_000, "after everything");
}

#[test]
fn a_position_waits_for_the_transaction_that_holds_it() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    let mut sink = store.recovered();
    let events = trades(40);
    offer(&mut sink, &events, 0..10).unwrap();
    // An original that is still in flight: it holds the row, stores 11 to 20 and commits a little later.
    let mut original = server.borrow().psql_command(&store.database).spawn().unwrap();
    let script = "BEGIN; UPDATE ledger SET stored_seq = 20; CREATE TABLE held (); COMMENT ON TABLE held IS 'x';
                  SELECT pg_advisory_lock(77); SELECT pg_sleep(0.5); INSERT INTO trade \
                  SELECT recv_ts, venue_ts, seq + 10, trade_id, price, size, run, instrument, flags, side FROM trade; COMMIT;";
    original.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    while store.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77") == "0" {
        std::thread::yield_now();
    }
    // The batch was cut before: it waits, finds its first part known, and stores the rest.
    offer(&mut sink, &events, 10..40).unwrap();
    assert!(original.wait().unwrap().success());
    assert_eq!(sink.stored_seq(), Seq(40));
    store.assert_stored(1..=40, "the known part is skipped");
    let mut other = store.sink();
    assert_eq!(other.recover(STREAM, Epoch(1)).unwrap(), Seq(40));
}

#[test]
fn a_lock_that_stays_is_waited_for_with_a_limit() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    let mut config = store.config();
    config.batch_timeout = Duration::from_millis(900); // locks: a third of it
    let mut sink = PostgresSink::open(config, store.instruments.clone()).unwrap();
    sink.recover(STREAM, Epoch(1)).unwrap();
    let events = trades(20);
    offer(&mut sink, &events, 0..10).unwrap();
    let mut holder = server.borrow().psql_command(&store.database).spawn().unwrap();
    let mut input = holder.stdin.take().unwrap();
    input.write_all(b"BEGIN; UPDATE ledger SET stored_seq = stored_seq; SELECT pg_advisory_lock(78);\n").unwrap();
    input.flush().unwrap();
    while store.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 78") == "0" {
        std::thread::yield_now();
    }
    let error = offer(&mut sink, &events, 10..20).unwrap_err();
    assert!(matches!(error, SinkError::Unavailable { .. }), "{error:?}");
    assert!(error_text(&error).contains("SQLSTATE 55P03"), "{}", error_text(&error));
    input.write_all(b"ROLLBACK;\n").unwrap();
    drop(input);
    assert!(holder.wait().unwrap().success());
    deliver(&mut sink, &events, 10..20);
    store.assert_stored(1..=20, "after the lock");
}

#[test]
fn serialization_deadlock_and_a_full_disk_are_tried_again() {
    let Some(server) = common::server() else { return };
    let places = ["BEFORE UPDATE ON ledger FOR EACH ROW", "BEFORE INSERT ON trade_20240808 FOR EACH STATEMENT"];
    for place in places.into_iter().chain(["AFTER INSERT ON trade_20240808 FOR EACH STATEMENT"]) {
        let store = Store::new(&server, Layout::Compact);
        let mut sink = store.recovered();
        let events = sample_events(400);
        offer(&mut sink, &trades(400), 0..10).unwrap();
        store.sql(&format!(
            "CREATE SEQUENCE tries; CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             CASE nextval('tries') % 8 WHEN 1 THEN RAISE SQLSTATE '40001'; WHEN 2 THEN RAISE SQLSTATE '40P01'; \
             WHEN 3 THEN RAISE SQLSTATE '53100'; ELSE RETURN NEW; END CASE; END $$; \
             CREATE TRIGGER clash {place} EXECUTE FUNCTION clash()",
        ));
        // Trades alone, and trades as one of several tables.
        let (refused, failed) = deliver(&mut sink, &trades(400), 10..20);
        assert_eq!((refused.len(), failed), (0, 3), "{place}");
        let mut failed = 0;
        for start in (20..400).step_by(20) {
            failed += deliver(&mut sink, &events, start..start + 20).1;
        }
        assert!(failed > 0 || place.contains("INSERT"), "{place}");
        store.assert_stored(1..=400, place);
    }
}

#[test]
fn a_range_that_begins_above_the_position_moves_it_over_the_hole() {
    let Some(server) = common::server() else { return };
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let mut sink = store.recovered();
        let events = trades(100);
        offer(&mut sink, &events, 0..10).unwrap();
        offer(&mut sink, &events, 50..60).unwrap();
        assert_eq!(sink.stored_seq(), Seq(60));
        let mut again = store.sink();
        assert_eq!(again.recover(STREAM, Epoch(1)).unwrap(), Seq(60));
        offer(&mut again, &events, 40..70).unwrap();
        store.assert_stored((1..=10).chain(51..=70), layout.name());
    }
}

#[test]
fn a_ledger_that_fell_is_asked_for_before_anything_is_written() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    let mut sink = store.recovered();
    let events = trades(30);
    offer(&mut sink, &events, 0..20).unwrap();
    // As after a restore of an older copy.
    store.sql("DELETE FROM trade WHERE seq > 10; UPDATE ledger SET stored_seq = 10");
    let error = offer(&mut sink, &events, 20..30).unwrap_err();
    assert!(matches!(error, SinkError::Unknown { .. }), "{error:?}");
    assert_eq!(sink.recover(STREAM, Epoch(1)).unwrap(), Seq(10));
    offer(&mut sink, &events, 10..30).unwrap();
    store.assert_stored(1..=30, "offered again from the found position");
}

#[test]
fn late_events_are_stored_once_and_the_audit_counts_everything() {
    let Some(server) = common::server() else { return };
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let mut sink = store.recovered();
        let events = sample_events(300);
        let audit = |sink: &mut PostgresSink| sink.audit(STREAM, Epoch(1)).unwrap().unwrap();
        assert_eq!(audit(&mut sink), EpochAudit::default());
        offer(&mut sink, &events, 0..100).unwrap();
        offer(&mut sink, &events, 101..300).unwrap();
        let markers = store.sql(
            "SELECT count(*), coalesce(sum(events), 0) FROM gaps WHERE reason IN ('journal_damaged', 'sink_behind')",
        );
        let (count, missed) = markers.split_once('|').unwrap();
        let wanted = EpochAudit {
            stored_seq: Seq(300),
            rows: 299,
            markers: count.parse().unwrap(),
            missed: missed.parse().unwrap(),
            ..EpochAudit::default()
        };
        assert_eq!(audit(&mut sink), wanted);
        for is_new in [true, false, false] {
            assert_eq!(sink.store_late(STREAM, Epoch(1), Seq(101), &events[100..101]).unwrap(), is_new);
        }
        let above = sink.store_late(STREAM, Epoch(1), Seq(301), &events[..1]).unwrap_err();
        assert!(matches!(above, SinkError::Refused { .. }), "{above:?}");
        assert_eq!(audit(&mut sink), EpochAudit { rows: 300, ..wanted });
        store.assert_stored(1..=300, layout.name());
        // The audit is of the tables, not of the ledger: rows that should not be there are seen.
        let table = store.trades();
        store.sql(&format!("INSERT INTO {table} SELECT * FROM {table} WHERE seq = 11"));
        let doubled = audit(&mut sink);
        assert_eq!((doubled.rows, doubled.duplicates, doubled.beyond), (301, 1, 0));
        store.sql("UPDATE ledger SET stored_seq = 290");
        assert_eq!(audit(&mut sink).beyond, 10);
    }
}

#[test]
fn markers_of_missing_ranges_are_counted_with_what_they_miss() {
    use feedd_model::{Event, EventBody, EventHead, Flags, Gap, GapReason, InstrumentId};
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    let mut sink = store.recovered();
    let gap = |reason, events| {
        let head = EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts: None, flags: Flags::NONE };
        let gap = Gap { reason, first_missing: None, last_missing: None, from_ts: None, to_ts: None, events };
        Event::new(head, EventBody::Gap(gap))
    };
    let events = [
        gap(GapReason::JournalDamaged, Some(7)),
        gap(GapReason::Disconnected, Some(100)),
        gap(GapReason::SinkBehind, Some(5)),
        gap(GapReason::SinkBehind, None),
    ];
    sink.write(&batch(&events, Epoch(1), 0..4, 4), MonoNanos(0)).unwrap();
    let audit = sink.audit(STREAM, Epoch(1)).unwrap().unwrap();
    assert_eq!((audit.rows, audit.markers, audit.missed), (4, 3, 12));
}
