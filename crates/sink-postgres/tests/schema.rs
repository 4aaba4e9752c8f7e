//! Migrations, layouts, partitions, indexes and retention, against a server. Needs one.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use common::{LAYOUTS, Store, deliver, offer, read_all, trades};
use feedd_core::contract::sink::{STREAM, canonical, sample_events};
use feedd_core::{Batch, Block, Clock, ManualClock, Sink, SinkError, SystemClock, error_text};
use feedd_model::{Epoch, Event, EventBody, EventHead, Gap, GapReason, MonoNanos, Seq, SourceId, UnixNanos};
use feedd_sink_postgres::{Layout, Maintained, PostgresConfig, PostgresSink, maintain, migrate, retain, status};
use std::sync::Arc;

mod common;

const DAY: i64 = 86_400_000_000_000;

/// The events, received `day` days after their own.
fn on_day(events: &[Event], day: i64) -> Vec<Event> {
    let moved = |event: &Event| {
        let recv_ts = event.recv_ts().map(|time| UnixNanos(time.0 + day * DAY));
        Event::new(EventHead { recv_ts, ..event.head() }, event.body())
    };
    events.iter().map(moved).collect()
}

fn partitions(store: &Store, table: &str) -> String {
    store.sql(&format!(
        "SELECT string_agg(inhrelid::regclass::text, ' ' ORDER BY inhrelid::regclass::text COLLATE \"C\") FROM pg_inherits WHERE inhparent = '{table}'::regclass"
    ))
}

#[test]
fn a_schema_is_migrated_once_also_by_two_at_the_same_time() {
    let Some(server) = common::server() else { return };
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        assert_eq!(status(&store.config()).unwrap().version, 0);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let config = store.config();
                std::thread::spawn(move || migrate(&config).unwrap().len())
            })
            .collect();
        let mut done: Vec<usize> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        done.sort_unstable();
        assert_eq!(done, [0, 0, 0, 5], "one of them did all of it");
        assert!(migrate(&store.config()).unwrap().is_empty());
        let status = status(&store.config()).unwrap();
        assert_eq!((status.version, status.pending.len(), status.layout), (5, 0, Some(layout)));
        assert_eq!(store.sql("SELECT count(*) FROM feedd_migrations WHERE length(checksum) = 64"), "5");
    }
}

#[test]
fn a_changed_or_newer_or_other_schema_is_refused() {
    let Some(server) = common::server() else { return };
    let cases = [
        ("UPDATE feedd_migrations SET checksum = 'x' WHERE version = 2", "migration 2 (compact)"),
        ("INSERT INTO feedd_migrations VALUES (9, 'future', 'x')", "has version 9, this program knows 5"),
        ("UPDATE feedd_settings SET value = 'readable'", "has layout readable, not compact"),
    ];
    for (change, reason) in cases {
        let store = Store::new(&server, Layout::Compact);
        migrate(&store.config()).unwrap();
        let before = store.sql(change).len() + store.sql("SELECT * FROM feedd_migrations").len();
        let by_sink = store.sink().recover(STREAM, Epoch(1)).unwrap_err();
        for error in [by_sink, migrate(&store.config()).unwrap_err()] {
            assert!(matches!(error, SinkError::Fatal { .. }) && error.to_string().contains(reason), "{error}");
        }
        assert_eq!(store.sql("SELECT * FROM feedd_migrations").len(), before, "left as it was");
    }
}

#[test]
fn a_sink_that_may_not_migrate_waits_for_who_may() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Readable);
    let config = PostgresConfig { migrate: false, schema: "market_data".to_owned(), ..store.config() };
    let mut sink = PostgresSink::open(config.clone(), store.instruments.clone()).unwrap();
    let error = sink.recover(STREAM, Epoch(1)).unwrap_err();
    assert!(matches!(error, SinkError::Unavailable { .. }), "{error:?}");
    assert!(
        error_text(&error).contains("migrations are missing: ledger, readable, derived, dropped"),
        "{}",
        error_text(&error)
    );
    migrate(&config).unwrap();
    sink.recover(STREAM, Epoch(1)).unwrap();
    deliver(&mut sink, &trades(20), 0..20);
    assert_eq!(store.sql("SELECT count(*), count(DISTINCT seq) FROM market_data.trades"), "20|20");
    assert_eq!(store.sql("SELECT to_regclass('public.trades') IS NULL"), "t", "nothing outside of the schema");
}

