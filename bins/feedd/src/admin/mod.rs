//! What operators and their programs ask over HTTP: status, metrics, health, books, the dashboard.
//!
//! One thread that no core is kept for; it reads counters and can slow nothing. The same server listens on the address
//! of `[admin]` and on a socket in the data folder, which only the recorder's own user can open.

mod body;
mod guard;
mod pages;
mod server;

pub(crate) use pages::{Ask, Page, Pages};
pub(crate) use server::{Admin, Keys};

/// Name of the socket in the state folder of the data folder.
pub(crate) const SOCKET: &str = "feedd.sock";
