//! Readers that subscribe to everything and throw away what comes, to see what the generator can send.

use super::generator::Address;
use anyhow::{Context, Result, anyhow, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tungstenite::{Message, WebSocket};

/// Bytes of one read.
const READ_BYTES: usize = 1 << 20;
/// Streams of one request.
const STREAMS_AT_ONCE: usize = 300;
/// Longest silence.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// One reader; it ends when it is dropped.
pub(super) struct Discard {
    tcp: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Discard {
    /// Subscribes to all that the recorder subscribes to, and reads in a thread of its own on the caller's cores. With TLS
    /// nothing is deciphered: what the sender costs is the same.
    ///
    /// # Errors
    /// When the generator cannot be reached.
    pub(super) fn start(address: &Address, symbols: &[String]) -> Result<Self> {
        let (_, host) = address.ws.split_once("://").context("an address has a scheme")?;
        let tcp = TcpStream::connect(host).with_context(|| format!("connecting to {host}"))?;
        tcp.set_read_timeout(Some(SILENCE_MAX))?;
        let url = format!("{}/ws", address.ws);
        match &address.ca {
            None => subscribe(tcp.try_clone()?, &url, symbols)?,
            Some(ca) => subscribe(tls(tcp.try_clone()?, host, ca)?, &url, symbols)?,
        }
        let mut reader = tcp.try_clone()?;
        let read = move || {
            let mut thrown_away = vec![0_u8; READ_BYTES];
            // The end of the connection, or of the whole generator: nothing is left to read then.
            while reader.read(&mut thrown_away).is_ok_and(|bytes| bytes > 0) {}
        };
        let thread = std::thread::Builder::new().name("discard".to_owned()).spawn(read)?;
        Ok(Self { tcp, thread: Some(thread) })
    }
}

impl Drop for Discard {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.tcp.shutdown(Shutdown::Both);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("bench-pipeline: a thread that reads and discards panicked");
        }
    }
}

fn tls(tcp: TcpStream, host: &str, ca: &str) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).with_context(|| format!("reading {ca}"))? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let (name, _) = host.rsplit_once(':').context("an address has a port")?;
    let name = name.to_owned().try_into().context("the name of the generator")?;
    Ok(StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, tcp))
}

/// The streams that a recorder of trades, quotes and depth asks for.
fn subscribe<S: Read + Write>(stream: S, url: &str, symbols: &[String]) -> Result<()> {
    let (mut socket, _): (WebSocket<S>, _) =
        tungstenite::client(url, stream).map_err(|error| anyhow!("opening {url}: {error}"))?;
    let names: Vec<String> = symbols.iter().map(|symbol| symbol.to_lowercase()).collect();
    let streams =
        names.iter().flat_map(|name| ["trade", "bookTicker", "depth@100ms"].map(|kind| format!("{name}@{kind}")));
    let streams: Vec<String> = streams.collect();
    for (id, streams) in streams.chunks(STREAMS_AT_ONCE).enumerate() {
        let request = serde_json::json!({ "method": "SUBSCRIBE", "params": streams, "id": id });
        socket.send(Message::text(request.to_string()))?;
    }
    let last = format!("\"id\":{}}}", streams.len().div_ceil(STREAMS_AT_ONCE) - 1);
    loop {
        let message = socket.read()?;
        let text = message.to_text()?;
        ensure!(!text.starts_with("{\"error\""), "the generator refuses: {text}");
        if text.starts_with("{\"result\"") && text.ends_with(&last) {
            return Ok(());
        }
    }
}