#[test]
fn every_decimal_id_and_time_comes_back_as_it_was() {
    use feedd_model::{Decimal, EventBody, Flags, InstrumentId, Quote, Side, Trade, TradeId, VenueSeq};
    let Some(server) = common::server() else { return };
    let mut rng = fastrand::Rng::with_seed(feedd_testkit::promise::seed());
    // Magnitudes and scales of all sizes, so that mantissas meet no common scale now and then.
    let decimal = |rng: &mut fastrand::Rng| {
        let mantissa =
            rng.i64(-i64::MAX..=i64::MAX) / 10i64.pow(rng.u32(0..19)) * 10i64.pow(rng.u32(0..2) * rng.u32(0..1));
        Decimal::new(mantissa, rng.u8(0..=30)).unwrap()
    };
    let events: Vec<Event> = (0..1500)
        .map(|i| {
            let time = |rng: &mut fastrand::Rng| {
                rng.bool().then(|| UnixNanos(1_723_100_000_000_000_000 + rng.i64(0..2 * DAY)))
            };
            let head = EventHead {
                instrument: InstrumentId(rng.u32(1..=4)),
                venue_ts: rng.bool().then(|| UnixNanos(rng.i64(-i64::MAX..=i64::MAX))),
                recv_ts: time(&mut rng),
                flags: Flags::from_bits(rng.u8(0..32)),
            };
            let body = if i % 3 == 0 {
                let (bid, ask) = (decimal(&mut rng), decimal(&mut rng));
                // One of the two alone always has a place.
                EventBody::Quote(Quote {
                    bid: rng.bool().then_some(bid),
                    bid_size: None,
                    ask: None,
                    ask_size: Some(ask),
                    venue_seq: rng.bool().then(|| VenueSeq(rng.i64(-i64::MAX..=i64::MAX))),
                })
            } else {
                let id = match rng.u8(0..4) {
                    0 => TradeId::None,
                    1 => TradeId::Number(rng.u64(..).into()),
                    2 => TradeId::Number(rng.u128(..)),
                    _ => TradeId::Uuid(rng.u128(..)),
                };
                let side = [None, Some(Side::Buy), Some(Side::Sell)][rng.usize(0..3)];
                EventBody::Trade(Trade { price: decimal(&mut rng), size: decimal(&mut rng), side, id })
            };
            Event::new(head, body)
        })
        .collect();
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let mut sink = store.recovered();
        for start in (0..1500).step_by(300) {
            deliver(&mut sink, &events, start..start + 300);
        }
        let found = read_all(&store);
        assert_eq!(found.len(), events.len());
        for (_, seq, event) in found {
            let sent = canonical(&events[usize::try_from(seq.0).unwrap() - 1]);
            assert_eq!(event, sent, "{} seq {seq}", layout.name());
        }
    }
}

#[test]
fn values_without_a_common_scale_are_refused_alone() {
    use feedd_model::{Decimal, EventBody, Quote};
    let Some(server) = common::server() else { return };
    let quote = |bid, ask| {
        let (bid, ask) = (Some(bid), Some(ask));
        let quote = Quote { bid, bid_size: None, ask, ask_size: None, venue_seq: None };
        Event::new(trades(1)[0].head(), EventBody::Quote(quote))
    };
    let (large, small) = (Decimal::new(i64::MAX, 0).unwrap(), Decimal::new(1, 18).unwrap());
    let mut events = trades(4);
    (events[1], events[2]) = (quote(large, small), quote(large, large));
    let store = Store::new(&server, Layout::Compact);
    let (refused, _) = deliver(&mut store.recovered(), &events, 0..4);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].0 == Seq(2) && refused[0].1.contains("no common scale"), "{refused:?}");
    store.assert_stored([1, 3, 4], "the others");
    let readable = Store::new(&server, Layout::Readable);
    assert!(deliver(&mut readable.recovered(), &events, 0..4).0.is_empty(), "the readable layout has room for it");
}

