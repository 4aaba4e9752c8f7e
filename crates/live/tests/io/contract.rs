//! What every source promises, and what a source does that is held up by its ring.

use crate::certificates::Told;
use crate::harness::{Recorder, config, exchange, is_subscribed, source_parts};
use feedd_core::contract::source::{SourceHarness, source_contract};
use feedd_core::{Instruments, Source};
use feedd_live::config::LiveConfig;
use feedd_live::io::Resolver;
use feedd_live::plan::plan;
use feedd_live::source::{LiveParts, LiveSource};
use feedd_venues::intake::{FRAME_REASONS, TRADE_REASONS};
use std::time::Duration;
use venue_sim::{FaultKind, Pace};

struct Live(LiveConfig);

impl SourceHarness for Live {
    fn make(&mut self, instruments: &Instruments) -> Box<dyn Source> {
        let shard = plan("live", &self.0).unwrap().remove(0);
        let live = LiveParts { resolver: Resolver::start().unwrap(), tapes: None, seed: 7 };
        Box::new(LiveSource::new(source_parts("live", instruments), self.0.clone(), shard, live).unwrap())
    }

    fn reasons(&self) -> [&'static [&'static str]; 2] {
        [&FRAME_REASONS, &TRADE_REASONS]
    }
}

#[test]
fn a_live_source_keeps_the_contract() {
    let server = exchange(|config| {
        config.paused = false;
        config.pace = Pace::PerSecond(5000);
    });
    source_contract(&mut Live(config(&server)));
}

#[test]
fn an_end_after_a_long_wait_for_the_ring_is_told_as_the_recorder_s_own_doing() {
    let server = exchange(|_| {});
    let told = Told::default();
    let mut recorder = Recorder::start_small(&config(&server), 64, told.log());
    recorder.until("subscribed", |_| is_subscribed(&server, 1));
    server.resume_market();
    // Nobody reads.
    while recorder.counters.blocked_since.get() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(1200));
    server.inject(FaultKind::Close { code: None });
    recorder.until("opened again", |recorder| recorder.opened() >= 2);
    server.pause_market();
    recorder.stop();
    let text = told.text();
    assert!(text.contains("feedd's own doing: it had not read for 1 s because its ring was full"), "{text}");
}
