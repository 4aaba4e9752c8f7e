//! Live venues: one pinned thread for each connection, and a session that knows what it should be hearing.
//!
//! Three layers, each testable without the next:
//! * [`protocol`]: what a venue calls things. Texts in, texts out; no state, no time.
//! * [`session`]: what is to be done when. A state machine without sockets and without a clock of its own: every call says what
//!   time it is, and what is to be done comes out as [`session::Action`]s.
//! * [`io`]: sockets, TLS, REST; carries out the actions and hands every frame to the intake.
//!
//! [`source::LiveSource`] is the three together, as the rest of the recorder sees it; [`tape`] keeps what came as it came.
//!
//! Which messages are missing, known or old is judged by `feedd_venues::check`, from what came in alone.
#![forbid(unsafe_code)]

pub mod ask_book;
pub mod change;
pub mod config;
pub mod io;
pub mod plan;
pub mod plan_change;
pub mod protocol;
pub mod session;
pub mod source;
pub mod stream;
pub mod tape;