#[test]
fn an_instrument_has_few_rows_and_recorders_share_them() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    let events = trades(400);
    deliver(&mut store.recovered(), &events, 0..400);
    assert_eq!(store.sql("SELECT count(*), count(DISTINCT (venue, symbol)) FROM instrument"), "4|4");
    // Another recorder, whose local ids differ and whose dictionary has one symbol more.
    let other = feedd_core::Instruments::in_memory();
    for (venue, symbol) in [("beta", "NEW"), ("beta", "ETH-USD"), ("alpha", "BTCUSDT"), ("alpha", "ETHUSDT")] {
        other.resolve(venue, symbol).unwrap();
    }
    let config = PostgresConfig { sink_name: "second".to_owned(), ..store.config() };
    let mut sink = PostgresSink::open(config, other).unwrap();
    sink.recover(STREAM, Epoch(1)).unwrap();
    deliver(&mut sink, &events, 0..400);
    assert_eq!(store.sql("SELECT count(*), count(DISTINCT (venue, symbol)) FROM instrument"), "5|5");
    assert_eq!(store.sql("SELECT count(*) FROM trades WHERE symbol IS NULL"), "0");
    assert_eq!(store.sql("SELECT count(*) FROM trades WHERE symbol = 'ETH-USD'"), "200");
    let counts = store.sql("SELECT symbol, COUNT(*) FROM tick_data GROUP BY symbol ORDER BY 1");
    assert_eq!(counts, "BTCUSDT|200\nETH-USD|200\nETHUSDT|200\nNEW|100\nXBT/USD|100");
}

#[test]
fn rows_go_to_the_partition_of_their_day_and_the_unknown_to_the_default() {
    let Some(server) = common::server() else { return };
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let mut sink = store.recovered();
        let table = store.trades();
        let mut events = [on_day(&trades(10), 0), on_day(&trades(10), 1), on_day(&trades(10), 400)].concat();
        let head = EventHead { recv_ts: None, ..events[5].head() };
        events[5] = Event::new(head, events[5].body());
        deliver(&mut sink, &events, 0..30);
        let found = store.sql(&format!("SELECT tableoid::regclass, count(*) FROM {table} GROUP BY 1 ORDER BY tableoid::regclass::text COLLATE \"C\""));
        assert_eq!(found, format!("{table}_20240808|9\n{table}_20240809|10\n{table}_20250912|10\n{table}_default|1"));
        // Partitions that somebody dropped are made again.
        store.sql(&format!("DROP TABLE {table}_20240809"));
        let more = [events, on_day(&trades(5), 1)].concat();
        deliver(&mut sink, &more, 30..35);
        assert_eq!(store.sql(&format!("SELECT count(*) FROM {table}_20240809")), "5");
    }
}

#[test]
fn without_the_right_to_create_rows_go_through_the_parent() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    migrate(&store.config()).unwrap();
    store.sql(
        "CREATE ROLE writer LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO writer; \
         GRANT INSERT, UPDATE ON ledger TO writer; GRANT INSERT ON feedd_late, instrument TO writer; \
         GRANT INSERT ON trade, trade_default TO writer; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO writer",
    );
    let config = PostgresConfig { user: "writer".to_owned(), ..store.config() };
    let mut sink = PostgresSink::open(config, store.instruments.clone()).unwrap();
    sink.recover(STREAM, Epoch(1)).unwrap();
    deliver(&mut sink, &trades(10), 0..10);
    assert_eq!(store.sql("SELECT tableoid::regclass, count(*) FROM trade GROUP BY 1"), "trade_default|10");
    // What has no grant is told, not given up.
    let error = offer(&mut sink, &sample_events(20), 10..20).unwrap_err();
    assert!(matches!(error, SinkError::Unavailable { .. }), "{error:?}");
    assert!(error_text(&error).contains("SQLSTATE 42501"), "{}", error_text(&error));
    store.sql("DROP OWNED BY writer; DROP ROLE writer");
}

