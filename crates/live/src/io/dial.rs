//! From an address to a stream: name, TCP, TLS.

use super::resolve::Resolver;
use super::tls;
use super::wire::{Counted, Wire};
use hyper::Uri;
use rustls::pki_types::ServerName;
use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

/// What connections are made with.
pub(crate) struct Net {
    /// Looks names up.
    pub(crate) resolver: Resolver,
    /// `None` when no address asks for it.
    pub(crate) tls: Option<TlsConnector>,
    /// How long opening a connection may take, all steps together.
    pub(crate) connect: Duration,
    /// Longest frame, bytes.
    pub(crate) frame_bytes_max: usize,
}

/// Why something was not to be had from a venue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct NetError {
    /// HTTP status, 0 without an answer.
    pub(crate) status: u16,
    /// What the venue asks to wait.
    pub(crate) retry_after: Option<Duration>,
    /// In plain words.
    pub(crate) text: String,
}

impl NetError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { status: 0, retry_after: None, text: text.into() }
    }
}

/// Seconds of a `Retry-After` header; the other form, a date, is not used by venues.
pub(super) fn retry_after(value: &[u8]) -> Option<Duration> {
    std::str::from_utf8(value).ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What is being done, for whoever runs out of time.
pub(super) type Step = Cell<&'static str>;

/// Does `work` within `limit`; the error of running out of time names the step it was at.
pub(super) async fn within<T>(
    limit: Duration,
    step: &Step,
    work: impl Future<Output = Result<T, NetError>>,
) -> Result<T, NetError> {
    match timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(NetError::new(format!("no end within {limit:?} of {}", step.get()))),
    }
}

/// Opens the stream of an address. The limit of [`Net::connect`] is not kept here, see [`within`].
pub(super) async fn dial(net: &Net, uri: &Uri, step: &Step) -> Result<Wire, NetError> {
    let host = uri.host().unwrap_or_default();
    // An IPv6 address stands in brackets in a URL, and nowhere else.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let (is_tls, usual_port) = match uri.scheme_str() {
        Some("wss" | "https") => (true, 443),
        Some("ws" | "http") => (false, 80),
        _ => return Err(NetError::new(format!("{uri}: not an address of ws, wss, http or https"))),
    };
    let port = uri.port_u16().unwrap_or(usual_port);
    step.set("looking up the name");
    let addresses = net.resolver.addresses(host, port).await;
    let addresses = addresses.map_err(|error| NetError::new(format!("{host}: the name was not found: {error}")))?;
    step.set("connecting");
    let tcp = connect(&addresses, Instant::now() + net.connect).await?;
    // A request of 100 bytes is not held back for more.
    tcp.set_nodelay(true).map_err(|error| NetError::new(format!("{host}: TCP_NODELAY: {error}")))?;
    if !is_tls {
        return Ok(Wire::plain(Counted::new(tcp)));
    }
    step.set("the TLS handshake");
    let Some(tls) = &net.tls else { return Err(NetError::new(format!("{uri}: TLS has not been set up"))) };
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| NetError::new(format!("{host}: no name that a certificate could hold")))?;
    let stream = tls.connect(name, Counted::new(tcp)).await;
    stream.map(Wire::tls).map_err(|error| NetError::new(format!("{host}: {}", tls::reason(&error))))
}

/// Tries the addresses in turn, each for its share of what time is left, so that one that does not answer leaves time for
/// the others.
async fn connect(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, NetError> {
    let mut failures = Vec::new();
    for (left, address) in (1..=u32::try_from(addresses.len()).unwrap_or(u32::MAX)).rev().zip(addresses) {
        let now = Instant::now();
        let share = now + until.saturating_duration_since(now) / left;
        match timeout_at(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => failures.push(format!("{address}: no answer")),
        }
    }
    Err(NetError::new(failures.join("; ")))
}
