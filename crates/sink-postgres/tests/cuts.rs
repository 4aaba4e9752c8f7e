//! P2: however a connection or a server fails, at every message of a batch's transaction, each event is stored once.
//!
//! Every run is one batch with one fault, after a fault-free batch that leaves a connection in the pool. It is offered as
//! delivery does: again while the store is away; after an unknown outcome the position is asked for and the rest is cut
//! anew. Needs a server.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use common::Store;
use feedd_core::Sink;
use feedd_core::contract::sink::{batch, sample_events};
use feedd_model::{Event, EventHead, MonoNanos, UnixNanos};
use feedd_sink_postgres::{Layout, PostgresConfig, PostgresSink};
use feedd_testkit::promise::{self, Report};
use feedd_testkit::proxy::{At, Cut, Direction, Faults, How, Place, Proxy, Sides};
use matrix::{
    BATCH, Delivery, EPOCH, LIMIT, Messages, Retry, boundaries, config_through, judge, open, proxy, size, with_tcp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

mod common;
mod matrix;

/// Events of the fault-free batch before a fault: every kind is in it, so every statement is prepared.
const WARM: usize = 13;
const _: () = assert!(BATCH == 2 * WARM);
/// Fault-free batches before all others.
const LEARN: usize = 20;
/// The events of the contract suite, all on one day: every batch goes to the same tables.
fn events(count: usize) -> Vec<Event> {
    let one_day = |(event, n): (Event, i64)| {
        let recv_ts = Some(UnixNanos(1_723_100_000_000_000_000 + n * 100_003));
        Event::new(EventHead { recv_ts, ..event.head() }, event.body())
    };
    sample_events(count).into_iter().zip(0..).map(one_day).collect()
}

/// What is done to one batch.
#[derive(Clone, Debug)]
enum Fault {
    /// A cut, armed before the batch is offered.
    Cut(Cut),
    /// From about this message on nothing passes, or everything vanishes, one way or both, until the connection is reset
    /// or (`heals`) goes on as if nothing had been.
    Silence { faults: Faults, from: u64, heals: bool },
    /// `pg_terminate_backend`, again and again.
    Terminate,
    /// SIGKILL to the server in the middle of it, and a start.
    Kill,
}

impl Fault {
    fn kind(&self) -> &'static str {
        match self {
            Self::Cut(Cut { at: At::CommitReply { .. }, .. }) => "answer to COMMIT swallowed",
            Self::Cut(Cut { how: How::Fin, .. }) => "FIN",
            Self::Cut(Cut { how: How::Rst, .. }) => "RST",
            Self::Silence { faults, .. } if faults.swallow != Sides::default() => "half open",
            Self::Silence { .. } => "stall",
            Self::Terminate => "backend terminated",
            Self::Kill => "server killed",
        }
    }
}

/// The faults of all runs: a quarter are answers to COMMIT that are swallowed; the boundaries come round again and again.
fn faults(runs: usize, messages: Messages, rng: &mut fastrand::Rng) -> Vec<Fault> {
    let how = |rng: &mut fastrand::Rng| if rng.bool() { How::Fin } else { How::Rst };
    let mut boundaries = boundaries(messages);
    let mut rest = Vec::new();
    (0..runs)
        .map(|run| match run % 20 {
            0 | 4 | 8 | 12 | 16 => Fault::Cut(Cut { at: At::CommitReply { nth: 1 }, how: how(rng) }),
            2 => {
                let place = if rng.bool() { Place::Before } else { Place::Behind };
                Fault::Cut(Cut { at: At::Commit { nth: 1, place }, how: how(rng) })
            }
            10 => {
                let sides = [Sides::BOTH, Sides::TO_SERVER, Sides::TO_CLIENT][rng.usize(..3)];
                let faults = match rng.bool() {
                    true => Faults { stall: sides, ..Faults::default() },
                    false => Faults { swallow: sides, ..Faults::default() },
                };
                Fault::Silence { faults, from: rng.u64(..messages.to_server), heals: rng.bool() }
            }
            14 => Fault::Terminate,
            18 => Fault::Kill,
            _ => {
                if rest.is_empty() {
                    rng.shuffle(&mut boundaries);
                    rest.clone_from(&boundaries);
                }
                Fault::Cut(rest.pop().unwrap())
            }
        })
        .collect()
}

/// Messages of a fault-free batch, each way, when nothing is new to the connection: the fewest of the first few batches, since
/// some make instrument rows.
fn messages(proxy: &Proxy, delivery: &mut Delivery, events: &[Event]) -> Messages {
    let count = |way| proxy.counters().messages_of(way);
    let mut fewest = Messages { to_server: u64::MAX, to_client: u64::MAX };
    for _ in 0..LEARN {
        let before = (count(Direction::ToServer), count(Direction::ToClient));
        delivery.store(events, delivery.stored + BATCH);
        fewest.to_server = fewest.to_server.min(count(Direction::ToServer) - before.0);
        fewest.to_client = fewest.to_client.min(count(Direction::ToClient) - before.1);
    }
    fewest
}

