//! The pages of a running recorder.

use crate::admin::{Ask, Page, Pages};
use crate::book_page::book_page;
use crate::dashboard;
use crate::observer::Observer;
use crate::reload::Reloads;
use crate::tap::Taps;
use feedd_live::ask_book::BookDesks;
use feedd_telemetry::Level;
use std::sync::Arc;

/// Milliseconds between two events of the dashboard.
const EVENTS_EVERY_MS: u64 = 500;

/// Answers from what the observer knows.
pub(crate) struct Views {
    pub(crate) observer: Arc<Observer>,
    pub(crate) books: BookDesks,
    pub(crate) taps: Taps,
    pub(crate) reloads: Reloads,
}

impl Pages for Views {
    fn page(&self, ask: &Ask) -> Option<Page> {
        if ask.is_change {
            return (ask.path == "/reload").then(|| self.reloads.page());
        }
        Some(match ask.path.as_str() {
            "/status" => Page::json(200, &self.observer.status()),
            "/metrics" => Page::Whole {
                status: 200,
                kind: "text/plain; version=0.0.4; charset=utf-8",
                body: self.observer.metrics().into_bytes(),
            },
            "/book" => book_page(ask, &self.books, &self.observer),
            "/tap" => self.taps.page(ask, &self.observer),
            "/livez" => Page::text(200, "ok\n"),
            "/readyz" => self.ready(),
            "/history" => Page::json(200, &self.observer.history()),
            "/events" => {
                let observer = self.observer.clone();
                let next = move || serde_json::to_string(&observer.status()).unwrap_or_default();
                Page::Events { every_ms: EVENTS_EVERY_MS, next: Box::new(next) }
            }
            path => return dashboard::page(path),
        })
    }

    fn is_public(&self, path: &str) -> bool {
        dashboard::is_asset(path)
    }
}

impl Views {
    /// A sink that is away does not make the recorder unready: the journal is there for that. It is named.
    fn ready(&self) -> Page {
        let findings = self.observer.findings();
        let is_waiting = findings.iter().any(|finding| finding.rule == "FeeddJournalWaiting");
        let (status, word) = match findings.first().map(|finding| finding.level) {
            None | Some(Level::Ok) => (200, "ok"),
            Some(_) if is_waiting => (503, "not ready"),
            Some(_) => (200, "degraded"),
        };
        let lines = findings.iter().map(|finding| format!("{}: {}: {}\n", finding.rule, finding.who, finding.text));
        Page::text(status, format!("{word}\n{}", lines.collect::<String>()))
    }
}