#[test]
fn a_day_that_stands_in_the_default_partition_stays_there() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Readable);
    let mut sink = store.recovered();
    let events = trades(20);
    deliver(&mut sink, &events, 0..10);
    store.sql(
        "BEGIN; CREATE TEMP TABLE moved AS SELECT * FROM trades; DROP TABLE trades_20240808; \
         INSERT INTO trades SELECT * FROM moved; COMMIT",
    );
    let mut again = store.recovered();
    deliver(&mut again, &events, 10..20);
    assert_eq!(store.sql("SELECT tableoid::regclass, count(*) FROM trades GROUP BY 1"), "trades_default|20");
    store.assert_stored(1..=20, "all of them");
}

#[test]
fn partitions_are_made_ahead_of_the_clock() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    let clock = Arc::new(ManualClock::at(UnixNanos(1_723_161_599_000_000_000))); // 2024-08-08T23:59:59Z
    let mut sink = PostgresSink::open_with_clock(store.config(), store.instruments.clone(), clock.clone()).unwrap();
    sink.tick(clock.mono()).unwrap();
    sink.recover(STREAM, Epoch(1)).unwrap();
    sink.tick(clock.mono()).unwrap();
    assert_eq!(partitions(&store, "trade"), "trade_20240808 trade_20240809 trade_20240810 trade_default");
    clock.advance(2_000_000_000);
    sink.tick(clock.mono()).unwrap();
    assert!(!partitions(&store, "trade").contains("20240811"), "looked after once an hour");
    clock.advance(3_600_000_000_000);
    sink.tick(clock.mono()).unwrap();
    assert!(partitions(&store, "state").contains("state_20240811"));
    // A server that is away makes no error of a look ahead.
    server.borrow_mut().stop();
    clock.advance(3_600_000_000_000);
    sink.tick(clock.mono()).unwrap();
}

#[test]
fn finished_days_are_indexed_and_old_ones_dropped() {
    let Some(server) = common::server() else { return };
    let today = SystemClock::new().wall().unix_day();
    let ago = |days: i64| on_day(&trades(50), today - days - 19_943);
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let mut sink = store.recovered();
        let events = [ago(0), ago(3), ago(9), ago(10), ago(400)].concat();
        deliver(&mut sink, &events, 0..250);
        let table = store.trades();
        let built = maintain(&store.config()).unwrap().built;
        assert_eq!(built.len(), 4, "not today: {built:?}");
        assert_eq!(maintain(&store.config()).unwrap(), Maintained::default());
        let valid =
            "SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid::regclass::text LIKE '%_by_instrument'";
        assert_eq!(store.sql(valid), "4");
        // One that a failed build left is built anew.
        store.sql(&format!("UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{}'::regclass", built[0].index));
        assert_eq!(status(&store.config()).unwrap().tables[0].unfinished, 1);
        assert_eq!(maintain(&store.config()).unwrap().built, built[..1]);
        store.sql("ANALYZE");
        let seen = status(&store.config()).unwrap();
        let of_trades = &seen.tables[0];
        assert_eq!((of_trades.table, of_trades.partitions, of_trades.rows), (table, 7, 250), "two days ahead");
        assert_eq!((of_trades.indexed, of_trades.unindexed, of_trades.unfinished), (4, 0, 0));
        assert!(of_trades.bytes > 250 * 40);
        assert_eq!((seen.ledger.len(), seen.ledger[0].stored_seq, &*seen.ledger[0].sink), (1, 250, "postgres"));
        let dry = retain(&store.config(), 9, true).unwrap();
        assert_eq!(dry.len(), 2, "those of 10 and 400 days ago: {dry:?}");
        assert_eq!(store.sql(&format!("SELECT count(*) FROM {table}")), "250", "only told");
        store.sql(&format!("CREATE TABLE {table}_own PARTITION OF {table} FOR VALUES FROM (0) TO (1000)"));
        store.sql(&format!(
            "INSERT INTO {table} SELECT (jsonb_populate_record(t, '{{\"recv_ts\": 5}}')).* FROM {table} t LIMIT 1"
        ));
        assert_eq!(retain(&store.config(), 9, false).unwrap(), dry);
        assert_eq!(
            store.sql(&format!("SELECT count(*) FROM {table}")),
            "151",
            "150 and the row of another's partition"
        );
        assert!(retain(&store.config(), 9, false).unwrap().is_empty());
        let audit = sink.audit(STREAM, Epoch(1)).unwrap().unwrap();
        assert_eq!(audit.stored_seq, Seq(250), "positions stay");
        assert_eq!((audit.rows, audit.dropped_rows, audit.dropped_events), (151, 100, 100));
    }
}

