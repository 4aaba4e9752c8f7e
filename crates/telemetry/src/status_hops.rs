//! The part of the status document that tells how long events take, and what each stage does.

use crate::hops::{StageView, Times, all_times, wall_of};
use crate::watched::Watched;
use feedd_model::MonoNanos;
use serde::{Deserialize, Serialize};

/// One of [`crate::status::Status::latency`]: of measured events, or of calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyStatus {
    /// From where to where: `socket_to_ring`, `ring_to_batch`, `batch_to_durable`, `durable_to_stored` (without a journal
    /// `batch_to_stored`); and the calls `journal_sync` and `sink_insert`.
    pub hop: String,
    /// Whose: a source, `journal`, a sink.
    pub name: String,
    /// Events or calls that were measured.
    pub count: u64,
    /// Half of them took no longer.
    pub p50_ns: u64,
    /// 99 % of them took no longer.
    pub p99_ns: u64,
    /// 99.9 % of them took no longer.
    pub p999_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// One of [`crate::status::Status::stages`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageStatus {
    /// `source`, `batching`, `journal`, `sink`, `processor`, `engine`.
    pub stage: String,
    /// Of a source or a sink its name; otherwise the stage again.
    pub name: String,
    /// Whether its thread never waits for anything without a sign of life.
    pub pinned: bool,
    /// Whether it has ended.
    pub ended: bool,
    /// What went in: frames of a source, events, cycles of the engine.
    pub items_in: u64,
    /// What came out: events, bars of the processor, signals of the engine.
    pub items_out: u64,
    /// When something came out last.
    pub last_item_at: Option<i64>,
    /// Last sign of life of its thread; none where it gives none.
    pub beat_at: Option<i64>,
    /// How long ago that was.
    pub beat_age_ns: Option<u64>,
}

/// Every hop of the run.
pub(crate) fn latency(watched: &Watched) -> Vec<LatencyStatus> {
    let all = all_times(watched).into_iter();
    all.map(|Times { hop, name, times }| LatencyStatus {
        hop: hop.to_owned(),
        name,
        count: times.count(),
        p50_ns: times.at_permille(500),
        p99_ns: times.at_permille(990),
        p999_ns: times.at_permille(999),
        max_ns: times.max(),
    })
    .collect()
}

/// One stage.
pub(crate) fn stage(watched: &Watched, view: &StageView) -> StageStatus {
    let wall = |at: MonoNanos| wall_of(at, &*watched.clock).0;
    StageStatus {
        stage: view.stage.to_owned(),
        name: view.name.clone(),
        pinned: view.pinned,
        ended: view.ended,
        items_in: view.items_in,
        items_out: view.items_out,
        last_item_at: view.moved_at.map(wall),
        beat_at: view.beat_at.map(wall),
        beat_age_ns: view.beat_at.map(|at| watched.clock.mono().since(at)),
    }
}
