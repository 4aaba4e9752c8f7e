//! Asks a running recorder as a browser, Prometheus or an operator does. The HTTP here is the tests' own.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use super::common::{Feedd, command, run_args, synthetic};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for one answer of a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A recorder of what the test writes into a pipe, so that its numbers stand still when the test does.
pub(crate) struct Recorded {
    pub(crate) feedd: Feedd,
    /// `HOST:PORT` of its HTTP server.
    pub(crate) address: String,
    /// Open as long as the source is to live.
    pipe: File,
}

/// Where a recorder records, over several starts.
pub(crate) struct Place {
    folder: TempDir,
}

/// An answer: status, head, body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The folder's name is the venue.
        std::fs::create_dir(folder.path().join("binance")).unwrap();
        let place = Self { folder };
        assert!(Command::new("mkfifo").arg(place.pipe()).status().unwrap().success());
        place
    }

    fn pipe(&self) -> PathBuf {
        self.folder.path().join("binance").join("feed")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.file("data")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.data_dir().join("_feedd").join("feedd.sock")
    }

    /// Arguments of `feedd run` that record the pipe, asked at a port that is free.
    pub(crate) fn args(&self, sets: &[&str]) -> Vec<String> {
        let source = format!("capture:{}", self.pipe().display());
        let mut args = run_args(&self.data_dir(), &["--source", &source, "--set", "admin.listen=127.0.0.1:0"]);
        args.extend(sets.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]));
        args
    }

    /// Starts a recorder.
    pub(crate) fn start(&self, sets: &[&str]) -> Recorded {
        self.start_with(sets, &[])
    }

    /// Starts a recorder with these variables.
    pub(crate) fn start_with(&self, sets: &[&str], variables: &[(&str, &str)]) -> Recorded {
        let mut feedd = Feedd::start_in(command(&self.args(sets)).envs(variables.iter().copied()));
        feedd.wait_until("its address", |feedd| address(&feedd.said()).is_some());
        let address = address(&feedd.said()).unwrap();
        // Opening waits for the reader.
        let pipe = File::options().write(true).open(self.pipe()).unwrap();
        Recorded { feedd, address, pipe }
    }

    /// Runs `feedd COMMAND` for this data folder: exit code, standard output, standard error.
    pub(crate) fn ask(&self, args: &[&str]) -> (i32, String, String) {
        let data_dir = self.data_dir();
        feedd(&[args, &["--data-dir", data_dir.to_str().unwrap()]].concat())
    }
}

/// Runs a command of feedd: exit code, standard output, standard error.
pub(crate) fn feedd(args: &[&str]) -> (i32, String, String) {
    let output = command(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The address that a recorder says it serves.
pub(crate) fn address(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("dashboard and metrics: ")?;
    let (_, address) = rest.split_once("://")?;
    Some(address.split_once('/')?.0.to_owned())
}

impl Recorded {
    /// Writes a line into the pipe.
    pub(crate) fn write(&mut self, line: &[u8]) {
        self.pipe.write_all(&[line, b"\n"].concat()).unwrap();
    }

    /// Writes trades with the ids `first` to `last`.
    pub(crate) fn trade(&mut self, ids: std::ops::RangeInclusive<i64>) {
        ids.for_each(|id| self.write(&synthetic::trade(id, "100.25")));
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        get(&self.address, path)
    }

    pub(crate) fn status(&self) -> Value {
        let answer = self.get("/status");
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Waits until its status is as it should be, and gives it.
    pub(crate) fn wait_until(&mut self, what: &str, reached: impl Fn(&Value) -> bool) -> Value {
        let (address, mut found) = (self.address.clone(), Value::Null);
        self.feedd.wait_until(what, |_| {
            found = serde_json::from_str(&get(&address, "/status").body).unwrap();
            reached(&found)
        });
        found
    }

    /// Kills it.
    pub(crate) fn kill(self) {
        self.feedd.signal("KILL");
        self.feedd.wait();
    }

    /// Ends the source, and with it the run.
    pub(crate) fn end(self) -> super::common::Ended {
        drop(self.pipe);
        self.feedd.wait()
    }
}

/// GET over TCP.
pub(crate) fn get(address: &str, path: &str) -> Answer {
    raw(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"))
}

/// Sends `request` as it is, over TCP.
pub(crate) fn raw(address: &str, request: &str) -> Answer {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
    exchange(stream, request)
}

/// GET over the socket.
pub(crate) fn get_by_socket(socket: &Path, path: &str) -> Answer {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
    exchange(stream, &format!("GET {path} HTTP/1.0\r\n\r\n"))
}

/// One request; the answer ends with the connection. Status 0 when there was none.
pub(crate) fn exchange(mut stream: impl Read + Write, request: &str) -> Answer {
    // A server that refuses may close while we still write, and TLS may end without its last word.
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.flush());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}