/// Offers one batch while the fault happens. Whether it happened.
fn suffer(fault: &Fault, store: &Store, proxy: &Proxy, delivery: &mut Delivery, events: &[Event], end: usize) -> bool {
    if let Fault::Cut(cut) = fault {
        proxy.arm(cut.clone());
        delivery.store(events, end);
        return proxy.disarm() == 0;
    }
    let sent = || proxy.counters().messages_of(Direction::ToServer);
    let terminator = matches!(fault, Fault::Terminate).then(|| terminator(store));
    let (sent_before, failed_before) = (sent(), delivery.failed);
    // Slow enough for a fault to hit the middle.
    proxy.set(Faults { delay: Duration::from_millis(1), ..Faults::default() });
    std::thread::scope(|scope| {
        let offering = scope.spawn(|| delivery.store(events, end));
        let wait_for = |count: u64| {
            while sent() < sent_before + count && !offering.is_finished() {
                std::thread::yield_now();
            }
        };
        match fault {
            Fault::Silence { faults, from, heals } => {
                wait_for(*from);
                proxy.set(faults.clone());
                // Longer than a batch may take.
                std::thread::sleep(LIMIT + LIMIT / 4);
                proxy.set(Faults::default());
                // What has vanished on the way never comes: only a new connection helps.
                if !*heals || faults.swallow != Sides::default() {
                    proxy.cut_now(How::Rst);
                }
            }
            Fault::Kill => {
                wait_for(end as u64 % 20);
                store.server.borrow_mut().kill9();
                store.server.borrow_mut().start_again();
            }
            Fault::Terminate | Fault::Cut(_) => {}
        }
        offering.join().unwrap();
    });
    assert!(terminator.is_none_or(|mut psql| psql.wait().unwrap().success()));
    proxy.set(Faults::default());
    delivery.failed > failed_before
}

/// Terminates every backend of the sink, again and again for a while. It has begun when this returns.
fn terminator(store: &Store) -> Child {
    let sql = "DO $$ BEGIN FOR i IN 1..150 LOOP PERFORM pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE application_name = 'feedd'; PERFORM pg_stat_clear_snapshot(); PERFORM pg_sleep(0.003); \
               END LOOP; END $$;";
    let mut psql = store.server.borrow().psql_command(&store.database).spawn().unwrap();
    psql.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    let is_there = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'feedd'";
    while store.sql(is_there) != "0" {
        std::thread::yield_now();
    }
    psql
}

#[test]
fn every_message_of_a_batch_can_be_the_last_one() {
    let Some(server) = with_tcp() else { return };
    let seed = promise::seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let runs = size(60, 500, 5000);
    let events = events(LEARN * BATCH + runs * (WARM + BATCH) + 1);
    let store = Store::new(&server, Layout::Compact);
    let proxy = proxy(&server);
    let mut delivery = Delivery::new(open(&store, &proxy), seed);
    let messages = messages(&proxy, &mut delivery, &events);
    let all_boundaries = boundaries(messages).len();
    let faults = faults(runs, messages, &mut rng);
    let mut happened: BTreeMap<&str, u64> = BTreeMap::new();
    let mut met = BTreeSet::new();
    for fault in &faults {
        let warm_end = delivery.stored + WARM;
        delivery.store(&events, warm_end);
        if suffer(fault, &store, &proxy, &mut delivery, &events, warm_end + BATCH) {
            *happened.entry(fault.kind()).or_default() += 1;
            met.insert(format!("{fault:?}"));
        } else {
            println!("did not happen: {fault:?}");
        }
        assert!(delivery.stored >= warm_end + BATCH, "{fault:?}");
    }
    // Without faults: it still lives, and one fresh event arrives at once.
    let failed = delivery.failed;
    let fresh = delivery.stored + 1;
    let last = delivery.sink.write(&batch(&events, EPOCH, delivery.stored..fresh, 64), MonoNanos(0));
    assert!(last.is_ok(), "a fresh event after all faults: {last:?}");
    let judged = judge(&store, &events[..fresh]);
    let boundaries_met = met.iter().filter(|fault| fault.contains("Message")).count();
    let swallowed = proxy.counters().commits_swallowed;
    let count = |kind: &str| happened.get(kind).copied().unwrap_or_default();
    let total: u64 = happened.values().sum();
    let note = format!(
        "{messages:?} a batch; {boundaries_met} of {all_boundaries} boundaries cut; {swallowed} commits confirmed and the \
         answer swallowed, {} unknown outcomes were stored; {failed} calls failed; {fresh} events",
        delivery.committed_unanswered
    );
    println!("{note}");
    Report::new("P2")
        .runs(runs as u64)
        .faults(total)
        .fault_kinds(&format!("{happened:?}").replace(['{', '}', '"'], ""))
        .lost(judged.lost)
        .duplicated(judged.duplicated)
        .seed(seed)
        .note(&note)
        .demand(judged.altered == 0, "rows differ from what was offered")
        .demand(swallowed * 5 >= runs as u64, "fewer than a fifth of the runs were committed and unanswered")
        .demand(delivery.committed_unanswered >= swallowed, "an unanswered commit was not found by asking")
        .demand(total * 10 >= runs as u64 * 9, "too many faults did not happen")
        .demand(count("server killed") > 0 && count("backend terminated") > 0, "no server or backend ended")
        .demand(count("stall") + count("half open") > 0, "no connection was silent")
        .demand(runs < 500 || boundaries_met == all_boundaries, "a boundary of the transaction was not cut")
        .finish();
}

