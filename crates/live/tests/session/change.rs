//! Symbols join and leave while the session runs: what stays is neither asked for anew nor interrupted.

use crate::protocol::{config, six, stream};
use crate::world::{SECOND, World};
use feedd_live::config::Periods;
use feedd_live::session::{Action, ConnId, Why};
use feedd_live::stream::StreamKind;
use std::collections::BTreeSet;
use std::time::Duration;

/// Requests that were sent since: verb and the symbols it names.
fn sent(world: &World, since: u64) -> Vec<(String, BTreeSet<String>)> {
    let texts = world.log.iter().filter(|(at, _)| *at >= since).filter_map(|(_, action)| match action {
        Action::Send { text, .. } => Some(text.as_str()),
        _ => None,
    });
    let request = |text: &str| {
        let (verb, rest) = text.split_once(' ')?;
        let (_, streams) = rest.split_once(' ')?;
        let symbols = streams.split(',').filter_map(|name| Some(name.split_once(':')?.1.to_owned())).collect();
        Some((verb.to_owned(), symbols))
    };
    texts.filter_map(request).collect()
}

fn lefts(world: &World) -> Vec<(u64, String)> {
    let left = |(at, action): &(u64, Action)| match action {
        Action::Left { symbol } => Some((*at, symbol.clone())),
        _ => None,
    };
    world.log.iter().filter_map(left).collect()
}

fn only(symbol: &str) -> BTreeSet<String> {
    BTreeSet::from([symbol.to_owned()])
}

#[test]
fn a_symbol_joins_and_leaves_and_nothing_else_is_touched() {
    for seed in 0..100 {
        let redundancy = if seed % 2 == 0 { 1 } else { 2 };
        let mut world = World::new(config(redundancy), six(), SECOND / 2, seed);
        world.run_for(Duration::from_secs(100));
        let connects = world.connects.len();
        let from = world.now;
        world.join("CCC", SECOND / 2);
        world.run_for(Duration::from_secs(30));
        world.assert_well("joined");
        assert_eq!(world.session.view().streams.len(), 9);
        assert!(world.counts.whole.contains("CCC"), "its book is whole");
        let asked = sent(&world, from);
        assert_eq!(asked.len(), usize::from(redundancy), "once on each connection: {asked:?}");
        assert!(asked.iter().all(|(verb, symbols)| verb == "SUB" && *symbols == only("CCC")), "{asked:?}");
        // And away again, with another one.
        let from = world.now;
        world.leave("AAA");
        assert!(lefts(&world).is_empty(), "its end has not been answered");
        world.run_for(Duration::from_secs(2));
        let asked = sent(&world, from);
        assert_eq!(asked.len(), usize::from(redundancy), "{asked:?}");
        assert!(asked.iter().all(|(verb, symbols)| verb == "UNS" && *symbols == only("AAA")), "{asked:?}");
        let left = lefts(&world);
        assert!(left.len() == 1 && left[0].1 == "AAA" && left[0].0 - from < SECOND, "{left:?}");
        world.run_for(Duration::from_secs(600));
        world.assert_well("left");
        let view = world.session.view();
        assert!(view.streams.len() == 6 && view.streams.iter().all(|(stream, _)| stream.symbol != "AAA"), "{view:?}");
        for line in world.lines.values() {
            assert!(line.streams.keys().all(|stream| stream.symbol != "AAA"), "{:?}", line.streams);
        }
        assert_eq!((world.connects.len(), world.closes(0).len()), (connects, 0), "{:#?}", world.tail());
        let is_silent = |(_, action): &(u64, Action)| matches!(action, Action::Silent { .. });
        assert!(!world.log.iter().any(is_silent), "nothing was interrupted");
        world.assert_budgets();
    }
}

#[test]
fn connections_that_come_later_carry_what_is_recorded_then() {
    for seed in 0..50 {
        let mut world = World::new(config(1), six(), SECOND / 2, seed);
        world.run_for(Duration::from_secs(100));
        world.leave("BBB");
        world.join("CCC", SECOND / 2);
        world.run_for(Duration::from_secs(5));
        let from = world.now;
        world.cut_all();
        // While there is no connection, too.
        world.leave("AAA");
        world.join("BBB", SECOND / 2);
        world.run_for(Duration::from_secs(90));
        world.assert_well("connected again");
        let named: BTreeSet<String> = sent(&world, from).into_iter().flat_map(|(_, symbols)| symbols).collect();
        assert_eq!(named, BTreeSet::from(["BBB".to_owned(), "CCC".to_owned()]));
        assert_eq!(lefts(&world).into_iter().map(|(_, symbol)| symbol).collect::<Vec<_>>(), ["BBB", "AAA"]);
        assert_eq!(world.counts.whole, BTreeSet::from(["BBB".to_owned(), "CCC".to_owned()]));
    }
}

