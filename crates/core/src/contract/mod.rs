//! Contract suites: what every implementation of a trait of this crate has to pass, called from its own tests.

mod derived;
pub mod sink;
pub mod source;