#[test]
fn what_retention_drops_is_recorded_with_the_drop_or_not_at_all() {
    let Some(server) = common::server() else { return };
    let marker = |events| {
        let head = trades(1)[0].head();
        let reason = GapReason::SinkBehind;
        let (first_missing, last_missing, from_ts, to_ts) = (None, None, None, None);
        Event::new(
            head,
            EventBody::Gap(Gap { reason, first_missing, last_missing, from_ts, to_ts, events: Some(events) }),
        )
    };
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let mut sink = store.recovered();
        // Two starts on an old day; in the second a marker stands for events 11 to 30, at the place of the last of them.
        let events = [trades(10), vec![marker(20)], trades(5)].concat();
        common::deliver_epoch(&mut sink, Epoch(1), &events[..10], 0..10);
        sink.recover(STREAM, Epoch(2)).unwrap();
        common::deliver_epoch(&mut sink, Epoch(2), &events, 0..10);
        let mut batch = Batch::new();
        batch.push(Arc::new(Block::of(STREAM, Epoch(2), Seq(30), SourceId(0), &events[10..])), 0, 6);
        sink.write(&batch, MonoNanos(0)).unwrap();
        let mut audit = |epoch| sink.audit(STREAM, Epoch(epoch)).unwrap().unwrap();
        let before = audit(2);
        assert_eq!((before.stored_seq, before.rows, before.markers, before.missed), (Seq(35), 16, 1, 20));

        // Something that the drop must not take with it.
        let leaf = format!("{}_20240808", store.trades());
        store.sql(&format!("CREATE VIEW mine AS SELECT * FROM {leaf}"));
        let error = retain(&store.config(), 9, false).unwrap_err();
        assert!(error_text(&error).contains("2BP01"), "{}", error_text(&error));
        assert_eq!(store.sql("SELECT count(*) FROM feedd_dropped WHERE partition LIKE 'trade%'"), "0");
        assert_eq!(store.sql(&format!("SELECT count(*) FROM {leaf}")), "25", "neither dropped nor recorded");
        store.sql("DROP VIEW mine");
        let dropped = retain(&store.config(), 9, false).unwrap();
        assert_eq!(dropped.iter().find(|dropped| dropped.partition == leaf).map(|dropped| dropped.rows), Some(25));
        assert_eq!(store.identities(), [], "all of it was old");
        let by_start = match layout {
            Layout::Compact => {
                "SELECT l.epoch, sum(rows), sum(markers), sum(missed) FROM feedd_dropped d JOIN ledger l ON l.id = d.run"
            }
            Layout::Readable => "SELECT epoch, sum(rows), sum(markers), sum(missed) FROM feedd_dropped",
        };
        assert_eq!(store.sql(&format!("{by_start} GROUP BY 1 ORDER BY 1")), "1|10|0|0\n2|16|1|20", "{}", layout.name());
        for (epoch, stored, rows) in [(1, 10, 10), (2, 35, 16)] {
            let audit = audit(epoch);
            assert_eq!((audit.stored_seq, audit.rows), (Seq(stored), 0), "{}", layout.name());
            assert_eq!((audit.dropped_rows, audit.dropped_events), (rows, stored), "{}", layout.name());
        }
    }
}

