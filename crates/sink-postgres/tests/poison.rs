//! A poison row costs one row, wherever it stands in its batch and whatever refuses it. Needs a server.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use common::{Store, deliver_epoch, trades_from};
use feedd_core::Sink;
use feedd_core::contract::sink::STREAM;
use feedd_model::{Decimal, Epoch, Event, EventBody, Trade, TradeId};
use feedd_sink_postgres::Layout;
use feedd_testkit::promise;

mod common;

const BATCH: usize = 500;
/// The trade id, and the size, that each kind of fault refuses.
const POISON: i64 = 1_000_000_000;

/// One transaction stores a batch; these are beyond those of a batch that is split around its bad row: 2 log2(500) + 1.
const EXTRA_ATTEMPTS_MAX: u64 = 18;

struct Kind {
    name: &'static str,
    layout: Layout,
    /// Makes the database refuse the poison; `{t}` is the table, `{leaf}` the partition of the rows.
    sql: &'static str,
    /// What the reason names.
    state: &'static str,
    /// Whether the server names the row, so that no further attempt is needed.
    is_named: bool,
}

const RAISE: &str = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     IF NEW.trade_id = 1000000000 THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$;";

fn run(kind: &Kind) {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, kind.layout);
    let mut sink = store.sink();
    sink.recover(STREAM, Epoch(1)).unwrap();
    // The seed rows make the partition and the instruments; a unique key refuses the poison beside the first of them.
    let seed = poisoned(trades_from(1, 8), 0);
    deliver_epoch(&mut sink, Epoch(1), &seed, 0..8);
    store.sql(RAISE);
    let table = store.trades();
    store.sql(&kind.sql.replace("{t}", table).replace("{leaf}", &format!("{table}_20240808")));
    store.count_attempts();
    let stride = if std::env::var_os("FEEDD_SOAK").is_some() { 1 } else { 25 };
    let places: Vec<usize> = (0..BATCH - 1).step_by(stride).chain([BATCH - 1]).collect();
    let (mut counted, mut lost, mut worst) = (0u64, 0, 0);
    for &place in &places {
        let epoch = Epoch(u32::try_from(place).unwrap() + 2);
        let events = poisoned(trades_from(10_000 * u128::from(epoch.0), BATCH), place);
        let (refused, failed) = deliver_epoch(&mut sink, epoch, &events, 0..BATCH);
        assert_eq!(failed, 0, "{}: no call failed otherwise", kind.name);
        assert_eq!(refused.len(), 1, "{} at {place}: one row is refused", kind.name);
        assert_eq!(refused[0].0.0, place as u64 + 1, "{}: the bad row and no other", kind.name);
        assert!(refused[0].1.contains(kind.state), "{}: {}", kind.name, refused[0].1);
        let now = store.attempts();
        let needed = 1 + u64::from(place > 0) + u64::from(place + 1 < BATCH);
        let extra = now - counted - needed;
        assert!(extra <= if kind.is_named { 0 } else { EXTRA_ATTEMPTS_MAX }, "{} at {place}: {extra}", kind.name);
        (counted, worst) = (now, worst.max(extra));
        lost += stored_wrong(&store, epoch, place);
    }
    promise::Report::new("P11")
        .runs(places.len() as u64)
        .faults(places.len() as u64)
        .fault_kinds(kind.name)
        .lost(lost)
        .note(&format!("at most {worst} extra attempts"))
        .finish();
}

/// Rows of the batch that are missing, or too many.
fn stored_wrong(store: &Store, epoch: Epoch, place: usize) -> u64 {
    let found = store.sql(&format!("SELECT count(*), count(DISTINCT seq), sum(seq) FROM trades WHERE epoch = {epoch}"));
    let all: usize = (1..=BATCH).sum();
    let wanted = format!("{}|{}|{}", BATCH - 1, BATCH - 1, all - place - 1);
    u64::from(found != wanted)
}

/// `place` gets the id and the size that are refused.
fn poisoned(mut events: Vec<Event>, place: usize) -> Vec<Event> {
    let EventBody::Trade(trade) = events[place].body() else { panic!("trades only") };
    let size = Decimal::new(POISON, 0).unwrap();
    let body = EventBody::Trade(Trade { id: TradeId::Number(POISON.unsigned_abs().into()), size, ..trade });
    events[place] = Event::new(events[place].head(), body);
    events
}

#[test]
fn a_unique_index_refuses_one_row() {
    run(&Kind {
        name: "unique violation",
        layout: Layout::Compact,
        sql: "CREATE UNIQUE INDEX ON {leaf} (trade_id)",
        state: "SQLSTATE 23505",
        is_named: true,
    });
}

#[test]
fn a_check_refuses_one_row() {
    run(&Kind {
        name: "check violation",
        layout: Layout::Readable,
        sql: "ALTER TABLE {t} ADD CHECK (trade_id <> '1000000000') NOT VALID",
        state: "SQLSTATE 23514",
        is_named: true,
    });
}

#[test]
fn a_trigger_before_the_row_refuses_it() {
    run(&Kind {
        name: "trigger exception",
        layout: Layout::Compact,
        sql: "CREATE TRIGGER refuse BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION refuse()",
        state: "SQLSTATE P0001",
        is_named: true,
    });
}

