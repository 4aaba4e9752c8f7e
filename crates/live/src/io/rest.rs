//! One REST request: GET, with a bounded answer.
//!
//! A connection for each: pulls are rare, and rustls resumes the session of the one before.

use super::dial::{Net, NetError, Step, dial, retry_after, within};
use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a request may take, all steps together.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Longest answer.
const BODY_BYTES_MAX: usize = 16 << 20;
/// How much of a refusal's words is told.
const TOLD_CHARS_MAX: usize = 200;

/// The text that `url` gives.
pub(super) async fn get(net: Arc<Net>, url: String) -> Result<String, NetError> {
    let step = Cell::new("");
    within(TIME_MAX, &step, ask(&net, &url, &step)).await
}

async fn ask(net: &Net, url: &str, step: &Step) -> Result<String, NetError> {
    let uri: Uri = url.parse().map_err(|error| NetError::new(format!("{url}: not an address: {error}")))?;
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("feedd/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| NetError::new(format!("{url}: {error}")))?;
    let wire = dial(net, &uri, step).await?;
    step.set("the answer");
    let broken = |error: hyper::Error| NetError::new(format!("{url}: {}", feedd_core::error_text(&error)));
    let (mut sender, connection) = http1::handshake(TokioIo::new(wire)).await.map_err(broken)?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(broken)?;
        read(url, response).await
    };
    // The connection moves only while it is polled; it may be through before its answer has been read.
    match select(pin!(exchange), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, exchange)) => exchange.await,
    }
}

async fn read(url: &str, response: Response<Incoming>) -> Result<String, NetError> {
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.as_bytes()));
    let error = |text: String| NetError { status: status.as_u16(), retry_after: wait, text: format!("{url}: {text}") };
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|cause| match cause.downcast_ref::<LengthLimitError>() {
        Some(_) => error(format!("the answer is longer than {BODY_BYTES_MAX} bytes")),
        None => error(format!("the answer broke off: {cause}")),
    })?;
    let text = String::from_utf8(body.to_bytes().into());
    if status.is_success() {
        return text.map_err(|_| error("the answer is not UTF-8".to_owned()));
    }
    let words: String = text.unwrap_or_default().chars().take(TOLD_CHARS_MAX).collect();
    Err(error(format!("status {status} {}", words.trim())))
}
