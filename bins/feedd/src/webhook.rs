//! Alerts to a webhook: one thread, a bounded queue, retries that end. Nobody waits for it.
//!
//! The receiver is not trusted: an attempt has an end, redirects are not followed, and of an answer nothing but its head is
//! read, which is bounded.

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use feedd_config::{Secret, Webhook as Settings};
use feedd_core::counters::Counter;
use feedd_core::error_text;
use feedd_telemetry::Level;
use feedd_telemetry::alerts::{Alert, State, Told};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

/// Alerts that may wait; more are dropped and counted.
const QUEUE_ALERTS_MAX: usize = 256;
/// Alerts of one message.
const MESSAGE_ALERTS_MAX: usize = 64;
/// Attempts for a message, the first included; then it is given up and counted.
const ATTEMPTS: u32 = 6;
/// Wait before the second attempt; it doubles with each.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// How often a wait looks whether the run is over.
const LOOK: Duration = Duration::from_millis(50);
/// How long the end of a run is put off for what waits.
const END_MAX: Duration = Duration::from_secs(1);
/// Most bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// When an alert that fires ends: what Alertmanager writes.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// The way to the webhook.
pub(crate) struct Webhook {
    queue: Mutex<Option<SyncSender<Alert>>>,
    shared: Arc<Shared>,
    done: Mutex<Receiver<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// By the thread.
    sent: Counter,
    /// By the thread.
    failed: Counter,
    dropped: AtomicU64,
}