#[test]
fn partitions_are_made_ahead_on_request() {
    let Some(server) = common::server() else { return };
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let config = PostgresConfig { partitions_ahead_days: 3, ..store.config() };
        migrate(&config).unwrap();
        let today = SystemClock::new().wall().unix_day();
        let done = maintain(&config).unwrap();
        assert_eq!((done.made.len(), done.denied.len()), (6 * 4, 0), "six tables, today and three days: {done:?}");
        // By the bounds that the server has.
        let bound = |day| format!("FOR VALUES FROM ('{}') TO ('{}')", day * DAY, (day + 1) * DAY);
        let bounds: Vec<String> = (today..=today + 3).map(bound).collect();
        for table in
            ["gap", "trade"].map(|table| if layout == Layout::Compact { table.to_owned() } else { format!("{table}s") })
        {
            let found = store.sql(&format!(
                "SELECT pg_get_expr(relpartbound, c.oid) FROM pg_class c JOIN pg_inherits i ON c.oid = i.inhrelid \
                 WHERE inhparent = '{table}'::regclass AND relname <> '{table}_default' ORDER BY relname"
            ));
            assert_eq!(found.lines().collect::<Vec<_>>(), bounds, "{table}");
        }
        assert_eq!(maintain(&config).unwrap(), Maintained::default(), "nothing is left to do");
        // A row of a day to come in the default partition is in the way of that day's.
        let (table, stamp) = (store.trades(), (today + 4) * DAY + 1);
        let run = match layout {
            Layout::Compact => "recv_ts, seq, run, flags, price, size) VALUES ({}, 1, 1, 0, 1, 1)",
            Layout::Readable => "recv_ts, stream, epoch, seq, flags, price, size) VALUES ({}, 1, 1, 1, 0, 1, 1)",
        };
        store.sql(&format!("INSERT INTO {table} ({}", run.replace("{}", &stamp.to_string())));
        let done = maintain(&PostgresConfig { partitions_ahead_days: 4, ..config }).unwrap();
        assert_eq!((done.made.len(), done.denied.len()), (5, 1), "{done:?}");
        assert!(done.denied[0].starts_with(table), "{done:?}");
    }
}

#[test]
fn a_schema_of_the_version_before_is_brought_up_and_keeps_its_rows() {
    let Some(server) = common::server() else { return };
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        deliver(&mut store.recovered(), &trades(20), 0..20);
        // As version 4 left it, once with rows that somebody else put there.
        let version_3 = include_str!("../src/sql/0003_derived.sql").split_once(");").unwrap().0;
        let undo = match layout {
            Layout::Compact => {
                "DROP VIEW bars_latest, bars, signals, fills, equity; DROP TABLE bar, signal, fill, valuation"
            }
            Layout::Readable => "DROP VIEW bars_latest; DROP TABLE bars, signals, fills, equity",
        };
        store.sql(&format!(
            "{undo}; {version_3}); ALTER TABLE feedd_dropped DROP COLUMN events; \
             DELETE FROM feedd_migrations WHERE version = 5; \
             INSERT INTO bars VALUES (1, 1, 1, 'v', 's', 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 0, 0)"
        ));
        let dropped = match layout {
            Layout::Compact => {
                "INSERT INTO feedd_dropped (partition, run, rows, markers, missed) VALUES ('trade_1', 1, 7, 0, 0)"
            }
            Layout::Readable => {
                "INSERT INTO feedd_dropped (partition, stream, epoch, rows, markers, missed) VALUES ('trades_1', 7, 1, 7, 0, 0)"
            }
        };
        store.sql(dropped);
        let seen = status(&store.config()).unwrap();
        assert_eq!((seen.version, seen.pending), (4, vec!["records"]));
        let mut sink = store.recovered();
        assert_eq!(status(&store.config()).unwrap().version, 5, "the sink has done it");
        deliver(&mut sink, &trades(30), 20..30);
        store.assert_stored(1..=30, layout.name());
        assert_eq!(store.sql("SELECT close FROM bars_of_version_3"), "1");
        let audit = sink.audit(STREAM, Epoch(1)).unwrap().unwrap();
        assert_eq!((audit.rows, audit.dropped_rows, audit.dropped_events), (30, 7, 7));
    }
}

