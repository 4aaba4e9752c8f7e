//! A session against a venue that fails in every way it can: each failure is seen in time, and healed once the venue has.
//!
//! 200 seeds each, with one connection and with two by turns.

use crate::protocol::{config, six, stream};
use crate::world::{SECOND, World};
use feedd_live::session::{Action, ConnId, StreamState, Why};
use feedd_live::stream::StreamKind;
use std::time::Duration;

const SEEDS: u64 = 200;
const SECOND_S: Duration = Duration::from_secs(1);

/// A session that has been well for 100 seconds; streams speak twice a second.
fn well(seed: u64) -> World {
    let redundancy = if seed.is_multiple_of(2) { 1 } else { 2 };
    let mut world = World::new(config(redundancy), six(), SECOND / 2, seed);
    world.run_for(Duration::from_secs(100));
    world.assert_well("at the beginning");
    assert_eq!(world.connects.len(), usize::from(redundancy), "nothing was wrong: {:#?}", world.tail());
    world
}

/// After the venue is well again, everything is within a minute's wait and the time to open and be heard.
fn heals(world: &mut World, what: &str) {
    world.ills = Default::default();
    world.run_for(Duration::from_secs(60 + 25));
    world.assert_well(what);
    assert_eq!(world.counts.whole.len(), 2, "{what}: both books are whole");
    world.assert_budgets();
}

/// By this the silence of all streams together must have been noticed: 20 times the mean, or 5 times the longest, or `mute_min`.
/// Intervals are seen at polls, which makes them longer by two at most.
fn limit_of_all(world: &World) -> u64 {
    (10 * SECOND).max(5 * (world.any_longest_ns + 2 * SECOND / 5))
}

fn is_close(action: &Action, of: ConnId, with: Why) -> bool {
    matches!(action, Action::Close { conn, why } if *conn == of && *why == with)
}

/// Hits one connection: of two, the other must not notice.
fn one_is_hit(what: &str, seed: u64, hit: impl Fn(&mut World, ConnId) -> (Why, u64)) {
    let mut world = well(seed);
    let (&victim, &other) = (world.lines.keys().next().unwrap(), world.lines.keys().last().unwrap());
    let from = world.now;
    let (why, limit) = hit(&mut world, victim);
    let within = Duration::from_nanos(limit) + SECOND_S;
    let seen = world.run_until_action(from, within, |action| is_close(action, victim, why));
    assert!(seen.is_some(), "{what}, seed {seed}: not seen within {within:?}: {:#?}", world.tail());
    heals(&mut world, &format!("{what}, seed {seed}"));
    if other != victim {
        assert!(world.lines.contains_key(&other), "{what}, seed {seed}: the other goes on");
        assert_eq!(world.closes(from).len(), 1, "{what}, seed {seed}: {:?}", world.closes(from));
    }
}

#[test]
fn a_connection_that_stops_sending_is_replaced() {
    for seed in 0..SEEDS {
        one_is_hit("stops sending", seed, |world, victim| {
            world.ills.dumb.insert(victim);
            world.heartbeats = false;
            (Why::Mute, limit_of_all(world))
        });
    }
}

#[test]
fn heartbeats_do_not_hide_that_no_data_comes() {
    for seed in 0..SEEDS {
        one_is_hit("heartbeats only", seed, |world, victim| {
            world.ills.dumb.insert(victim);
            (Why::Mute, limit_of_all(world))
        });
    }
}

#[test]
fn a_black_hole_is_seen_by_its_silence() {
    for seed in 0..SEEDS {
        one_is_hit("black hole", seed, |world, victim| {
            world.ills.deaf.insert(victim);
            // The data of a busy connection are missed even before the missing pongs are.
            let by_data = limit_of_all(world) + SECOND < 15 * SECOND;
            if by_data { (Why::Mute, 15 * SECOND) } else { (Why::Silent, 15 * SECOND) }
        });
    }
}