/// Whom to tell, and how.
struct Target {
    uri: Uri,
    tls: Option<TlsConnector>,
    header: Option<(HeaderName, HeaderValue)>,
    timeout: Duration,
    /// Labels of every alert.
    labels: [(&'static str, String); 2],
}

/// Why a message was not taken.
#[derive(Debug)]
enum Failure {
    /// It may be taken later.
    Later(String),
    /// It will not.
    Never(String),
}

impl Webhook {
    /// Starts its thread; none when no webhook is configured.
    ///
    /// # Errors
    /// When the token or certificates cannot be read, or the thread cannot be started.
    pub(crate) fn start(settings: &Settings, data_dir: &Path) -> Result<Option<Self>> {
        let Some(url) = &settings.url else { return Ok(None) };
        let receiver = Target::new(url, settings, data_dir).context("alerts.webhook")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("starting the runtime of the webhook")?;
        let (queue, alerts) = sync_channel(QUEUE_ALERTS_MAX);
        let (over, done) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let thread_shared = shared.clone();
        let run = move || {
            send_all(&runtime, &receiver, &alerts, &thread_shared);
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
            // Whoever waited may have gone.
            let _ = over.try_send(());
        };
        std::thread::Builder::new().name("webhook".into()).spawn(run).context("starting the thread of the webhook")?;
        Ok(Some(Self { queue: Mutex::new(Some(queue)), shared, done: Mutex::new(done) }))
    }

    /// Puts an alert into the queue; never waits.
    pub(crate) fn tell(&self, alert: Alert) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = queue.as_ref() else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(alert) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of the alerts.
    pub(crate) fn told(&self) -> Told {
        let shared = &self.shared;
        Told { sent: shared.sent.get(), failed: shared.failed.get(), dropped: shared.dropped.load(Ordering::Relaxed) }
    }

    /// No more alerts come; what waits is tried once more, and not waited for beyond a moment.
    pub(crate) fn end(&self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Either it is done, or it is left alone: the process ends.
        let _ = self.done.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(END_MAX);
    }
}

/// Sends until the queue has no more senders.
fn send_all(runtime: &Runtime, receiver: &Target, alerts: &Receiver<Alert>, shared: &Shared) {
    while let Ok(first) = alerts.recv() {
        let mut message = vec![first];
        message.extend(alerts.try_iter().take(MESSAGE_ALERTS_MAX - 1));
        let count = message.len() as u64;
        match send(runtime, receiver, &message, shared) {
            Ok(()) => shared.sent.add(count),
            Err(reason) => {
                shared.failed.add(count);
                let host = receiver.uri.host().unwrap_or_default();
                tracing::warn!("{count} alerts could not be sent to the webhook at {host}: {reason}");
            }
        }
    }
}

/// Sends one message, again and again until it is taken, refused, or given up.
fn send(runtime: &Runtime, receiver: &Target, alerts: &[Alert], shared: &Shared) -> Result<(), String> {
    let body = Bytes::from(receiver.message(alerts).to_string());
    let mut pause = PAUSE_MIN;
    let mut last = String::new();
    for attempt in 1..=ATTEMPTS {
        match runtime.block_on(within(receiver.timeout, receiver.post(body.clone()))) {
            Ok(()) => return Ok(()),
            Err(Failure::Never(reason)) => return Err(format!("{reason}; it is not tried again")),
            Err(Failure::Later(reason)) => last = reason,
        }
        if attempt == ATTEMPTS || shared.is_over.load(Ordering::Relaxed) {
            return Err(format!("{last}; given up after {attempt} attempts"));
        }
        wait(pause, &shared.is_over);
        pause *= 2;
    }
    Err(last)
}

fn wait(pause: Duration, is_over: &AtomicBool) {
    let mut left = pause;
    while !left.is_zero() && !is_over.load(Ordering::Relaxed) {
        std::thread::sleep(left.min(LOOK));
        left = left.saturating_sub(LOOK);
    }
}

async fn within(most: Duration, attempt: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let late = || Failure::Later(format!("no answer within {most:?}"));
    tokio::time::timeout(most, attempt).await.unwrap_or_else(|_| Err(late()))
}

impl Target {
    fn new(url: &str, settings: &Settings, data_dir: &Path) -> Result<Self> {
        let uri: Uri = url.parse().context("url")?;
        let tls = if uri.scheme_str() == Some("https") { Some(connector(settings.ca_file.as_deref())?) } else { None };
        let token = settings.token.as_ref().map(|token| token.read(|name| std::env::var(name).ok())).transpose()?;
        let header = token.map(|token| header(&settings.header, &token)).transpose()?;
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let labels = [("instance", host.trim().to_owned()), ("data_dir", data_dir.display().to_string())];
        Ok(Self { uri, tls, header, timeout: settings.timeout, labels })
    }

    /// The JSON, in the shape of Alertmanager's webhooks (version 4).
    fn message(&self, alerts: &[Alert]) -> Value {
        let fires = alerts.iter().any(|alert| alert.state == State::Firing);
        let common = self.labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        json!({
            "version": "4",
            "groupKey": "feedd",
            "truncatedAlerts": 0,
            "status": if fires { "firing" } else { "resolved" },
            "receiver": "feedd",
            "groupLabels": {},
            "commonLabels": common.collect::<serde_json::Map<String, Value>>(),
            "commonAnnotations": {},
            "externalURL": "",
            "alerts": alerts.iter().map(|alert| self.alert(alert)).collect::<Vec<_>>(),
        })
    }

    fn alert(&self, alert: &Alert) -> Value {
        let Alert { rule, who, level, text, remedy, .. } = alert;
        let mut labels = json!({ "alertname": rule, "who": who, "severity": severity(*level) });
        for (name, value) in &self.labels {
            labels[*name] = json!(value);
        }
        let identity = self.labels.iter().fold(format!("{rule}\0{who}"), |text, (_, value)| text + "\0" + value);
        json!({
            "status": if alert.state == State::Resolved { "resolved" } else { "firing" },
            "labels": labels,
            "annotations": { "summary": format!("{who}: {text}"), "description": remedy },
            "startsAt": moment(alert.since),
            "endsAt": alert.until.map_or_else(|| NO_END.to_owned(), moment),
            "generatorURL": "",
            "fingerprint": format!("{:08x}", crc32fast::hash(identity.as_bytes())),
        })
    }

    /// One attempt.
    async fn post(&self, body: Bytes) -> Result<(), Failure> {
        let later = |what: &str, error: &(dyn std::error::Error + 'static)| {
            Failure::Later(format!("{what}: {}", error_text(error)))
        };
        let host = self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = self.uri.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await.map_err(|error| later("connecting", &error))?;
        match &self.tls {
            None => self.exchange(stream, body).await,
            Some(tls) => {
                let name = ServerName::try_from(host.to_owned());
                let name = name.map_err(|error| Failure::Never(format!("the host's name: {error}")))?;
                let stream = tls.connect(name, stream).await.map_err(|error| later("the TLS handshake", &error))?;
                self.exchange(stream, body).await
            }
        }
    }

    async fn exchange(&self, stream: impl AsyncRead + AsyncWrite + Unpin, body: Bytes) -> Result<(), Failure> {
        let later = |error: hyper::Error| Failure::Later(format!("the exchange: {}", error_text(&error)));
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::post(path)
            .header(HOST, self.uri.authority().map_or("", |authority| authority.as_str()))
            .header(USER_AGENT, concat!("feedd/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "close");
        if let Some((name, value)) = &self.header {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| Failure::Never(error.to_string()))?;
        let mut client = http1::Builder::new();
        let handshake = client.max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(later)?;
        let answer = pin!(sender.send_request(request));
        // The connection moves only while it is polled; it may be through before its answer has been looked at.
        let answer = match futures_util::future::select(answer, pin!(connection)).await {
            futures_util::future::Either::Left((answer, _)) => answer,
            futures_util::future::Either::Right((_, answer)) => answer.await,
        };
        judge(answer.map_err(later)?.status())
    }
}

/// What an answer means. Its body is never read.
fn judge(status: StatusCode) -> Result<(), Failure> {
    let text = format!("it answers {status}");
    match status.as_u16() {
        200..=299 => Ok(()),
        300..=399 => Err(Failure::Never(format!("{text}, a redirect, which is not followed"))),
        408 | 429 | 500.. => Err(Failure::Later(text)),
        _ => Err(Failure::Never(text)),
    }
}

const fn severity(level: Level) -> &'static str {
    match level {
        Level::Ok => "info",
        Level::Warning => "warning",
        Level::Critical => "critical",
    }
}

fn moment(unix_ns: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ns)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // A time of this century always has this form.
    time.format(&Rfc3339).unwrap_or_else(|_| NO_END.to_owned())
}

fn header(name: &str, token: &Secret) -> Result<(HeaderName, HeaderValue)> {
    let name = name.parse::<HeaderName>().with_context(|| format!("header {name:?}"))?;
    // The error must not show what could not be read.
    let value = HeaderValue::from_str(token.expose());
    let mut value = value.map_err(|_| anyhow!("the token has characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Verifies by the issuers of the system and those of `ca_file`.
fn connector(ca_file: Option<&Path>) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let what = || format!("ca_file {}", path.display());
        let issuers = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        for issuer in issuers.with_context(what)? {
            roots.add(issuer).with_context(what)?;
        }
    }
    if roots.is_empty() {
        bail!("the system has no certificates of issuers; install ca-certificates, or set alerts.webhook.ca_file");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
