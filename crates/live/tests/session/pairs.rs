//! Two connections that carry the same, and a stream that only one of them gives.

use crate::protocol::{config, six, stream};
use crate::world::{SECOND, World};
use feedd_live::session::{Action, ConnId, StreamState, Why};
use feedd_live::stream::{Stream, StreamKind};
use std::time::Duration;

const SEEDS: u64 = 200;

/// Two connections that have been well for ten minutes.
fn well(seed: u64, mean_ns: u64) -> World {
    let mut world = World::new(config(2), six(), mean_ns, seed);
    world.run_for(Duration::from_secs(600));
    world.assert_well("before");
    world
}

fn is_found(action: &Action, on: ConnId, dead: &Stream) -> bool {
    matches!(action, Action::Silent { symbol, kind, conn: Some(conn) }
        if *conn == on && (symbol, *kind) == (&dead.symbol, dead.kind))
}

fn is_heard(world: &World, stream: &Stream) -> bool {
    matches!(world.state(stream), StreamState::Alive | StreamState::Quiet)
}

#[test]
fn a_stream_that_is_mute_on_one_of_two_connections_is_found_and_that_connection_replaced() {
    for seed in 0..SEEDS {
        let mut world = well(seed, SECOND / 2);
        let dead = six()[usize::try_from(seed % 6).unwrap()].clone();
        let ids: Vec<ConnId> = world.lines.keys().copied().collect();
        let (ill, other) = if seed % 4 < 2 { (ids[0], ids[1]) } else { (ids[1], ids[0]) };
        let from = world.now;
        world.ills.half_mute.insert((ill, dead.clone()));
        let seen = world.run_until_action(from, Duration::from_secs(120), |action| is_found(action, ill, &dead));
        let seen = seen.unwrap_or_else(|| panic!("seed {seed}: {:#?}", world.tail()));
        // Twice what is believed of the stream as a whole: 20 times the mean (0.5 s on the connection that is left, of its
        // last sixteen words up to twice that), or five times the longest interval.
        let limit = 2 * (20 * SECOND).max(5 * (world.longest_ns[&dead] + 2 * SECOND / 5));
        assert!(seen - from <= limit + SECOND, "seed {seed}: after {} s of {}", (seen - from) / SECOND, limit / SECOND);
        assert_eq!(world.session.view().streams_half_mute, 1, "seed {seed}");
        assert!(is_heard(&world, &dead), "seed {seed}: the other one gives it");
        world.run_for(Duration::from_secs(60));
        let closes: Vec<(ConnId, Why)> = world.closes(from).iter().map(|close| (close.1, close.2)).collect();
        assert_eq!(closes, [(ill, Why::Mute)], "seed {seed}: {:#?}", world.tail());
        assert!(world.lines.contains_key(&other), "seed {seed}");
        let silences = world.log.iter().filter(|(_, action)| matches!(action, Action::Silent { .. })).count();
        assert_eq!(silences, 1, "seed {seed}: nothing else is silent");
        let told = world.told();
        let about = told.iter().filter(|text| text.contains("while another one gives it: it is replaced")).count();
        assert_eq!(about, 1, "seed {seed}: {told:#?}");
        assert_eq!(world.session.view().streams_half_mute, 0, "seed {seed}: the new one gives it");
        world.assert_well(&format!("after, seed {seed}"));
        world.assert_budgets();
    }
}

#[test]
fn a_venue_that_gives_a_stream_to_one_connection_only_costs_a_connection_in_ten_minutes_at_most() {
    let mut world = well(5, SECOND / 2);
    let dead = stream(StreamKind::Trades, "AAA");
    let first = *world.lines.keys().next().unwrap();
    let from = world.now;
    // Whatever replaces the first one is as ill.
    for _ in 0..3_600 {
        let ill = world.lines.keys().copied().filter(|id| *id == first || id.0 > 2);
        let ill: Vec<_> = ill.map(|id| (id, dead.clone())).collect();
        world.ills.half_mute.extend(ill);
        world.run_for(Duration::from_secs(1));
    }
    let closes = world.closes(from);
    assert!((1..=7).contains(&closes.len()), "{closes:?}");
    assert!(closes.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 590 * SECOND), "{closes:?}");
    let asked = world
        .log
        .iter()
        .filter(|(at, action)| *at > from && matches!(action, Action::Send { text, .. } if text.starts_with("SUB")))
        .count();
    assert!(asked < 60, "{asked}");
    assert!(is_heard(&world, &dead));
    world.assert_budgets();
}

#[test]
fn two_connections_of_a_slow_market_are_not_taken_for_half_mute() {
    for seed in 0..4 {
        for mean in [SECOND, 20 * SECOND, 120 * SECOND] {
            let mut world = World::new(config(2), six(), mean, seed);
            world.is_zombie_free = false;
            world.run_for(Duration::from_secs(6 * 3_600));
            let found = world.log.iter().filter(|(_, action)| matches!(action, Action::Silent { conn: Some(_), .. }));
            assert_eq!(found.count(), 0, "seed {seed}, mean {mean}: {:#?}", world.tail());
        }
    }
}
