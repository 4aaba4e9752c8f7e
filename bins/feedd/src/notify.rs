//! What a service manager is told: ready, state in words, reloading, stopping, a sign of life (`sd_notify(3)`).
//!
//! Datagrams of `KEY=value` lines to the socket that `NOTIFY_SOCKET` names. Without one nothing is told.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest wait for a service manager that does not read.
const SEND_TIME_MAX: Duration = Duration::from_millis(500);
/// Longest state in words.
const STATUS_BYTES_MAX: usize = 400;

/// The way to the service manager. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notify(Option<Arc<Manager>>);

#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    /// From one sign of life to the next, at most; none when none is awaited.
    watchdog: Option<Duration>,
    /// Whether the log knows that it cannot be reached.
    is_told: AtomicBool,
}

impl Notify {
    /// The manager that the environment names.
    pub(crate) fn from_environment() -> Self {
        let text = |name| std::env::var(name).ok();
        let watchdog = watchdog(text("WATCHDOG_USEC"), text("WATCHDOG_PID"), std::process::id());
        std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()).map_or_else(Self::default, |name| {
            match connect(&name) {
                Ok(socket) => Self(Some(Arc::new(Manager { socket, watchdog, is_told: AtomicBool::new(false) }))),
                Err(error) => {
                    tracing::warn!("NOTIFY_SOCKET={}: {error}; the service manager is told nothing", name.display());
                    Self::default()
                }
            }
        })
    }

    /// Whether anybody listens.
    pub(crate) const fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    /// Longest time between two signs of life; none when none is awaited.
    pub(crate) fn watchdog_time(&self) -> Option<Duration> {
        self.0.as_ref().and_then(|manager| manager.watchdog)
    }

    /// It records; also: reloading is over.
    pub(crate) fn ready(&self) {
        self.send("READY=1");
    }

    /// How it is, in one line.
    pub(crate) fn status(&self, text: &str) {
        let text = text.replace(['\n', '\r'], " ");
        self.send(&format!("STATUS={}", &text[..text.floor_char_boundary(STATUS_BYTES_MAX)]));
    }

    /// The configuration is read again, until [`Notify::ready`].
    pub(crate) fn reloading(&self) {
        self.send("RELOADING=1");
    }

    /// It ends, within `most`.
    pub(crate) fn stopping(&self, most: Duration) {
        self.send(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", most.as_micros()));
    }

    /// The start goes on: wait for so long from now.
    pub(crate) fn extend(&self, time: Duration) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()));
    }

    /// A sign of life.
    pub(crate) fn watchdog(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, message: &str) {
        let Some(manager) = &self.0 else { return };
        match manager.socket.send(message.as_bytes()) {
            Ok(_) => manager.is_told.store(false, Ordering::Relaxed),
            Err(error) if !manager.is_told.swap(true, Ordering::Relaxed) => {
                tracing::warn!("the service manager cannot be told {message:?}: {error}");
            }
            Err(_) => {}
        }
    }
}

/// A path, or behind `@` a name without a file.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor a name behind @")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_write_timeout(Some(SEND_TIME_MAX))?;
    Ok(socket)
}

/// Time between signs of life, when they are awaited of this process.
fn watchdog(micros: Option<String>, pid: Option<String>, own: u32) -> Option<Duration> {
    let is_ours = pid.is_none_or(|pid| pid.parse() == Ok(own));
    let micros = micros?.parse().ok().filter(|&micros: &u64| is_ours && micros > 0)?;
    Some(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_life_are_for_the_process_that_is_meant() {
        let text = |text: &str| Some(text.to_owned());
        let cases = [
            ("no watchdog", None, None, None),
            ("for whoever reads it", text("30000000"), None, Some(Duration::from_secs(30))),
            ("for us", text("250000"), text("7"), Some(Duration::from_millis(250))),
            ("for another", text("250000"), text("8"), None),
            ("for nobody", text("250000"), text(""), None),
            ("zero is off", text("0"), None, None),
            ("no number", text("soon"), None, None),
        ];
        for (name, micros, pid, expected) in cases {
            assert_eq!(watchdog(micros, pid, 7), expected, "{name}");
        }
    }

    #[test]
    fn a_socket_is_a_path_or_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("feedd-notify-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let abstract_name = format!("@{name}");
        for (name, manager) in [(path.as_os_str(), by_path), (OsStr::new(&abstract_name), by_name)] {
            connect(name).unwrap().send(b"READY=1").unwrap();
            let mut message = [0; 16];
            let length = manager.recv(&mut message).unwrap();
            assert_eq!(&message[..length], b"READY=1", "{}", name.display());
        }
        for wrong in ["notify", "vsock:2:1234", "/no/such/socket"] {
            assert!(connect(OsStr::new(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn without_a_manager_nothing_is_told() {
        let nobody = Notify::default();
        nobody.ready();
        nobody.status("all is well");
        assert!(!nobody.is_heard() && nobody.watchdog_time().is_none());
    }
}
