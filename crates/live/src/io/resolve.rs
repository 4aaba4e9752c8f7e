//! Looks names up, apart from the threads that record.
//!
//! The system's look-up waits, and a thread that a pinned thread starts inherits its core: so look-ups are made by
//! threads that were started by one which is not pinned.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::oneshot;

/// Look-ups under way at once. The system's may take half a minute, and an attempt to connect is given up sooner.
const LOOKUPS_MAX: usize = 64;

/// Looks names up. Clones share one thread, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Resolver {
    asks: SyncSender<Ask>,
}

#[derive(Debug)]
struct Ask {
    host: String,
    port: u16,
    answer: oneshot::Sender<io::Result<Vec<SocketAddr>>>,
}

impl Resolver {
    /// Starts the thread. To be called by a thread that is not pinned.
    ///
    /// # Errors
    /// When the system starts no thread.
    pub fn start() -> io::Result<Self> {
        let (asks, queue) = sync_channel(LOOKUPS_MAX);
        std::thread::Builder::new().name("resolver".to_owned()).spawn(move || serve(&queue))?;
        Ok(Self { asks })
    }

    /// The addresses of a host, as the system orders them; at least one.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let (answer, answered) = oneshot::channel();
        let ask = Ask { host: host.to_owned(), port, answer };
        self.asks.try_send(ask).map_err(|_| io::Error::other("too many names are being looked up"))?;
        let addresses = answered.await.map_err(|_| io::Error::other("too many names are being looked up"))??;
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(addresses)
    }
}

/// One thread for each look-up, so that one slow name holds up no other.
fn serve(queue: &Receiver<Ask>) {
    let running = Arc::new(AtomicUsize::new(0));
    for ask in queue {
        if running.fetch_add(1, Ordering::Relaxed) >= LOOKUPS_MAX {
            running.fetch_sub(1, Ordering::Relaxed);
            // Dropping the question says so.
            continue;
        }
        let done = running.clone();
        let look_up = move || {
            let addresses = (ask.host.as_str(), ask.port).to_socket_addrs().map(Iterator::collect);
            // Whoever asked may have given up.
            let _ = ask.answer.send(addresses);
            done.fetch_sub(1, Ordering::Relaxed);
        };
        if let Err(error) = std::thread::Builder::new().name("look-up".to_owned()).spawn(look_up) {
            running.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(%error, "a name could not be looked up: the system started no thread for it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(host: &str) -> io::Result<Vec<SocketAddr>> {
        let resolver = Resolver::start().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(resolver.addresses(host, 443))
    }

    #[test]
    fn addresses_and_names_are_looked_up() {
        assert_eq!(look_up("192.0.2.7").unwrap(), ["192.0.2.7:443".parse().unwrap()]);
        assert_eq!(look_up("::1").unwrap(), ["[::1]:443".parse().unwrap()]);
        assert!(look_up("localhost").unwrap().iter().all(|address| address.ip().is_loopback()));
        assert!(look_up("no-such-host.invalid").is_err());
    }
}
