//! Sockets, TLS and REST: what carries out the actions of a session.
//!
//! `driver` is the loop of a source's thread; the other parts know nothing of sessions. Names are looked up by
//! [`Resolver`], apart from that thread; everything else happens on it.

mod answers;
mod change;
mod dial;
mod driver;
mod perform;
mod resolve;
mod rest;
mod socket;
mod tls;
mod wire;

pub(crate) use dial::Net;
pub(crate) use driver::{Driver, DriverParts};
pub use resolve::Resolver;
pub use tls::CertificatesError;
pub(crate) use tls::connector;