#[test]
fn a_quiet_connection_without_pongs_is_dead_and_one_with_pongs_is_not() {
    for seed in 0..SEEDS {
        let mut world = World::new(config(1), vec![stream(StreamKind::Quotes, "AAA")], SECOND / 2, seed);
        world.heartbeats = false;
        world.run_for(Duration::from_secs(100));
        // The market falls asleep: pongs alone say that the connection lives.
        world.mean_ns.values_mut().for_each(|mean| *mean = 1_000_000 * SECOND);
        world.run_for(Duration::from_secs(9));
        assert!(world.closes(0).is_empty(), "seed {seed}: {:#?}", world.tail());
        // Neither pongs nor answers to what the silence of the stream makes it ask.
        (world.ills.no_pongs, world.ills.no_answers) = (true, true);
        let from = world.now;
        let seen =
            world.run_until_action(from, Duration::from_secs(16), |action| is_close(action, ConnId(1), Why::Silent));
        assert!(seen.is_some(), "seed {seed}: {:#?}", world.tail());
    }
}

#[test]
fn a_busy_connection_needs_no_pongs() {
    let mut world = well(2);
    world.ills.no_pongs = true;
    world.run_for(Duration::from_secs(600));
    assert!(world.closes(0).is_empty(), "{:#?}", world.tail());
}

#[test]
fn a_closed_connection_is_opened_again_and_the_other_one_counts() {
    for seed in 0..SEEDS {
        let mut world = well(seed);
        let from = world.now;
        let victim = *world.lines.keys().next().unwrap();
        world.cut(victim, 1006);
        assert_eq!(world.session.view().connections_live, usize::from(world.config.redundancy) - 1);
        let seen = world.run_until_action(from, SECOND_S, |action| matches!(action, Action::Connect { .. }));
        assert!(seen.is_some(), "seed {seed}: the first wait is a second at most");
        heals(&mut world, &format!("closed, seed {seed}"));
        assert!(world.closes(0).is_empty(), "the recorder closed none");
        if world.config.redundancy == 2 {
            assert!(world.any_longest_ns < 5 * SECOND, "the other one went on");
        }
    }
}

/// All connections end, and what follows them has an ill for so long; each of those is given up in time, and then it heals.
fn followers_are_ill(what: &str, set: impl Fn(&mut World), is_seen: impl Fn(&World, u64)) {
    for seed in 0..SEEDS {
        let mut world = well(seed);
        let from = world.now;
        set(&mut world);
        world.cut_all();
        world.run_for(Duration::from_secs(60));
        assert!(!world.is_well(), "{what}, seed {seed}: an ill that shows");
        is_seen(&world, from);
        heals(&mut world, &format!("{what}, seed {seed}"));
    }
}

/// Every connection was closed with this reason so long after its begin (`is_begin`) and a second at most.
fn each_is_closed(world: &World, from: u64, why: Why, limit: u64, is_begin: impl Fn(&Action, ConnId) -> bool) {
    let closes: Vec<_> = world.closes(from);
    assert!(closes.len() >= usize::from(world.config.redundancy), "{:#?}", world.tail());
    for (at, conn, with) in closes {
        assert_eq!(with, why, "{:#?}", world.tail());
        let begin = world.log.iter().find(|(_, action)| is_begin(action, conn)).unwrap().0;
        assert!((limit..=limit + SECOND).contains(&(at - begin)), "{} ms", (at - begin) / 1_000_000);
    }
}

#[test]
fn a_venue_that_accepts_and_never_answers_is_left() {
    let seen = |world: &World, from| {
        each_is_closed(
            world,
            from,
            Why::NoAcknowledgement,
            10 * SECOND,
            |action, of| matches!(action, Action::Send { conn, .. } if *conn == of),
        );
    };
    followers_are_ill("never answers", |world| world.ills.no_answers = true, seen);
}

