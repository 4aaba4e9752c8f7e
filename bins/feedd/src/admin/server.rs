//! The server: sockets, limits, TLS. What is answered: `pages.rs`; who is let in: `guard.rs`.

use super::body::Answer;
use super::guard::{Guard, Head, Way};
use super::pages::{Ask, Page, Pages};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use feedd_config::{Admin as Settings, Secret, SecretRef};
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, oneshot};
use tokio_rustls::TlsAcceptor;

/// Longest time until the head of a request has come.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most headers of a request.
const HEADERS_MAX: usize = 64;
/// Longest life of a connection, a stream of events included; browsers open another.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(3_600);
/// Pause after accepting failed: no descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest path of a Unix socket, as the system has it.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The running server.
pub(crate) struct Admin {
    thread: JoinHandle<()>,
    over: oneshot::Sender<()>,
    socket: Option<PathBuf>,
}

/// Token and certificate. Read before a run begins: a mistake refuses the start, it does not end a recording.
pub(crate) struct Keys {
    token: Option<Secret>,
    tls: Option<TlsAcceptor>,
}

impl Keys {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// When something cannot be read, or does not belong together.
    pub(crate) fn read(settings: &Settings) -> Result<Self> {
        let token = settings.token.as_ref().map(|token| token.read(|name| std::env::var(name).ok())).transpose();
        Ok(Self { token: token.context("reading the admin token")?, tls: tls(settings)? })
    }
}

struct Shared {
    guard: Guard,
    pages: Arc<dyn Pages>,
    /// Each way has its own: whoever fills the address cannot keep `feedd status` out.
    tcp: Arc<Semaphore>,
    socket: Arc<Semaphore>,
}

impl Admin {
    /// Starts it; `socket` is where the data folder has its socket. An address that is taken already, or a folder that
    /// takes no socket, is told and done without: recording does not depend on it. `None` when there is nothing to
    /// listen on.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn start(settings: &Settings, keys: Keys, socket: &Path, pages: Arc<dyn Pages>) -> Result<Option<Self>> {
        let tcp = settings.listen.and_then(|listen| match std::net::TcpListener::bind(listen) {
            Ok(listener) => Some(listener),
            Err(error) => {
                tracing::warn!(
                    "admin.listen = \"{listen}\": {error}; no dashboard and no metrics in this run. Choose another address, or \"off\""
                );
                None
            }
        });
        let listen = tcp.as_ref().and_then(|listener| listener.local_addr().ok());
        let unix = if settings.socket { bind(socket) } else { None };
        if tcp.is_none() && unix.is_none() {
            return Ok(None);
        }
        let Keys { token, tls } = keys;
        let guard = Guard { listen, hosts: settings.hosts.clone(), token };
        let limit = || Arc::new(Semaphore::new(settings.connections_max));
        let shared = Arc::new(Shared { guard, pages, tcp: limit(), socket: limit() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("starting the runtime of the admin server")?;
        let (over, ended) = oneshot::channel();
        let has_socket = unix.is_some();
        let within = runtime.enter();
        let tcp = tcp.map(|tcp| tcp.set_nonblocking(true).and_then(|()| TcpListener::from_std(tcp))).transpose();
        let unix = unix.map(|unix| unix.set_nonblocking(true).and_then(|()| UnixListener::from_std(unix))).transpose();
        let (tcp, unix) = tcp.and_then(|tcp| Ok((tcp, unix?))).context("listening for the admin server")?;
        drop(within);
        let thread = std::thread::Builder::new().name("admin".into()).spawn(move || {
            runtime.block_on(async {
                if let Some(tcp) = tcp {
                    tokio::spawn(serve_tcp(tcp, tls, shared.clone()));
                }
                if let Some(unix) = unix {
                    tokio::spawn(serve_unix(unix, shared.clone()));
                }
                // Its end, or that of whoever holds the other side.
                let _ = ended.await;
            });
        });
        let thread = thread.context("starting the thread of the admin server")?;
        if let Some(listen) = listen {
            let scheme = if settings.tls_certificate.is_some() { "https" } else { "http" };
            tracing::info!("dashboard and metrics: {scheme}://{listen}/");
        }
        Ok(Some(Self { thread, over, socket: has_socket.then(|| socket.to_owned()) }))
    }

    /// Ends it and removes the socket.
    pub(crate) fn end(self) {
        let _ = self.over.send(());
        if self.thread.join().is_err() {
            tracing::error!("the admin thread panicked; the recording was not affected");
        }
        if let Some(socket) = self.socket {
            // Whoever finds a stale one sees that nobody listens.
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// Opens the socket of the data folder, whose lock is held: one that is there already is a dead recorder's.
fn bind(path: &Path) -> Option<std::os::unix::net::UnixListener> {
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        let shown = path.display();
        tracing::warn!(
            "{shown} is too long for a socket: feedd status will need admin.listen; choose a shorter data.dir"
        );
        return None;
    }
    let open = || {
        if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            std::fs::remove_file(path)?;
        }
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok::<_, std::io::Error>(listener)
    };
    open()
        .inspect_err(|error| {
            let shown = path.display();
            tracing::warn!("{shown} cannot be opened as a socket ({error}): feedd status will need admin.listen");
        })
        .ok()
}

fn tls(settings: &Settings) -> Result<Option<TlsAcceptor>> {
    let (Some(certificate), Some(key)) = (&settings.tls_certificate, &settings.tls_key) else { return Ok(None) };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.with_context(|| format!("reading admin.tls_certificate {}", certificate.display()))?;
    if chain.is_empty() {
        bail!("admin.tls_certificate {} holds no certificate", certificate.display());
    }
    // By the rule of all secrets: a file that its owner alone can read.
    let what = || format!("reading admin.tls_key {}", key.display());
    let key = SecretRef::File(key.clone()).read(|_| None).with_context(what)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).with_context(what)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .context("the admin certificate and key cannot be used")?;
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}

async fn serve_tcp(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Beyond the limit a connection is closed at once: those that are there go on.
        let Ok(permit) = shared.tcp.clone().try_acquire_owned() else { continue };
        let (shared, tls) = (shared.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                Some(tls) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HEAD_TIME_MAX, tls.accept(stream)).await {
                        connection(stream, Way::Tcp, &shared).await;
                    }
                }
                None => connection(stream, Way::Tcp, &shared).await,
            }
            drop(permit);
        });
    }
}

