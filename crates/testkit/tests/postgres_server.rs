//! The server of a test's own. Needs PostgreSQL; skipped with a printed note where there is none.
#![allow(clippy::unwrap_used, reason = "tests")]

use feedd_testkit::postgres::{Options, Server};
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

fn committed(server: &Server, database: &str) -> String {
    server.psql(database, "SELECT count(*), sum(n) FROM kept")
}

/// A process that runs something; what was killed and is reaped by nobody does not.
fn is_alive(pid: &str) -> bool {
    std::fs::read_link(Path::new("/proc").join(pid).join("exe")).is_ok()
}

#[test]
fn committed_rows_survive_a_kill_a_crash_and_a_stop() {
    let Some(mut server) = Server::start() else { return };
    let database = server.create_database();
    server.psql(&database, "CREATE TABLE kept(n bigint); INSERT INTO kept SELECT generate_series(1, 100)");
    let open = server.psql("postgres", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
    assert!(is_alive(&open));
    server.kill9();
    assert!(!is_alive(&open), "no process is left");
    server.try_psql(&database, "SELECT 1").expect_err("nobody answers");
    server.start_again();
    assert_eq!(committed(&server, &database), "100|5050");
    server.psql(&database, "INSERT INTO kept VALUES (101)");
    server.restart_immediate();
    assert_eq!(committed(&server, &database), "101|5151");
    server.stop();
    server.start_again();
    assert_eq!(committed(&server, &database), "101|5151");
    assert!(server.log().contains("database system was not properly shut down"), "the kill was none");
}

#[test]
fn a_kill_loses_what_was_not_committed_and_ends_clients() {
    let Some(mut server) = Server::start() else { return };
    server.psql("postgres", "CREATE TABLE kept(n bigint)");
    let mut client = server.psql_command("postgres").spawn().unwrap();
    let mut input = client.stdin.take().unwrap();
    input.write_all(b"BEGIN; INSERT INTO kept VALUES (1); \n").unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'";
    while server.psql("postgres", waiting) != "1" {}
    server.kill9();
    input.write_all(b"COMMIT;\n").unwrap();
    drop(input);
    assert!(!client.wait_with_output().unwrap().status.success());
    server.start_again();
    assert_eq!(committed(&server, "postgres"), "0|");
}

#[test]
fn databases_are_empty_and_of_different_names() {
    let Some(server) = Server::start() else { return };
    let (one, other) = (server.create_database(), server.create_database());
    assert_ne!(one, other);
    server.psql(&one, "CREATE TABLE here(n int)");
    assert_eq!(server.try_psql(&other, "SELECT * FROM here").unwrap_err().lines().count(), 3, "error, line, caret");
    assert_eq!(server.psql(&one, "SELECT 'a', NULL, 1.50; SELECT 2"), "a||1.50\n2");
}

#[test]
fn statements_before_a_failing_one_stay_and_its_words_are_told() {
    let Some(server) = Server::start() else { return };
    let error = server.try_psql("postgres", "CREATE TABLE first(n int); SELECT 1/0; CREATE TABLE second(n int)");
    assert!(error.unwrap_err().contains("division by zero"));
    assert_eq!(server.psql("postgres", "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"), "first");
}

#[test]
fn settings_and_tcp_are_as_asked_for_and_tcp_wants_the_password() {
    let settings = vec![("work_mem".to_owned(), "7MB".to_owned())];
    let options = Options { tcp: true, settings, fsync: true, ..Options::default() };
    let Some(server) = Server::start_with(options) else { return };
    let address = server.tcp_address().unwrap();
    assert_eq!(address.port(), server.port());
    let shown = server.try_psql_at(address, "postgres", "SHOW work_mem; SHOW fsync; SHOW ssl").unwrap();
    assert_eq!(shown, "7MB\non\noff");
    let method = "SELECT split_part(rolpassword, '$', 1) FROM pg_authid WHERE rolname = 'postgres'";
    assert_eq!(server.psql("postgres", method), "SCRAM-SHA-256");
    let mut wrong = server.psql_command("postgres");
    wrong.args(["-h", "127.0.0.1"]).env("PGPASSWORD", "wrong");
    let output = wrong.stdin(std::process::Stdio::null()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("password authentication failed"));
}

#[test]
fn a_server_with_a_certificate_speaks_tls() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("own.pem"), folder.path().join("own.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Some((certificate.clone(), key));
    let Some(server) = Server::start_with(Options { tls, tcp: true, ..Options::default() }) else { return };
    let ask = |host: &str| {
        let mut psql = server.psql_command("postgres");
        psql.args(["-h", host, "-c", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"]);
        psql.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", &certificate).stdin(std::process::Stdio::null());
        let output = psql.output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(ask("localhost"), ("t\n".to_owned(), String::new()));
    let (_, error) = ask("127.0.0.1");
    assert!(error.contains("does not match host name"), "{error}");
}

#[test]
fn a_dropped_server_leaves_nothing_behind() {
    let Some(server) = Server::start_with(Options { tcp: true, ..Options::default() }) else { return };
    let (folder, address) = (server.socket_dir().to_owned(), server.tcp_address().unwrap());
    let pid = server.psql("postgres", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
    drop(server);
    assert!(!folder.exists());
    assert!(!is_alive(&pid));
    TcpStream::connect(address).expect_err("nobody listens");
}

/// What a test of this file starts in a process of its own: a server, whose place it prints before it waits to be killed.
#[test]
fn a_server_ends_with_the_process_that_started_it() {
    const INNER: &str = "FEEDD_TESTKIT_INNER";
    if std::env::var_os(INNER).is_some() {
        let Some(server) = Server::start() else { return };
        let pid = server.psql("postgres", "SELECT pg_backend_pid()");
        std::fs::write(std::env::var_os(INNER).unwrap(), format!("{}\n{pid}", server.data_dir().display())).unwrap();
        loop {
            std::thread::park();
        }
    }
    let place = tempfile::NamedTempFile::new().unwrap();
    let name = "a_server_ends_with_the_process_that_started_it";
    let mut inner = std::process::Command::new(std::env::current_exe().unwrap());
    let mut inner = inner.args([name, "--exact", "--nocapture"]).env(INNER, place.path()).spawn().unwrap();
    let mut text = String::new();
    while !text.contains('\n') && inner.try_wait().unwrap().is_none() {
        text = std::fs::read_to_string(place.path()).unwrap();
    }
    let Some((data_dir, _)) = text.split_once('\n') else { return assert!(inner.wait().unwrap().success()) };
    let pid = std::fs::read_to_string(Path::new(data_dir).join("postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap().to_owned();
    inner.kill().unwrap();
    inner.wait().unwrap();
    let start = std::time::Instant::now();
    while is_alive(&pid) {
        assert!(start.elapsed().as_secs() < 30, "the server {pid} outlives its test");
    }
    std::fs::remove_dir_all(Path::new(data_dir).parent().unwrap()).unwrap();
}