#[test]
fn a_venue_that_acknowledges_and_gives_nothing_is_left() {
    let seen = |world: &World, from| {
        let first = world.closes(from)[0];
        assert_eq!(first.2, Why::NoFirstData);
        let begin =
            world.log.iter().find(|(_, action)| matches!(action, Action::Send { conn, .. } if *conn == first.1));
        let after = first.0 - begin.unwrap().0;
        // After its acknowledgement, which takes 150 ms at most.
        assert!((20 * SECOND..=21 * SECOND + SECOND / 5).contains(&after), "{} ms", after / 1_000_000);
    };
    followers_are_ill("no data", |world| world.ills.new_dumb = true, seen);
}

#[test]
fn a_handshake_that_never_ends_is_given_up() {
    let seen = |world: &World, from| {
        each_is_closed(
            world,
            from,
            Why::ConnectTimeout,
            10 * SECOND,
            |action, of| matches!(action, Action::Connect { conn, .. } if *conn == of),
        );
    };
    followers_are_ill("never connects", |world| world.ills.no_connects = true, seen);
}

#[test]
fn a_venue_that_asks_to_wait_is_obeyed() {
    let seen = |world: &World, from: u64| {
        let after: Vec<u64> = world.connects.iter().copied().filter(|&at| at > from).collect();
        // Each refusal takes 200 ms at most and forbids 30 s; both connections may be attempted at the same time.
        let first = after[0];
        assert!(after.iter().all(|&at| at - first < SECOND * 2 || at - first >= 30 * SECOND), "{after:?}");
    };
    followers_are_ill("429", |world| world.ills.limited = Some(30), seen);
}

