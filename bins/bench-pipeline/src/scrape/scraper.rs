//! Who looks: a scraper, ten times a second over a new connection, and one open dashboard.

use anyhow::{Context, Result, anyhow, ensure};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two scrapes.
const EVERY: Duration = Duration::from_millis(100);
/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How soon the dashboard's thread sees the end.
const LOOK: Duration = Duration::from_millis(100);
/// A series that every page has.
const SERIES: &str = "feedd_events_accepted_total";

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looks {
    /// Whole pages.
    pub(super) scrapes: u64,
    /// Documents of the dashboard's stream.
    pub(super) events: u64,
}

/// Both clients.
pub(super) struct Scraper {
    over: Arc<AtomicBool>,
    scrapes: JoinHandle<Result<u64>>,
    events: JoinHandle<Result<u64>>,
}

impl Scraper {
    /// Looks at the recorder at `HOST:PORT`.
    pub(super) fn start(address: &str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (at, ended) = (address.to_owned(), over.clone());
        let scrapes = std::thread::spawn(move || scrape(&at, &ended));
        let (at, ended) = (address.to_owned(), over.clone());
        let events = std::thread::spawn(move || listen(&at, &ended));
        Self { over, scrapes, events }
    }

    /// Ends both; the recorder has ended already.
    ///
    /// # Errors
    /// When either saw nothing.
    pub(super) fn end(self) -> Result<Looks> {
        // Relaxed: nothing else hangs on it.
        self.over.store(true, Ordering::Relaxed);
        let join = |thread: JoinHandle<Result<u64>>| thread.join().map_err(|_| anyhow!("a client panicked"))?;
        let looks = Looks { scrapes: join(self.scrapes)?, events: join(self.events)? };
        ensure!(looks.scrapes > 0 && looks.events > 0, "the recorder was not looked at: {looks:?}");
        Ok(looks)
    }
}

/// Scrapes until the recorder is gone; counts whole pages.
fn scrape(address: &str, over: &AtomicBool) -> Result<u64> {
    let (mut count, mut due) = (0, Instant::now());
    while !over.load(Ordering::Relaxed) {
        match page(address) {
            Ok(page) => {
                ensure!(page.contains(SERIES), "a scrape without {SERIES}: {page}");
                count += 1;
            }
            // It ends when its time is over, perhaps in the middle of an answer.
            Err(_) if count > 0 => break,
            Err(error) => return Err(error).context("scraping"),
        }
        due += EVERY;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(count)
}

fn page(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    ensure!(text.contains("\r\n\r\n") && text.ends_with('\n'), "an answer that is not whole");
    Ok(text)
}

/// Listens as a dashboard does, until the recorder is gone; counts documents.
fn listen(address: &str, over: &AtomicBool) -> Result<u64> {
    let mut stream = TcpStream::connect(address).context("opening the stream of events")?;
    stream.set_read_timeout(Some(LOOK))?;
    write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
    let (mut count, mut piece, mut rest) = (0, vec![0; 64 << 10], Vec::new());
    while !over.load(Ordering::Relaxed) {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => count += documents(&mut rest, &piece[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) if count > 0 => break,
            Err(error) => return Err(error).context("listening to the events"),
        }
    }
    Ok(count)
}

/// Beginnings of documents in a stream that comes in pieces; keeps what may go on in the next one.
fn documents(rest: &mut Vec<u8>, piece: &[u8]) -> u64 {
    const BEGINS: &[u8] = b"data: {";
    rest.extend_from_slice(piece);
    let count = rest.windows(BEGINS.len()).filter(|window| *window == BEGINS).count() as u64;
    let keep = rest.len().min(BEGINS.len() - 1);
    rest.drain(..rest.len() - keep);
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_counted_wherever_they_are_cut() {
        let stream = b"data: {\"a\":1}\n\ndata: {\"a\":2}\n\n";
        for size in 1..stream.len() {
            let mut rest = Vec::new();
            let count: u64 = stream.chunks(size).map(|piece| documents(&mut rest, piece)).sum();
            assert_eq!(count, 2, "in pieces of {size}");
        }
    }
}
