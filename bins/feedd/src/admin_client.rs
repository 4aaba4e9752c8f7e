//! Asks a running recorder, over the socket in its data folder or over HTTP.

use crate::EXIT_USAGE;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Where a recorder is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recorder {
    /// The socket of a data folder.
    Socket(PathBuf),
    /// `HOST:PORT`, without TLS.
    Http(String),
}

impl Recorder {
    /// By its data folder, or by a URL when one is given.
    ///
    /// # Errors
    /// When the URL is not one of plain HTTP.
    pub(crate) fn find(url: Option<&str>, data_dir: &Path) -> Result<Self> {
        let Some(url) = url else {
            let state = data_dir.join(feedd_core::data_dir::STATE_DIR);
            return Ok(Self::Socket(state.join(crate::admin::SOCKET)));
        };
        match url.strip_prefix("http://") {
            Some(address) => Ok(Self::Http(address.trim_end_matches('/').to_owned())),
            None => bail!("{url} is no address of a recorder; write http://HOST:PORT"),
        }
    }

    /// The body of a page.
    ///
    /// # Errors
    /// When nobody answers, or the answer is not a success.
    pub(crate) fn get(&self, path: &str) -> Result<Vec<u8>> {
        self.ask("GET", path)
    }

    /// Asks for a change; gives the answer.
    ///
    /// # Errors
    /// When nobody answers, or the answer is not a success.
    pub(crate) fn change(&self, path: &str) -> Result<Vec<u8>> {
        self.ask("POST", path)
    }

    /// The documents of a page that goes on, until `each` says that it is enough (false) or the recorder ends it.
    ///
    /// # Errors
    /// When nobody answers, the answer is not a success, or `each` fails.
    pub(crate) fn events(&self, path: &str, each: &mut dyn FnMut(&str) -> Result<bool>) -> Result<()> {
        let mut lines = BufReader::new(self.send("GET", path)?);
        let mut head = String::new();
        // As a text: what `each` says about its own files and pipes is not taken for it.
        let reading = |error: std::io::Error| anyhow::anyhow!("reading {}: {error}", plain(path));
        while !head.ends_with("\r\n\r\n") {
            if lines.read_line(&mut head).map_err(reading)? == 0 {
                bail!("an answer without an end of its head");
            }
        }
        if status_of(&head) != "200" {
            let mut body = Vec::new();
            lines.take(ANSWER_BYTES_MAX).read_to_end(&mut body).map_err(reading)?;
            return Err(Refused::new(path, &head, &body).into());
        }
        let mut line = String::new();
        while lines.by_ref().take(ANSWER_BYTES_MAX).read_line(&mut line).map_err(reading)? > 0 {
            if let Some(document) = line.strip_prefix("data: ")
                && !each(document.trim_end())?
            {
                return Ok(());
            }
            line.clear();
        }
        Ok(())
    }

    fn ask(&self, method: &str, path: &str) -> Result<Vec<u8>> {
        let stream = self.send(method, path)?;
        let mut answer = Vec::new();
        let what = || format!("asking for {}", plain(path));
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).with_context(what)?;
        let split =
            answer.windows(4).position(|four| four == b"\r\n\r\n").context("an answer without an end of its head")?;
        let (head, body) = (String::from_utf8_lossy(&answer[..split]), &answer[split + 4..]);
        if status_of(&head) != "200" {
            return Err(Refused::new(path, &head, body).into());
        }
        Ok(body.to_vec())
    }

    /// Sends a request of HTTP/1.0, whose answer ends with the connection.
    fn send(&self, method: &str, path: &str) -> Result<Box<dyn Read>> {
        let request = |host: &str| format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
        let what = || format!("asking for {}", plain(path));
        match self {
            Self::Socket(socket) => {
                let mut stream = UnixStream::connect(socket).with_context(|| {
                    format!(
                        "no recorder answers at {}: it is not running, or this is not its data folder",
                        socket.display()
                    )
                })?;
                stream.set_read_timeout(Some(TIMEOUT)).and_then(|()| stream.set_write_timeout(Some(TIMEOUT)))?;
                stream.write_all(request("feedd").as_bytes()).with_context(what)?;
                Ok(Box::new(stream))
            }
            Self::Http(address) => {
                let address_port = if address.contains(':') { address.clone() } else { format!("{address}:80") };
                let mut stream =
                    connect(&address_port).with_context(|| format!("no recorder answers at http://{address}"))?;
                stream.set_read_timeout(Some(TIMEOUT)).and_then(|()| stream.set_write_timeout(Some(TIMEOUT)))?;
                stream.write_all(request(address).as_bytes()).with_context(what)?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// The recorder answers, and does not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Refused(String);

impl Refused {
    fn new(path: &str, head: &str, body: &[u8]) -> Self {
        Self(format!("{}: HTTP {}: {}", plain(path), status_of(head), String::from_utf8_lossy(body).trim()))
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Exit code when the recorder was not reached: monitoring systems call it unknown.
pub(crate) const EXIT_UNKNOWN: u8 = 3;

/// The exit code of a command that could not ask, or was refused.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<Refused>() { EXIT_USAGE } else { EXIT_UNKNOWN })
}

/// A path without its query.
fn plain(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

fn status_of(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

/// Connects to the first address of a name that answers in time.
fn connect(address_port: &str) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::other("this name has no address");
    for address in address_port.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
