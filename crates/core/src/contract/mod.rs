//! Contract suites: what every implementation of a trait of this crate has to pass, called from its own tests.

pub mod sink;
pub mod source;
