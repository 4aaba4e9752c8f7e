//! A quiet market is no failure: arrivals at random from hundred a second to six an hour.

use crate::protocol::{config, shard, six, stream};
use crate::world::{SECOND, World};
use feedd_live::session::{Action, Why};
use feedd_live::stream::StreamKind;
use feedd_model::MonoNanos;
use proptest::prelude::*;
use std::time::Duration;

/// Streams of a symbol that was well before: words heard, silences marked, connections closed in `hours`.
fn listen(mean_ns: u64, seed: u64, hours: u64) -> (f64, usize, usize) {
    let mut world = World::new(
        config(1),
        vec![stream(StreamKind::Trades, "AAA"), stream(StreamKind::Trades, "BBB")],
        mean_ns,
        seed,
    );
    world.is_zombie_free = false;
    // Until both have been heard ten times: before that they are judged by the deadlines of the configuration.
    while world.state(&world.streams[0]) != feedd_live::session::StreamState::Alive || world.now < 20 * mean_ns {
        world.run_for(Duration::from_secs(1));
        assert!(world.now < 200 * mean_ns + 3_600 * SECOND, "{:#?}", world.tail());
    }
    let from = world.now;
    world.run_for(Duration::from_secs(hours * 3_600));
    let silent = world.log.iter().filter(|(at, action)| *at > from && matches!(action, Action::Silent { .. })).count();
    let words = 2.0 * Duration::from_secs(hours * 3_600).as_secs_f64() / Duration::from_nanos(mean_ns).as_secs_f64();
    (words, silent, world.closes(from).len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Up to one word in 45 s: no alarm at all in some 1e5 intervals. Beyond that `mute_max` (900 s) is what is believed, and
    /// arrivals at random exceed it with probability exp(-900 s / mean) each: marked, but no connection is closed for it.
    #[test]
    fn no_false_alarm(exponent in -2.0..2.8_f64, seed in 0..u64::MAX) {
        let mean = Duration::from_secs_f64(10_f64.powf(exponent).min(600.0));
        let hours = if mean < Duration::from_millis(100) { 1 } else { 24 };
        let hours = if mean < Duration::from_secs(1) { hours.min(4) } else { hours };
        let (words, silent, closed) = listen(u64::try_from(mean.as_nanos()).unwrap(), seed, hours);
        prop_assert_eq!(closed, 0, "mean {:?}", mean);
        let expected = words * (-900.0 / mean.as_secs_f64()).exp();
        let bound = if mean.as_secs() <= 45 { 0.0 } else { 1.0 + expected + 4.0 * expected.sqrt() };
        prop_assert!(silent as f64 <= bound, "mean {mean:?}: {silent} of {words} marked, {expected} expected");
    }
}

#[test]
fn a_market_that_falls_asleep_costs_no_connection() {
    for seed in 0..50 {
        let mut world = World::new(config(1), six(), SECOND / 2, seed);
        world.is_zombie_free = false;
        // Half as fast every ten minutes, down to a word in a minute.
        for _ in 0..7 {
            world.run_for(Duration::from_secs(600));
            world.mean_ns.values_mut().for_each(|mean| *mean *= 2);
        }
        world.run_for(Duration::from_secs(2 * 3_600));
        assert!(world.closes(0).is_empty(), "seed {seed}: {:#?}", world.tail());
    }
}

#[test]
fn a_market_that_drops_to_a_fifth_costs_no_connection() {
    for seed in 0..50 {
        let mut world = World::new(config(1), six(), SECOND / 2, seed);
        world.run_for(Duration::from_secs(600));
        world.mean_ns.values_mut().for_each(|mean| *mean *= 5);
        world.run_for(Duration::from_secs(3_600));
        assert!(world.closes(0).is_empty(), "seed {seed}: {:#?}", world.tail());
        world.assert_well("slower");
    }
}

#[test]
fn a_trade_that_comes_late_is_waited_for() {
    // Quotes and depth are there, the first trade takes ten minutes: told, asked for anew, and no connection closed.
    let mut world = World::new(config(1), six(), SECOND, 3);
    world.is_zombie_free = false;
    let late = stream(StreamKind::Trades, "AAA");
    world.ills.mute.insert(late.clone());
    world.run_for(Duration::from_secs(600));
    assert!(world.closes(0).is_empty(), "{:#?}", world.tail());
    assert!(
        !world.log.iter().any(|(_, action)| matches!(action, Action::Silent { .. })),
        "never heard, nothing interrupted"
    );
    let told = world.told();
    assert!(told.iter().any(|text| text.contains("trades AAA has said nothing")), "{told:#?}");
    world.ills.mute.clear();
    world.run_for(Duration::from_secs(200));
    world.assert_well("late");
}

#[test]
fn what_the_recorder_did_not_read_is_not_the_venues_silence() {
    // A full ring held the thread for a minute: the sockets were not read, and ticks came late.
    let mut world = World::new(config(2), six(), SECOND / 2, 1);
    world.run_for(Duration::from_secs(100));
    let from = world.now;
    world.now += 60 * SECOND;
    world.session.tick(MonoNanos(world.now), &world.counts);
    world.carry_out();
    assert!(world.closes(from).is_empty());
    world.cared_at.values_mut().for_each(|at| *at = world.now);
    world.run_for(Duration::from_secs(30));
    assert!(world.closes(from).is_empty(), "{:#?}", world.tail());
    world.assert_well("after a block");
}

#[test]
fn a_text_ping_is_sent_when_no_frame_came_whatever_the_pongs() {
    use crate::protocol::TestProtocol;
    use feedd_live::protocol::TextPing;
    use feedd_venues::check::BookRule;
    let every = Duration::from_secs(20);
    for only_when_silent in [true, false] {
        let ping = TextPing { only_when_silent, every, text: "ping".to_owned() };
        let protocol = TestProtocol { book: BookRule::Previous, text_ping: Some(ping) };
        let mut config = config(1);
        // Only the pings are looked at here.
        config.periods.mute_min = Duration::from_secs(900);
        let mut world = World::with_protocol(config, six(), SECOND / 2, 4, protocol);
        let pings = |world: &World| {
            world.log.iter().filter(|(_, action)| matches!(action, Action::Send { text, .. } if text == "ping")).count()
        };
        world.run_for(Duration::from_secs(101));
        assert_eq!(pings(&world), if only_when_silent { 0 } else { 5 });
        world.heartbeats = false;
        world.mean_ns.values_mut().for_each(|mean| *mean = 1_000_000 * SECOND);
        world.is_zombie_free = false;
        let before = pings(&world);
        world.ills.dumb.insert(feedd_live::session::ConnId(1));
        let mut alive = 0;
        for _ in 0..60 {
            world.run_for(Duration::from_secs(1));
            alive += usize::from(world.closes(0).iter().all(|close| close.2 != Why::Silent));
        }
        assert_eq!(alive, 60, "WebSocket pongs keep it");
        assert!((2..=4).contains(&(pings(&world) - before)), "{}", pings(&world) - before);
    }
}

#[test]
fn a_shard_names_a_stream_twice_and_it_is_one() {
    let mut twice = six();
    twice.extend(six());
    let protocol = crate::protocol::TestProtocol { book: feedd_venues::check::BookRule::Previous, text_ping: None };
    let session = feedd_live::session::Session::new(config(1), Box::new(protocol), shard(twice), 1);
    assert_eq!(session.view().streams.len(), 6);
}
