//! What there is to be asked for, apart from how it is asked.

/// A request that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Path, without the query.
    pub(crate) path: String,
    /// What stands behind the question mark, as it came; empty when there is none.
    pub(crate) query: String,
    /// Whether something is to be changed (POST); only over the socket.
    pub(crate) is_change: bool,
}

/// An answer.
pub(crate) enum Page {
    /// A document, whole.
    Whole {
        /// HTTP status.
        status: u16,
        /// Media type.
        kind: &'static str,
        /// The bytes.
        body: Vec<u8>,
    },
    /// Not known yet: others have to be asked first.
    Later {
        /// Looked at every few milliseconds, until it gives the answer.
        next: Box<dyn FnMut() -> Option<Page> + Send>,
    },
    /// Server-sent events: one document each time, as long as the client stays.
    Events {
        /// Milliseconds between two.
        every_ms: u64,
        /// Makes the next document, one line of JSON.
        next: Box<dyn FnMut() -> String + Send>,
    },
}

impl Page {
    /// Plain text.
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        Self::Whole { status, kind: "text/plain; charset=utf-8", body: text.into().into_bytes() }
    }

    /// JSON.
    pub(crate) fn json(status: u16, json: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(json) {
            Ok(body) => Self::Whole { status, kind: "application/json", body },
            Err(error) => Self::text(500, format!("this status cannot be written as JSON: {error}\n")),
        }
    }
}

/// Whoever answers.
pub(crate) trait Pages: Send + Sync + 'static {
    /// Answers a request, at once; what takes longer is a [`Page::Later`]. `None`: there is no such page.
    fn page(&self, ask: &Ask) -> Option<Page>;

    /// Whether this path holds nothing of the run and is given without a token, as the form that asks for the token must be.
    fn is_public(&self, path: &str) -> bool {
        let _ = path;
        false
    }
}
