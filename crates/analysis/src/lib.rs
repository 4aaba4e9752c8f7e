//! The analysis lane: what is made of events beside their storage, never able to slow it.
//!
//! Blocks come from the batching thread over a link; [`bars`] turns trades into bars, [`engine`] runs the [`strategies`] over
//! them, [`paper`] keeps their books. Everything here is a function of the recorded events in their order: no clock is asked,
//! so a replay gives the same records. Leaves out on purpose: threads and their wiring (`bins/feedd`), storage.
//! Start with [`flow`].
#![forbid(unsafe_code)]

pub mod bars;
pub mod engine;
pub mod flow;
pub mod paper;
pub mod strategies;