#[test]
fn a_symbol_that_is_taken_back_at_once_stays() {
    for seed in 0..50 {
        let mut world = World::new(config(2), six(), SECOND / 2, seed);
        world.run_for(Duration::from_secs(100));
        world.leave("AAA");
        world.join("AAA", SECOND / 2);
        world.run_for(Duration::from_secs(60));
        world.assert_well("taken back");
        assert!(lefts(&world).is_empty());
        // And one that goes before it was ever asked for.
        let from = world.now;
        world.join("CCC", SECOND / 2);
        world.leave("CCC");
        world.run_for(Duration::from_secs(20));
        world.assert_well("gone at once");
        assert_eq!(lefts(&world).len(), 1);
        for line in world.lines.values() {
            assert!(line.streams.keys().all(|stream| stream.symbol != "CCC"), "{:?}", sent(&world, from));
        }
    }
}

#[test]
fn a_venue_that_does_not_answer_keeps_nobody() {
    let mut world = World::new(config(1), six(), SECOND / 2, 1);
    world.run_for(Duration::from_secs(100));
    world.ills.no_answers = true;
    let from = world.now;
    world.leave("AAA");
    world.run_for(Duration::from_secs(20));
    let left = lefts(&world);
    assert_eq!(left.len(), 1);
    let waited = Duration::from_nanos(left[0].0 - from);
    assert!(waited >= world.config.periods.acknowledge, "its time to answer: {waited:?}");
    world.assert_well("the others go on");
}

#[test]
fn other_periods_count_from_then_on() {
    let mut world = World::new(config(1), six(), SECOND / 2, 4);
    world.run_for(Duration::from_secs(100));
    let mute_min = Duration::from_secs(60);
    world.session.set_periods(Periods { mute_min, ..world.config.periods });
    let victim = *world.lines.keys().next().unwrap();
    let from = world.now;
    world.ills.dumb.insert(victim);
    let is_close = |action: &Action| matches!(action, Action::Close { conn, .. } if *conn == victim);
    let at = world.run_until_action(from, Duration::from_secs(120), is_close).unwrap();
    assert!(Duration::from_nanos(at - from) >= mute_min - Duration::from_secs(2), "{}", at - from);
}

/// A connection falls mute for good before anything is known to be usual, while it answers pings and requests: it is replaced,
/// and the old one goes on until the new one is heard.
#[test]
fn a_connection_that_falls_mute_early_is_replaced() {
    for seed in 0..200 {
        let mut world = World::new(config(1), six(), SECOND / 2, seed);
        // Until the slowest of its streams should have spoken, it may be a quiet market.
        world.is_zombie_free = false;
        world.run_for(Duration::from_secs(5 + seed % 40));
        let victim = *world.lines.keys().next().unwrap();
        assert_eq!(victim, ConnId(1));
        let from = world.now;
        world.ills.dumb.insert(victim);
        let is_close = |action: &Action| matches!(action, Action::Close { conn, why: Why::Mute } if *conn == victim);
        let within = world.config.periods.first_trade + Duration::from_secs(40);
        let at = world.run_until_action(from, within, is_close);
        assert!(at.is_some(), "seed {seed}: not replaced within {within:?}: {:#?}", world.tail());
        world.run_for(Duration::from_secs(60));
        world.assert_well("replaced");
        assert_eq!(world.connects.len(), 2, "seed {seed}: {:#?}", world.tail());
    }
}

/// Two streams of few words: their silence costs at most some replacements, and no interruption.
#[test]
fn a_quiet_beginning_interrupts_nothing() {
    for seed in 0..50 {
        let streams = ["AAA", "BBB"].map(|symbol| stream(StreamKind::Trades, symbol)).to_vec();
        let mut world = World::new(config(1), streams, 300 * SECOND, seed);
        world.is_zombie_free = false;
        world.run_for(Duration::from_secs(3 * 3_600));
        let replaced = |why: Why| matches!(why, Why::Mute | Why::Replaced);
        let early = world.closes(0).into_iter().filter(|(_, conn, _)| world.connects.len() as u64 > conn.0).count();
        assert!(
            world.closes(0).iter().all(|(_, _, why)| replaced(*why) || *why == Why::NoFirstData),
            "{:#?}",
            world.tail()
        );
        assert!(early <= 12, "seed {seed}: {early} in three hours");
    }
}
