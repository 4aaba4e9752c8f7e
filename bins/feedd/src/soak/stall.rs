//! A way to the database that can stall: bytes go to and fro until it does, and none are lost.

use anyhow::{Context, Result, ensure};
use feedd_config::{Postgres, PostgresTls};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How soon a change is noticed by whoever waits for bytes.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes read at once.
const PIECE_BYTES: usize = 64 << 10;

/// What all its threads look at.
#[derive(Debug, Default)]
struct Switches {
    stalled: AtomicBool,
    over: AtomicBool,
}

/// The way; its threads end when it goes out of scope.
#[derive(Debug)]
pub(super) struct Forwarder {
    port: u16,
    /// As the recorder is to name it.
    host: &'static str,
    switches: Arc<Switches>,
}

impl Forwarder {
    /// Listens on a free port of this machine for who wants to reach that server.
    ///
    /// # Errors
    /// When the server is on another machine, or expects TLS: then the recorder would, rightly, refuse to be led there.
    pub(super) fn start(server: &Postgres) -> Result<Self> {
        ensure!(
            server.is_local() && server.tls != PostgresTls::VerifyFull,
            "a stalled-sink soak leads the recorder through a forwarder on this machine, which TLS rightly refuses: try it \
             with a server on this machine and tls = \"auto\""
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listening for the recorder")?;
        let port = listener.local_addr().context("listening for the recorder")?.port();
        listener.set_nonblocking(true).context("listening for the recorder")?;
        let switches = Arc::new(Switches::default());
        let (seen, server) = (switches.clone(), server.clone());
        std::thread::Builder::new().name("stall".into()).spawn(move || accept(&listener, &server, &seen))?;
        Ok(Self { port, host: "127.0.0.1", switches })
    }

    /// Settings that lead a recorder along this way.
    pub(super) fn settings(&self) -> Vec<String> {
        vec![format!("postgres.host={}", self.host), format!("postgres.port={}", self.port)]
    }

    /// Whether bytes stay where they are from now on.
    pub(super) fn stall(&self, stalled: bool) {
        // Relaxed: nothing else is read because of it.
        self.switches.stalled.store(stalled, Ordering::Relaxed);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.switches.over.store(true, Ordering::Relaxed);
    }
}

/// One end of a connection.
enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Wire {
    fn to(server: &Postgres) -> io::Result<Self> {
        if server.host.starts_with('/') {
            UnixStream::connect(format!("{}/.s.PGSQL.{}", server.host, server.port)).map(Self::Unix)
        } else {
            TcpStream::connect((server.host.as_str(), server.port)).map(Self::Tcp)
        }
    }

    fn again(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
        }
    }

    /// Reads do not wait for longer than a look.
    fn look_often(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(LOOK))),
            Self::Unix(stream) => stream.set_read_timeout(Some(LOOK)),
        }
    }

    /// Both halves; whoever reads or writes the other end sees it.
    fn close(&self) {
        // It may be closed already.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
        }
    }
}

fn accept(listener: &TcpListener, server: &Postgres, switches: &Arc<Switches>) {
    while !switches.over.load(Ordering::Relaxed) {
        let Ok((client, _)) = listener.accept() else {
            std::thread::sleep(LOOK);
            continue;
        };
        // What cannot be forwarded is closed: the recorder sees a server that is away, and says so.
        if let Err(error) = connect(Wire::Tcp(client), server, switches) {
            eprintln!("feedd: the way to the database: {error}");
        }
    }
}

fn connect(client: Wire, server: &Postgres, switches: &Arc<Switches>) -> io::Result<()> {
    let server = Wire::to(server)?;
    for (from, to) in [(client.again()?, server.again()?), (server, client)] {
        from.look_often()?;
        let switches = switches.clone();
        std::thread::Builder::new().name("stall".into()).spawn(move || forward(from, to, &switches))?;
    }
    Ok(())
}

/// Passes bytes on until one end is closed; holds them while it stalls.
fn forward(mut from: Wire, mut to: Wire, switches: &Switches) {
    let mut bytes = vec![0; PIECE_BYTES];
    while !switches.over.load(Ordering::Relaxed) {
        let read = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        while switches.stalled.load(Ordering::Relaxed) && !switches.over.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
        }
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    from.close();
    to.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wait_while_it_stalls_and_none_are_lost() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server =
            Postgres { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port(), ..Postgres::default() };
        let way = Forwarder::start(&server).unwrap();
        let mut client = TcpStream::connect((way.host, way.port)).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        client.write_all(b"one").unwrap();
        let mut got = [0; 3];
        served.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"one");
        way.stall(true);
        client.write_all(b"two").unwrap();
        served.set_read_timeout(Some(LOOK * 10)).unwrap();
        assert!(served.read(&mut got).is_err(), "nothing comes while it stalls");
        way.stall(false);
        served.set_read_timeout(None).unwrap();
        served.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"two");
        drop(client);
        assert_eq!(served.read(&mut got).unwrap(), 0, "an end is passed on");
    }

    #[test]
    fn no_password_is_led_across_a_network_in_the_clear() {
        for server in [
            Postgres { host: "db.example".into(), ..Postgres::default() },
            Postgres { tls: PostgresTls::VerifyFull, ..Postgres::default() },
        ] {
            let error = Forwarder::start(&server).unwrap_err();
            assert!(error.to_string().contains("server on this machine"), "{error}");
        }
    }
}