#[test]
fn endpoints_are_tried_in_turn() {
    let mut world = well(0);
    world.ills.no_connects = true;
    world.cut_all();
    world.run_for(Duration::from_secs(120));
    let urls: Vec<&str> = world
        .log
        .iter()
        .filter_map(|(_, action)| match action {
            Action::Connect { url, .. } => Some(url.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(urls[..4], ["wss://one/stream", "wss://two/stream", "wss://one/stream", "wss://two/stream"]);
}

#[test]
fn a_mute_stream_is_marked_and_subscribed_anew() {
    for seed in 0..SEEDS {
        let mut world = well(seed);
        let dead = six()[usize::try_from(seed % 6).unwrap()].clone();
        let from = world.now;
        // As above, for one stream: by mean or longest interval.
        let limit = (10 * SECOND).max(5 * (world.longest_ns[&dead] + 2 * SECOND / 5)).max(20 * SECOND);
        world.ills.mute.insert(dead.clone());
        // As long as it stays so it is tried ever more rarely; the others are not.
        world.excused.insert(dead.clone());
        let within = Duration::from_nanos(limit) + SECOND_S;
        let is_it = |action: &Action| matches!(action, Action::Silent { symbol, kind, conn: None } if (symbol, *kind) == (&dead.symbol, dead.kind));
        let seen = world.run_until_action(from, within, is_it);
        assert!(seen.is_some(), "seed {seed}: not within {within:?}: {:#?}", world.tail());
        assert_eq!(world.state(&dead), StreamState::Mute);
        let name = format!("{}:{}", dead.kind.name(), dead.symbol);
        let is_sent = |action: &Action| matches!(action, Action::Send { text, .. } if text.starts_with("SUB") && text.contains(&name));
        assert!(world.run_until_action(from, within, is_sent).is_some(), "seed {seed}");
        // It stays so: its connection is replaced once, and nobody else notices.
        world.run_for(Duration::from_secs(200));
        let replaced: Vec<Why> = world.closes(from).iter().map(|close| close.2).collect();
        assert_eq!(replaced, [Why::Mute], "seed {seed}: {:#?}", world.tail());
        for other in six().iter().filter(|other| **other != dead) {
            assert!(world.longest_ns[other] < 10 * SECOND, "seed {seed}: {other} suffered");
        }
        world.ills.mute.clear();
        world.run_for(Duration::from_secs(400));
        world.assert_well(&format!("mute stream, seed {seed}"));
        world.assert_budgets();
        let told = world.told();
        let about: Vec<_> = told.iter().filter(|text| text.contains(&dead.to_string())).collect();
        assert!(about.len() <= 4, "seed {seed}: {told:#?}");
        assert!(told.iter().any(|text| text.contains("speaks again")), "seed {seed}: {told:#?}");
    }
}

#[test]
fn a_dead_symbol_is_asked_for_ever_more_rarely() {
    let mut world = well(1);
    world.is_zombie_free = false;
    let dead = stream(StreamKind::Quotes, "BBB");
    world.ills.mute.insert(dead.clone());
    let from = world.now;
    world.run_for(Duration::from_secs(12 * 3_600));
    let asked = world.log.iter().filter(|(at, action)| *at > from && matches!(action, Action::Send { .. })).count();
    // Two texts on each of two connections: 10 s doubling to an hour are 11 times, and 9 hours more; one new connection.
    assert!((40..=110).contains(&asked), "{asked}");
    assert_eq!(world.closes(from).len(), 1, "{:?}", world.closes(from));
    assert_eq!(world.state(&dead), StreamState::Mute);
    world.assert_budgets();
}

#[test]
fn one_refused_stream_leaves_the_others() {
    for seed in 0..SEEDS {
        let redundancy = if seed.is_multiple_of(2) { 1 } else { 2 };
        let bad = six()[usize::try_from(seed % 6).unwrap()].clone();
        let mut world = World::new(config(redundancy), six(), 2 * SECOND, seed);
        world.is_zombie_free = false;
        world.ills.refused.insert(bad.clone());
        world.run_for(Duration::from_secs(30));
        for (other, state) in world.session.view().streams {
            let is_good = if other == bad {
                state == StreamState::Refused
            } else {
                matches!(state, StreamState::Alive | StreamState::Quiet)
            };
            assert!(is_good, "seed {seed}: {other} {state:?}");
        }
        assert_eq!(world.session.view().connections_live, usize::from(redundancy));
        let told: Vec<_> =
            world.told().iter().filter(|text| text.contains("refuses")).map(|text| (*text).to_owned()).collect();
        assert_eq!(told.len(), 1, "seed {seed}: {told:?}");
        assert!(told[0].contains(&bad.to_string()) && told[0].contains("unknown symbol"), "{told:?}");
        world.assert_budgets();
        assert!(world.closes(0).is_empty());
    }
    // An hour later it is listed.
    let mut world = World::new(config(1), six(), 10 * SECOND, 7);
    world.is_zombie_free = false;
    world.ills.refused.insert(six()[4].clone());
    world.run_for(Duration::from_secs(3_500));
    world.ills.refused.clear();
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.state(&six()[4]), StreamState::Refused, "not yet");
    world.run_for(Duration::from_secs(290));
    world.assert_well("listed again");
}

#[test]
fn one_stream_without_an_answer_leaves_the_others() {
    for seed in 0..SEEDS {
        let bad = six()[usize::try_from(seed % 6).unwrap()].clone();
        let mut world = World::new(config(1), six(), SECOND, seed);
        world.ills.ignored.insert(bad.clone());
        world.excused.insert(bad.clone());
        world.run_for(Duration::from_secs(30));
        for other in six().iter().filter(|other| **other != bad) {
            assert!(world.heard_at.contains_key(other), "seed {seed}: {other}: {:#?}", world.tail());
        }
        world.run_for(Duration::from_secs(600));
        let closes: Vec<Why> = world.closes(0).iter().map(|close| close.2).collect();
        assert_eq!(
            closes,
            [Why::NoAcknowledgement],
            "seed {seed}: once, it may be the connection: {:#?}",
            world.tail()
        );
        for (other, state) in world.session.view().streams {
            assert!(other == bad || matches!(state, StreamState::Alive | StreamState::Quiet), "seed {seed}: {other}");
        }
        assert!(world.longest_ns.values().all(|longest| *longest < 40 * SECOND), "seed {seed}: {:?}", world.longest_ns);
        if seed >= 20 {
            continue;
        }
        world.ills.ignored.clear();
        world.run_for(Duration::from_secs(3_700));
        world.assert_well(&format!("answers again, seed {seed}"));
        world.assert_budgets();
    }
}

#[test]
fn data_without_acknowledgements_are_data() {
    let mut world = World::new(config(2), six(), SECOND, 3);
    world.ills.no_acknowledgements = true;
    world.run_for(Duration::from_secs(300));
    assert!(world.closes(0).is_empty(), "{:#?}", world.tail());
    world.assert_well("without acknowledgements");
}

#[test]
fn a_shutdown_notice_costs_nothing() {
    for seed in 0..SEEDS {
        let mut world = well(seed);
        let old: Vec<ConnId> = world.lines.keys().copied().collect();
        let from = world.now;
        world.say_all("SHUTDOWN");
        world.run_for(Duration::from_secs(15));
        // The venue cuts what is left.
        for conn in &old {
            assert!(!world.lines.contains_key(conn), "seed {seed}: replaced before it is cut: {:#?}", world.tail());
        }
        let closes: Vec<Why> = world.closes(from).iter().map(|close| close.2).collect();
        assert_eq!(closes, vec![Why::Replaced; old.len()], "seed {seed}");
        heals(&mut world, &format!("shutdown, seed {seed}"));
        let longest = world.longest_ns.values().max().unwrap();
        assert!(*longest < 12 * SECOND && world.any_longest_ns < 3 * SECOND, "seed {seed}: no interruption");
    }
}

#[test]
fn an_old_connection_goes_on_while_its_replacement_fails() {
    for seed in 0..SEEDS {
        let mut world = well(seed * 2);
        let from = world.now;
        world.ills.no_connects = true;
        world.say_all("SHUTDOWN");
        world.run_for(Duration::from_secs(100));
        assert!(world.lines.contains_key(&ConnId(1)), "seed {seed}");
        assert!(world.connects.len() > 2, "seed {seed}: tried again: {:#?}", world.tail());
        assert!(world.closes(from).iter().all(|close| close.2 == Why::ConnectTimeout));
        world.cut(ConnId(1), 1001);
        heals(&mut world, &format!("replacement fails, seed {seed}"));
    }
}

#[test]
fn a_connection_is_replaced_before_the_venue_cuts_it() {
    for seed in 0..20 {
        let mut config = config(if seed % 2 == 0 { 1 } else { 2 });
        config.periods.lifetime = Some(Duration::from_secs(3_600));
        let mut world = World::new(config, six(), SECOND, seed);
        world.run_for(Duration::from_secs(3 * 3_600));
        for (at, conn, why) in world.closes(0) {
            assert_eq!(why, Why::Replaced, "seed {seed}");
            let begun =
                world.log.iter().find(|(_, action)| matches!(action, Action::Connect { conn: of, .. } if *of == conn));
            let age = (at - begun.unwrap().0) / SECOND;
            // A 48th to a 24th before, and the hand-over.
            assert!((3_450..3_600).contains(&age), "seed {seed}: {age} s");
        }
        assert!(world.closes(0).len() >= 3 * usize::from(world.config.redundancy) - 1);
        assert!(world.any_longest_ns < 8 * SECOND, "seed {seed}: no interruption");
        world.assert_well("after three lifetimes");
    }
}

#[test]
fn a_stop_closes_everything_and_nothing_follows() {
    let mut world = well(1);
    world.session.stop(feedd_model::MonoNanos(world.now));
    world.carry_out();
    let closes: Vec<Why> = world.closes(world.now).iter().map(|close| close.2).collect();
    assert_eq!(closes, [Why::Stopping, Why::Stopping]);
    assert_eq!(world.session.due().0, u64::MAX);
    let actions = world.log.len();
    world.run_for(Duration::from_secs(300));
    assert_eq!(world.log.len(), actions);
    let view = world.session.view();
    assert_eq!((view.connections_live, view.connections_opening), (0, 0));
}

#[test]
fn the_same_seed_gives_the_same_session() {
    let run = |seed| {
        let mut world = World::new(config(2), six(), SECOND, seed);
        world.run_for(Duration::from_secs(50));
        world.ills.no_connects = true;
        world.cut_all();
        world.run_for(Duration::from_secs(200));
        world.log
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