#[test]
fn without_asking_the_ledger_unanswered_commits_are_stored_twice() {
    let Some(server) = with_tcp() else { return };
    let seed = promise::seed();
    let runs = size(8, 20, 50);
    let events = events((runs + 1) * BATCH);
    for retry in [Retry::Blind, Retry::Asks] {
        let store = Store::new(&server, Layout::Compact);
        let proxy = proxy(&server);
        let mut delivery = Delivery::new(open(&store, &proxy), seed);
        // A connection of its own, so that nothing of the sink takes part in forgetting.
        let forget = store.server.borrow().psql_command(&store.database);
        let (program, args) = (forget.get_program().to_owned(), forget.get_args().map(Into::into).collect::<Vec<_>>());
        let envs: Vec<_> = forget.get_envs().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))).collect();
        delivery.retry = retry;
        delivery.forget = Some(Box::new(move |stored| {
            let args: &[std::ffi::OsString] = &args;
            let mut psql = Command::new(&program);
            let mut psql = psql.args(args).envs(envs.clone()).stdin(Stdio::piped()).spawn().unwrap();
            let sql = format!("UPDATE ledger SET stored_seq = {stored};");
            psql.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
            assert!(psql.wait().unwrap().success());
        }));
        delivery.store(&events, BATCH);
        for run in 1..=runs {
            let how = if run % 2 == 0 { How::Fin } else { How::Rst };
            proxy.arm(Cut { at: At::CommitReply { nth: 1 }, how });
            delivery.store(&events, (run + 1) * BATCH);
        }
        let judged = judge(&store, &events);
        let swallowed = proxy.counters().commits_swallowed;
        println!("{retry:?}: {runs} runs, {swallowed} commits confirmed and unanswered, {judged:?}");
        assert_eq!((swallowed, judged.lost, judged.altered), (runs as u64, 0, 0), "{retry:?}");
        // Blind: each of these batches stands there twice.
        let doubled = if retry == Retry::Blind { runs * BATCH } else { 0 };
        assert_eq!(judged.duplicated, doubled as u64, "{retry:?}");
    }
}

#[test]
fn two_recorders_fight_over_one_start_through_bad_networks() {
    let Some(server) = with_tcp() else { return };
    let seed = promise::seed();
    let runs = size(60, 500, 5000);
    let events = events(runs * BATCH);
    let store = Store::new(&server, Layout::Compact);
    let fight = |sink_names: [&str; 2]| {
        let fighters: Vec<_> = [seed, !seed]
            .into_iter()
            .zip(sink_names)
            .map(|(seed, name)| {
                let proxy = proxy(&server);
                let config = PostgresConfig { sink_name: name.to_owned(), ..config_through(&store, &proxy) };
                let sink = PostgresSink::open(config, store.instruments.clone()).unwrap();
                (proxy, Delivery::new(sink, seed), events.clone())
            })
            .collect();
        let threads: Vec<_> = fighters
            .into_iter()
            .map(|(proxy, mut delivery, events)| {
                std::thread::spawn(move || {
                    while delivery.stored < events.len() {
                        if delivery.rng.u8(..4) == 0 {
                            let how = if delivery.rng.bool() { How::Fin } else { How::Rst };
                            proxy.arm(Cut { at: At::CommitReply { nth: 1 }, how });
                        }
                        let end = events.len().min(delivery.stored + delivery.rng.usize(1..=2 * BATCH));
                        delivery.store(&events, end);
                        proxy.disarm();
                    }
                    (proxy.counters(), delivery.failed)
                })
            })
            .collect();
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let swallowed: u64 = ended.iter().map(|(counters, _)| counters.commits_swallowed).sum();
        let cuts: u64 = ended.iter().map(|(counters, _)| counters.cuts).sum();
        (swallowed, cuts, ended.iter().map(|(_, failed)| failed).sum::<u64>())
    };
    let (swallowed, cuts, failed) = fight(["postgres", "postgres"]);
    let judged = judge(&store, &events);
    Report::new("P2")
        .runs(runs as u64)
        .faults(cuts)
        .fault_kinds("two recorders with one identity, answers to COMMIT swallowed")
        .lost(judged.lost)
        .duplicated(judged.duplicated)
        .seed(seed)
        .note(&format!("{swallowed} commits confirmed and the answer swallowed; {failed} calls failed"))
        .demand(judged.altered == 0, "rows differ from what was offered")
        .demand(swallowed > 0, "no commit went unanswered")
        .finish();
    // The twin: with a ledger row each, nothing stands between the two.
    fight(["one", "other"]);
    let judged = judge(&store, &events);
    assert_eq!(
        (judged.lost, judged.duplicated),
        (0, 2 * events.len() as u64),
        "each of the two stores everything again"
    );
}
