//! New connections: the handshake or REST answers, and what stands in their way.

use crate::connection::Connection;
use crate::faults::FaultKind;
use crate::http::{self, Answer, Request, read_request};
use crate::hub::{Hub, Inbox, Order, count, lock};
use crate::outgoing::Outgoing;
use crate::stream::{Stream, is_for_later};
use crate::venues;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tungstenite::WebSocket;
use tungstenite::protocol::{Role, WebSocketConfig};

/// How soon the end of the server is noticed.
const LOOK: Duration = Duration::from_millis(50);
/// Time between two bytes of a slow handshake.
const SLOW: Duration = Duration::from_secs(1);
/// Bytes of a message that a client may send.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Accepts until the server ends; each connection has a thread.
pub(crate) fn run(
    hub: &Arc<Hub>,
    listener: &TcpListener,
    tls: Option<&Arc<ServerConfig>>,
    threads: &Mutex<Vec<JoinHandle<()>>>,
) {
    let timeout = Timespec::try_from(LOOK).ok();
    while !hub.is_ending() {
        // A failed wait shows in the accept that follows.
        let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], timeout.as_ref());
        let (socket, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if is_for_later(&error) => continue,
            Err(error) => {
                // Out of files, say: those who are connected go on.
                hub.log.put(hub.log.line("accept_failed").text("why", &error.to_string()));
                std::thread::sleep(LOOK);
                continue;
            }
        };
        let (mine, tls) = (hub.clone(), tls.cloned());
        let started = std::thread::Builder::new().name("sim-conn".to_owned()).spawn(move || {
            if let Err(error) = serve(&mine, socket, peer, tls) {
                let line = mine.log.line("refused").text("peer", &peer.to_string());
                mine.log.put(line.text("why", &error.to_string()));
                count(&mine.totals.refused, 1);
            }
        });
        match started {
            Ok(thread) => {
                let mut threads = lock(threads);
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
            }
            Err(error) => hub.log.put(hub.log.line("accept_failed").text("why", &error.to_string())),
        }
    }
}

/// Serves a connection to its end.
fn serve(hub: &Arc<Hub>, socket: TcpStream, peer: SocketAddr, tls: Option<Arc<ServerConfig>>) -> io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(LOOK))?;
    let mut stream = match tls {
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            Stream::Tls(Box::new(StreamOwned::new(connection, socket)))
        }
        None => Stream::Plain(socket),
    };
    wait_out_blackhole(hub);
    let mut rest = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut rest, || hub.is_ending())? {
        if let Some(key) = request.websocket_key() {
            let key = key.to_owned();
            return upgrade(hub, stream, &request, &key, rest, peer);
        }
        let answer = answer(hub, &request);
        let keeps = request.keeps();
        answer.write(&mut stream, keeps)?;
        if !keeps {
            break;
        }
    }
    stream.finish();
    Ok(())
}

/// In a black hole nobody is answered, new connections neither.
fn wait_out_blackhole(hub: &Hub) {
    while !hub.is_ending() && hub.windows().iter().any(|window| window.kind == FaultKind::Blackhole) {
        std::thread::sleep(LOOK);
    }
}

fn answer(hub: &Hub, request: &Request) -> Answer {
    count(&hub.totals.rest, 1);
    let answer = if is_429(hub) {
        count(&hub.totals.refused, 1);
        Answer::too_many()
    } else if let Some(recording) = &hub.recording {
        recording.answer(request)
    } else {
        venues::rest(hub, request)
    };
    let line = hub.log.line("rest").text("request", &request.line()).number("status", u64::from(answer.status));
    hub.log.put(line.number("bytes", answer.body.len() as u64));
    answer
}

fn is_429(hub: &Hub) -> bool {
    hub.windows().iter().any(|window| window.kind == FaultKind::Status429)
}

/// Makes a WebSocket of the connection and runs it.
fn upgrade(
    hub: &Arc<Hub>,
    mut stream: Stream,
    request: &Request,
    key: &str,
    rest: Vec<u8>,
    peer: SocketAddr,
) -> io::Result<()> {
    let session = match &hub.recording {
        Some(recording) => Some(recording.session()),
        None => venues::open(hub, request),
    };
    let refused = if is_429(hub) || !hub.may_connect() {
        Some(Answer::too_many())
    } else {
        session.is_none().then(|| Answer::error(404, "{\"error\":\"no WebSocket at this path\"}"))
    };
    let (Some(session), None) = (session, &refused) else {
        let answer = refused.unwrap_or_else(Answer::too_many);
        let line = hub.log.line("refused").text("peer", &peer.to_string()).text("request", &request.line());
        hub.log.put(line.number("status", u64::from(answer.status)));
        count(&hub.totals.refused, 1);
        answer.write(&mut stream, false)?;
        stream.finish();
        return Ok(());
    };
    if !shake_hands(hub, &mut stream, &http::switch(key))? {
        return Ok(());
    }
    stream.tcp().set_nonblocking(true)?;
    let conn = hub.next_conn.fetch_add(1, Ordering::Relaxed);
    count(&hub.totals.connections, 1);
    let line = hub.log.line("open").number("conn", conn).text("peer", &peer.to_string());
    hub.log.put(line.text("request", &request.line()));
    let inbox = Arc::new(Inbox::new(conn)?);
    let settings = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let socket = WebSocket::from_partially_read(stream, rest, Role::Server, Some(settings));
    let outgoing = Outgoing::new(hub.clone(), conn, socket);
    hub.enter(inbox.clone());
    for window in hub.windows() {
        if matches!(window.kind, FaultKind::Mute | FaultKind::MuteSymbol { .. } | FaultKind::Blackhole) {
            inbox.order(Order { kind: window.kind, until: window.until });
        }
    }
    let why = Connection::new(hub.clone(), inbox, session, outgoing).run();
    hub.log.put(hub.log.line("closed").number("conn", conn).text("why", &why));
    Ok(())
}

/// Answers the handshake, one byte a second while that fault lasts. `false`: the server ended before.
fn shake_hands(hub: &Hub, stream: &mut Stream, answer: &str) -> io::Result<bool> {
    let mut bytes = answer.as_bytes();
    while let Some((first, others)) = bytes.split_first() {
        let slow = hub.windows().iter().any(|window| window.kind == FaultKind::SlowHandshake);
        if !slow {
            stream.write_all(bytes)?;
            break;
        }
        stream.write_all(&[*first])?;
        stream.flush()?;
        bytes = others;
        let start = Instant::now();
        while start.elapsed() < SLOW {
            if hub.is_ending() {
                return Ok(false);
            }
            std::thread::sleep(LOOK);
        }
    }
    stream.flush()?;
    Ok(true)
}
