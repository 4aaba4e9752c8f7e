//! The proxy between an echo server and a client: every fault does what it says, and nothing else.
#![allow(clippy::unwrap_used, reason = "tests")]

use feedd_testkit::proxy::{At, Cut, Direction, Faults, How, Plan, Proxy, Sides, Target};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Sends back what it gets, one thread a connection, until the test's process ends.
fn echo_server() -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut back = stream.try_clone().unwrap();
                std::io::copy(&mut stream, &mut back).and_then(|_| back.shutdown(Shutdown::Write))
            });
        }
    });
    Target::Tcp(address)
}

fn proxy(faults: Faults) -> Proxy {
    Proxy::start(echo_server(), Plan { faults, ..Plan::default() })
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// A text that shows what is out of order, twice or missing.
fn text(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| u8::try_from((n * n + n / 251) % 251).unwrap()).collect()
}

/// Sends from a thread of its own, as an echo of more than the buffers hold needs.
fn echoed(stream: &TcpStream, sent: &[u8]) -> Vec<u8> {
    let mut got = Vec::new();
    std::thread::scope(|scope| {
        let mut writer = stream.try_clone().unwrap();
        scope.spawn(move || {
            writer.write_all(sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut reader = stream;
        reader.read_to_end(&mut got).unwrap();
    });
    got
}

fn assert_silent(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let error = stream.read(&mut [0; 1]).expect_err("nothing may come");
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
}

#[test]
fn bytes_arrive_whole_and_in_order_through_every_kind_of_slowness() {
    let none = Faults::default;
    let cases = [
        ("no fault", none(), 3 << 20),
        ("pieces of one byte", Faults { piece_bytes_max: 1, ..none() }, 5_000),
        ("pieces of seven bytes", Faults { piece_bytes_max: 7, ..none() }, 100_000),
        ("late", Faults { delay: Duration::from_millis(10), ..none() }, 300_000),
        ("slow", Faults { bytes_per_second_max: 200_000, ..none() }, 20_000),
        (
            "all of it",
            Faults { piece_bytes_max: 100, delay: Duration::from_millis(5), bytes_per_second_max: 100_000, ..none() },
            10_000,
        ),
    ];
    for (name, faults, bytes) in cases {
        let proxy = proxy(faults);
        let sent = text(bytes);
        assert!(echoed(&connect(proxy.address()), &sent) == sent, "{name}");
        let counters = proxy.counters();
        assert_eq!(counters.connections, 1, "{name}");
        for direction in [Direction::ToServer, Direction::ToClient] {
            assert_eq!(counters.bytes[&direction], bytes as u64, "{name}");
        }
    }
}

#[test]
fn a_limited_rate_and_a_delay_take_at_least_their_time() {
    let cases = [
        ("rate", Faults { bytes_per_second_max: 50_000, ..Faults::default() }, 10_000, 150),
        ("delay", Faults { delay: Duration::from_millis(60), ..Faults::default() }, 1, 120),
    ];
    for (name, faults, bytes, millis_min) in cases {
        let proxy = proxy(faults);
        let start = Instant::now();
        echoed(&connect(proxy.address()), &text(bytes));
        assert!(start.elapsed() >= Duration::from_millis(millis_min), "{name}: {:?}", start.elapsed());
    }
}

#[test]
fn refusing_answers_with_a_reset_and_leaves_open_connections_alone() {
    let proxy = proxy(Faults::default());
    let mut open = connect(proxy.address());
    open.write_all(b"a").unwrap();
    open.read_exact(&mut [0]).unwrap();
    for _ in 0..3 {
        proxy.set(Faults { refuse: true, ..Faults::default() });
        assert_eq!(TcpStream::connect(proxy.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        open.write_all(b"a").unwrap();
        open.read_exact(&mut [0]).unwrap();
        proxy.set(Faults::default());
        assert_eq!(echoed(&connect(proxy.address()), b"back"), b"back");
    }
    proxy.set(Faults { refuse: true, ..Faults::default() });
}

#[test]
fn cuts_end_connections_in_the_way_that_was_asked_for() {
    let proxy = proxy(Faults::default());
    for (how, ended) in [(How::Fin, Ok(0)), (How::Rst, Err(ErrorKind::ConnectionReset))] {
        let mut streams = [connect(proxy.address()), connect(proxy.address())];
        for stream in &mut streams {
            stream.write_all(b"a").unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
        let before = proxy.counters().cuts;
        proxy.cut_now(how);
        assert_eq!((proxy.counters().cuts - before, proxy.open()), (2, 0), "{how:?}");
        for stream in &mut streams {
            assert_eq!(stream.read(&mut [0]).map_err(|e| e.kind()), ended, "{how:?}");
        }
    }
    assert_eq!(echoed(&connect(proxy.address()), b"new ones are served"), b"new ones are served");
}

#[test]
fn a_stall_passes_nothing_until_it_ends_and_then_everything() {
    for stall in [Sides::BOTH, Sides::TO_SERVER, Sides::TO_CLIENT] {
        let proxy = proxy(Faults { stall, ..Faults::default() });
        let mut stream = connect(proxy.address());
        stream.write_all(b"held").unwrap();
        assert_silent(&mut stream);
        proxy.set(Faults::default());
        let mut got = [0; 4];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"held", "{stall:?}");
    }
}

#[test]
fn what_is_swallowed_never_comes_even_later() {
    for swallow in [Sides::TO_SERVER, Sides::TO_CLIENT] {
        let proxy = proxy(Faults { swallow, ..Faults::default() });
        let mut stream = connect(proxy.address());
        stream.write_all(b"lost").unwrap();
        assert_silent(&mut stream);
        let way = if swallow.to_server { Direction::ToServer } else { Direction::ToClient };
        assert_eq!(proxy.counters().bytes[&way], 4, "{swallow:?}");
        proxy.set(Faults::default());
        assert_eq!(echoed(&stream, b"kept"), b"kept", "{swallow:?}");
    }
}

#[test]
fn a_half_open_connection_does_not_show_that_the_peer_has_ended() {
    let proxy = proxy(Faults { swallow: Sides::TO_CLIENT, ..Faults::default() });
    let mut stream = connect(proxy.address());
    stream.shutdown(Shutdown::Write).unwrap();
    assert_silent(&mut stream);
}

#[test]
fn a_cut_at_a_byte_passes_exactly_what_lies_before_it() {
    for (direction, how) in
        [(Direction::ToServer, How::Fin), (Direction::ToClient, How::Fin), (Direction::ToClient, How::Rst)]
    {
        for count in [1, 2, 999, 70_000] {
            let proxy = proxy(Faults { piece_bytes_max: 0, ..Faults::default() });
            proxy.arm(Cut { at: At::Bytes { direction, count }, how });
            let sent = text(100_000);
            let mut stream = connect(proxy.address());
            let mut writer = stream.try_clone().unwrap();
            let to_send = sent.clone();
            // The cut may come before all is written.
            let sender = std::thread::spawn(move || writer.write_all(&to_send).is_ok());
            let mut got = Vec::new();
            let end = stream.read_to_end(&mut got);
            sender.join().unwrap();
            let count = usize::try_from(count).unwrap();
            assert!(got.len() <= count && got == sent[..got.len()], "{direction:?} {how:?} {count}");
            if direction == Direction::ToClient {
                assert_eq!(got.len(), count, "{how:?}");
                assert_eq!(end.is_err(), how == How::Rst, "{end:?}");
            }
            assert_eq!((proxy.counters().cuts, proxy.disarm()), (1, 0));
        }
    }
}

#[test]
fn a_schedule_changes_what_is_wrong_by_itself() {
    let stall = Faults { stall: Sides::BOTH, ..Faults::default() };
    let (free, refusing) = (Duration::from_millis(100), Duration::from_millis(200));
    let schedule = vec![(free, Faults::default()), (refusing, Faults { refuse: true, ..Faults::default() })];
    let start = Instant::now();
    let proxy = Proxy::start(echo_server(), Plan { faults: stall, schedule, ..Plan::default() });
    assert_eq!(echoed(&connect(proxy.address()), b"held until it is free"), b"held until it is free");
    assert!(start.elapsed() >= free, "{:?}", start.elapsed());
    while TcpStream::connect(proxy.address()).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(20), "never refused");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(start.elapsed() >= refusing, "{:?}", start.elapsed());
}

#[test]
fn a_target_that_is_gone_is_a_reset_and_counted() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(Target::Tcp(gone), Plan::default());
    let error = connect(proxy.address()).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(proxy.counters().target_refused, 1);
}
