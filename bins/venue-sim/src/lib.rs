//! A WebSocket and REST server that plays an exchange: its protocol, its limits, its habits, and on request its faults.
//!
//! Rehearsals and tests connect a recorder to it and compare what was stored with [`Server::log`], which the simulator
//! writes alone. The market is deterministic by seed: books that move, trades that eat them, quotes and depth messages that
//! follow, with the sequence fields of each venue. Frames are written from templates; no parser and no formatter is shared
//! with the recorder, and the WebSocket implementation is another one than the recorder's.
//!
//! It leaves out what needs an account: private channels, orders, authentication.
//!
//! ```
//! use venue_sim::{Config, FaultKind, Server, Venue};
//! let server = Server::start(Config::for_tests(Venue::Binance))?;
//! assert!(server.ws_url("/ws").starts_with("ws://127.0.0.1:"));
//! server.inject(FaultKind::Reset);
//! assert_eq!(server.stop().connections, 0);
//! # Ok::<(), venue_sim::StartError>(())
//! ```

#![forbid(unsafe_code)]

mod accept;
mod config;
mod connection;
mod drive;
mod facts_log;
mod faults;
mod housekeeping;
mod http;
mod hub;
mod log;
mod market;
mod outgoing;
mod replay;
mod server;
mod stream;
mod text;
mod tls;
mod venue;
mod venues;

pub use config::{Config, Limits, Pace, Rate, Replay, STEPS_NOMINAL, SymbolSpec};
pub use faults::{Chaos, FAULT_NAMES, Fault, FaultError, FaultKind};
pub use server::{Server, StartError, Summary};
pub use venue::Venue;

/// A time as it is written on the command line and in faults: `1500ms`, `20s`, `5m`, `24h`.
///
/// # Errors
/// When it is none; the text says what to write.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    faults::duration(text)
}
