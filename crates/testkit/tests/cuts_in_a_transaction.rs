//! The proxy between `psql` and a PostgreSQL server: cuts at chosen messages. Needs PostgreSQL; skipped with a printed note
//! where there is none.
#![allow(clippy::unwrap_used, reason = "tests")]

use feedd_testkit::postgres::Server;
use feedd_testkit::proxy::{At, Cut, Direction, Faults, How, Place, Plan, Proxy, Sides, Target};

/// One transaction with a COPY, as a batch is stored.
const BATCH: &str = "BEGIN;\nINSERT INTO ledger VALUES (1);\nCOPY rows FROM STDIN;\n1\n2\n3\n\\.\nCOMMIT;\n";

fn start() -> Option<(Server, Proxy)> {
    let server = Server::start()?;
    server.psql("postgres", "CREATE TABLE ledger(n int); CREATE TABLE rows(n int)");
    let proxy = Proxy::start(Target::Unix(server.socket()), Plan::postgres());
    Some((server, proxy))
}

/// Runs the batch by way of the proxy; whether `psql` says that it is stored, and whether it is.
fn store(server: &Server, proxy: &Proxy) -> (bool, bool) {
    server.psql("postgres", "TRUNCATE ledger, rows");
    let told = server.try_psql_at(proxy.address(), "postgres", BATCH).is_ok();
    // The server may still be at it: it is waited for by the lock that it holds.
    let stored = server
        .psql("postgres", "BEGIN; LOCK TABLE ledger, rows; SELECT (SELECT count(*) FROM ledger), count(*) FROM rows");
    assert!(["0|0", "1|3"].contains(&stored.as_str()), "all or nothing: {stored}");
    (told, stored == "1|3")
}

fn message(direction: Direction, nth: u64, place: Place) -> At {
    At::Message { direction, kind: None, nth, place }
}

#[test]
fn every_message_boundary_of_a_transaction_can_be_cut() {
    let Some((server, proxy)) = start() else { return };
    assert_eq!(store(&server, &proxy), (true, true));
    let counters = proxy.counters();
    for direction in [Direction::ToServer, Direction::ToClient] {
        let messages = counters.messages_of(direction);
        assert!(messages >= 8, "{direction:?}: {counters:?}");
        let mut outcomes = Vec::new();
        for (nth, how) in (1..=messages).zip([How::Fin, How::Rst].into_iter().cycle()) {
            let before = proxy.counters().cuts;
            proxy.arm(Cut { at: message(direction, nth, Place::Before), how });
            let outcome = store(&server, &proxy);
            assert_eq!(proxy.disarm(), 0, "{direction:?} {nth}: the cut was not met");
            assert_eq!(proxy.counters().cuts, before + 1, "{direction:?} {nth}");
            outcomes.push(outcome);
        }
        let committed_from = outcomes.iter().position(|&(_, stored)| stored);
        println!("{direction:?}: {messages} messages, {outcomes:?}");
        match direction {
            // Only the goodbye comes behind the COMMIT.
            Direction::ToServer => assert_eq!(committed_from, Some(outcomes.len() - 1)),
            // Confirmation and readiness: the client cannot know, the server has committed.
            Direction::ToClient => assert_eq!(outcomes[outcomes.len() - 2..], [(false, true), (false, true)]),
        }
    }
}

#[test]
fn a_swallowed_reply_to_commit_is_committed_and_not_told_every_time() {
    let Some((server, proxy)) = start() else { return };
    for run in 1..=20 {
        proxy.arm(Cut { at: At::CommitReply { nth: 1 }, how: How::Rst });
        assert_eq!(store(&server, &proxy), (false, true), "run {run}");
        assert_eq!(proxy.counters().commits_swallowed, run);
    }
    assert_eq!(proxy.counters().cuts, 20);
    assert_eq!(store(&server, &proxy), (true, true), "the proxy still serves");
}

#[test]
fn a_commit_that_fails_is_not_counted_as_swallowed() {
    let Some((server, proxy)) = start() else { return };
    proxy.arm(Cut { at: At::CommitReply { nth: 1 }, how: How::Fin });
    let sql = "\\set ON_ERROR_STOP 0\nBEGIN;\nSELECT 1/0;\nCOMMIT;\nSELECT 2;\n";
    server.try_psql_at(proxy.address(), "postgres", sql).expect_err("the connection is cut");
    let counters = proxy.counters();
    assert_eq!((counters.cuts, counters.commits_swallowed), (1, 0));
}

#[test]
fn a_cut_around_a_commit_decides_whether_the_server_gets_it() {
    let Some((server, proxy)) = start() else { return };
    proxy.arm(Cut { at: At::Commit { nth: 1, place: Place::Before }, how: How::Rst });
    assert_eq!(store(&server, &proxy), (false, false));
    proxy.arm(Cut { at: At::Commit { nth: 1, place: Place::Behind }, how: How::Fin });
    assert_eq!(store(&server, &proxy), (false, true));
    assert_eq!(proxy.counters().commits_swallowed, 0, "nobody waited for the answer");
}

#[test]
fn messages_are_counted_by_type_also_in_small_pieces() {
    let Some((server, proxy)) = start() else { return };
    proxy.set(Faults { piece_bytes_max: 3, ..Faults::default() });
    assert_eq!(store(&server, &proxy), (true, true));
    let counters = proxy.counters();
    let of = |direction, kind| counters.messages.get(&(direction, kind)).copied().unwrap_or_default();
    assert_eq!(of(Direction::ToServer, b'Q'), 4, "BEGIN, INSERT, COPY, COMMIT");
    assert_eq!(of(Direction::ToServer, b'c'), 1);
    assert!(of(Direction::ToServer, b'd') >= 1);
    assert_eq!(of(Direction::ToServer, b'X'), 1);
    assert_eq!(of(Direction::ToClient, b'C'), 4);
    assert_eq!(of(Direction::ToClient, b'Z'), 5);
    assert_eq!(of(Direction::ToClient, b'G'), 1);
}

#[test]
fn a_commit_into_a_half_open_connection_is_stored_and_never_told() {
    let Some((server, proxy)) = start() else { return };
    let schedule_free = Faults { swallow: Sides::TO_CLIENT, ..Faults::default() };
    let mut client = server.psql_command("postgres");
    client.args(["-h", "127.0.0.1", "-p", &proxy.address().port().to_string()]);
    let mut client = client.spawn().unwrap();
    let mut input = client.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"BEGIN;\nINSERT INTO ledger VALUES (7);\n").unwrap();
    while proxy.counters().messages.get(&(Direction::ToClient, b'C')).is_none_or(|&count| count < 2) {}
    proxy.set(schedule_free);
    std::io::Write::write_all(&mut input, b"COMMIT;\n").unwrap();
    drop(input);
    while server.psql("postgres", "SELECT n FROM ledger") != "7" {}
    assert!(client.try_wait().unwrap().is_none(), "the client still waits for its answer");
    proxy.cut_now(How::Rst);
    assert!(!client.wait().unwrap().success());
}