#[test]
fn the_sink_indexes_finished_days_by_itself() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    let clock = Arc::new(ManualClock::at(UnixNanos(1_723_100_000_000_000_000 + DAY)));
    let config = PostgresConfig { build_indexes: true, ..store.config() };
    let mut sink = PostgresSink::open_with_clock(config, store.instruments.clone(), clock.clone()).unwrap();
    sink.recover(STREAM, Epoch(1)).unwrap();
    deliver(&mut sink, &trades(50), 0..50);
    // 13 hours past the end of the rows' day.
    let look = || {
        store.sql("SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid::regclass::text LIKE 'trade_2024%'")
    };
    sink.tick(MonoNanos(0)).unwrap();
    while look() == "0" {
        std::thread::yield_now();
    }
    assert_eq!(look(), "1", "the finished day, and none of those ahead");
}

#[test]
fn settings_that_cost_the_promise_are_seen() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    store.sql(&format!("ALTER DATABASE {} SET synchronous_commit = off", store.database));
    store.sql(&format!("ALTER DATABASE {} SET default_transaction_isolation = 'serializable'", store.database));
    let mut sink = store.recovered();
    store.sql(
        "CREATE TABLE seen (commit text, isolation text); CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit'), current_setting('transaction_isolation')); \
         RETURN NEW; END $$; CREATE TRIGGER see BEFORE UPDATE ON ledger FOR EACH ROW EXECUTE FUNCTION see()",
    );
    deliver(&mut sink, &trades(5), 0..5);
    assert_eq!(store.sql("SELECT * FROM seen"), "on|read committed", "the sink's session does not rely on them");
}

#[test]
fn an_instrument_that_has_no_text_in_the_database_is_refused() {
    let Some(server) = common::server() else { return };
    for layout in LAYOUTS {
        let mut store = Store::new(&server, layout);
        store.instruments = feedd_core::Instruments::in_memory();
        store.instruments.resolve("alpha", "BTCUSDT").unwrap();
        store.instruments.resolve("alpha", "BAD\0NAME").unwrap();
        // Local instruments are 1, 2, 3 and 4 in turn; 3 and 4 are not in the dictionary.
        let (refused, _) = deliver_many(&mut store.recovered(), &trades(8));
        let reason = |seq| refused.iter().find(|(seqs, _)| seqs.contains(&Seq(seq))).map(|(_, reason)| &**reason);
        assert_eq!(reason(2), Some("venue or symbol holds a NUL byte"), "{}", layout.name());
        assert_eq!(reason(3), Some("instrument is not in the dictionary"));
        store.assert_stored([1, 5], layout.name());
    }
}

/// Offers the events around whole lists of refused ones.
fn deliver_many(sink: &mut PostgresSink, events: &[Event]) -> (Vec<(Vec<Seq>, String)>, usize) {
    let (mut lists, mut calls, mut todo) = (Vec::new(), 0, Vec::new());
    todo.push(0..events.len());
    while let Some(range) = todo.pop() {
        calls += 1;
        match offer(sink, events, range.clone()) {
            Ok(()) => {}
            Err(SinkError::Refused { seqs, reason, .. }) => {
                let refused = |at: &usize| seqs.contains(&Seq(*at as u64 + 1));
                let kept: Vec<usize> = range.filter(|at| !refused(at)).collect();
                todo.extend(kept.chunk_by(|a, b| a + 1 == *b).rev().map(|part| part[0]..part[part.len() - 1] + 1));
                lists.push((seqs, reason));
            }
            Err(error) => panic!("{}", error_text(&error)),
        }
    }
    (lists, calls)
}