async fn serve_unix(listener: UnixListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(permit) = shared.socket.clone().try_acquire_owned() else { continue };
        let shared = shared.clone();
        tokio::spawn(async move {
            connection(stream, Way::Socket, &shared).await;
            drop(permit);
        });
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, way: Way, shared: &Arc<Shared>) {
    let answer = service_fn(|request: Request<Incoming>| {
        let page = respond(shared, way, &request);
        async move { Ok::<_, Infallible>(response(settled(page).await)) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), answer);
    // What went wrong with one client is that client's.
    let _ = tokio::time::timeout(CONNECTION_TIME_MAX, serving).await;
}

fn respond(shared: &Shared, way: Way, request: &Request<Incoming>) -> Page {
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let head = Head {
        method: request.method().as_str(),
        host: text(HOST),
        authorization: text(AUTHORIZATION),
        has_body: !request.body().is_end_stream(),
        is_public: shared.pages.is_public(request.uri().path()),
    };
    let is_change = match shared.guard.judge(way, head) {
        Ok(is_change) => is_change,
        Err((status, words)) => return Page::text(status, words),
    };
    let query = request.uri().query().unwrap_or_default().to_owned();
    let ask = Ask { path: request.uri().path().to_owned(), query, is_change };
    shared.pages.page(&ask).unwrap_or_else(|| Page::text(404, "there is no such page\n"))
}

/// Pause between two looks at an answer that is not there yet.
const LATER_PAUSE: Duration = Duration::from_millis(5);

/// The answer behind a page that is not there yet.
async fn settled(mut page: Page) -> Page {
    while let Page::Later { mut next } = page {
        page = match next() {
            Some(page) => page,
            None => {
                tokio::time::sleep(LATER_PAUSE).await;
                Page::Later { next }
            }
        };
    }
    page
}

fn response(page: Page) -> Response<Answer> {
    let (status, kind, answer) = match page {
        // Settled before; nothing is waited for here.
        Page::Later { .. } => (500, "text/plain; charset=utf-8", Answer::Whole(None)),
        Page::Whole { status, kind, body } => (status, kind, Answer::Whole(Some(Bytes::from(body)))),
        Page::Events { every_ms, next } => (200, "text/event-stream", Answer::events(every_ms, next)),
    };
    let mut response = Response::new(answer);
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    add_headers(response.headers_mut(), kind);
    response
}

/// Nothing from elsewhere runs in our pages, and nobody frames, guesses or keeps them.
fn add_headers(headers: &mut HeaderMap, kind: &'static str) {
    let fixed = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("x-frame-options"), "DENY"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
        (
            HeaderName::from_static("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
             trusted-types 'none'",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