#[test]
fn a_trigger_after_the_copy_refuses_one_row() {
    run(&Kind {
        name: "trigger exception after the rows",
        layout: Layout::Compact,
        sql: "CREATE TRIGGER refuse AFTER INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION refuse()",
        state: "SQLSTATE P0001",
        is_named: false,
    });
}

#[test]
fn a_numeric_overflow_refuses_one_row() {
    run(&Kind {
        name: "NUMERIC overflow",
        layout: Layout::Readable,
        sql: "DROP VIEW tick_data; DELETE FROM {t}; ALTER TABLE {t} ALTER COLUMN size TYPE numeric(16, 8)",
        state: "SQLSTATE 22003",
        is_named: true,
    });
}

#[test]
fn a_deferred_constraint_refuses_one_row_at_commit() {
    run(&Kind {
        name: "deferred constraint",
        layout: Layout::Compact,
        sql: "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON {t} DEFERRABLE INITIALLY DEFERRED \
              FOR EACH ROW EXECUTE FUNCTION refuse()",
        state: "SQLSTATE P0001",
        is_named: false,
    });
}

#[test]
fn of_two_rows_that_clash_the_later_is_refused() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    let mut sink = store.recovered();
    deliver_epoch(&mut sink, Epoch(1), &trades_from(5_000, 1), 0..1);
    store.sql("ALTER TABLE trade_20240808 ADD UNIQUE (trade_id) DEFERRABLE INITIALLY DEFERRED");
    let mut events = poisoned(poisoned(trades_from(10, 100), 30), 70);
    events[0] = trades_from(5_000, 1)[0];
    let (refused, _) = deliver_epoch(&mut sink, Epoch(1), &events, 1..100);
    assert_eq!(refused.iter().map(|(seq, _)| seq.0).collect::<Vec<_>>(), [71]);
    store.assert_stored((1..=100).filter(|seq| *seq != 71), "all but the later of the two");
}

#[test]
fn several_bad_rows_are_found_one_by_one() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    let mut sink = store.recovered();
    store.sql(RAISE);
    store.sql("CREATE TRIGGER refuse AFTER INSERT ON trade FOR EACH ROW EXECUTE FUNCTION refuse()");
    let bad = [1, 2, 50, 51, 99, 100];
    let events =
        bad.iter().fold(trades_from(1, 100), |events, &seq: &u64| poisoned(events, usize::try_from(seq - 1).unwrap()));
    let (refused, _) = deliver_epoch(&mut sink, Epoch(1), &events, 0..100);
    let mut found: Vec<u64> = refused.iter().map(|(seq, _)| seq.0).collect();
    found.sort_unstable();
    assert_eq!(found, bad);
    store.assert_stored((1..=100).filter(|seq| !bad.contains(seq)), "all but the bad rows");
}

#[test]
fn a_missing_table_or_column_or_right_is_no_fault_of_the_rows() {
    let Some(server) = common::server() else { return };
    let cases = [
        ("ALTER TABLE trade RENAME TO gone", "ALTER TABLE gone RENAME TO trade"),
        ("ALTER TABLE trade_20240808 RENAME TO gone", "ALTER TABLE gone RENAME TO trade_20240808"),
        ("ALTER TABLE trade RENAME COLUMN size TO amount", "ALTER TABLE trade RENAME COLUMN amount TO size"),
        ("ALTER TABLE ledger RENAME TO gone", "ALTER TABLE gone RENAME TO ledger"),
    ];
    for (broken, mended) in cases {
        let store = Store::new(&server, Layout::Compact);
        let mut sink = store.recovered();
        let events = trades_from(1, 20);
        deliver_epoch(&mut sink, Epoch(1), &events, 0..10);
        store.sql(broken);
        // The parent's name is not used while its partitions are known; a new sink asks for it.
        let outcome = common::offer(&mut sink, &events, 10..20);
        match outcome {
            Err(feedd_core::SinkError::Unavailable { .. }) => {}
            Ok(()) => assert!(broken.contains("trade RENAME TO"), "{broken}"),
            other => panic!("{broken}: {other:?}"),
        }
        store.sql(mended);
        deliver_epoch(&mut sink, Epoch(1), &events, 10..20);
        store.assert_stored(1..=20, broken);
    }
}

#[test]
fn a_ledger_that_refuses_is_no_fault_of_the_rows() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    let mut sink = store.recovered();
    let events = trades_from(1, 20);
    deliver_epoch(&mut sink, Epoch(1), &events, 0..10);
    store.sql("ALTER TABLE ledger ADD CHECK (stored_seq < 15)");
    let error = common::offer(&mut sink, &events, 10..20).unwrap_err();
    assert!(matches!(error, feedd_core::SinkError::Unavailable { .. }), "{error:?}");
    store.sql("ALTER TABLE ledger DROP CONSTRAINT ledger_stored_seq_check");
    deliver_epoch(&mut sink, Epoch(1), &events, 10..20);
    store.assert_stored(1..=20, "after the constraint went");
}
