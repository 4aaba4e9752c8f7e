//! Books and missing trades: asked for until they are there, within the weight that the venue allows, and given up with a word.

use crate::protocol::{TestProtocol, config, six, stream};
use crate::world::{SECOND, World};
use feedd_live::session::{Action, Purpose};
use feedd_live::stream::StreamKind;
use feedd_model::MonoNanos;
use feedd_venues::check::{BookRule, LinkId, Want};
use std::time::Duration;

fn pulls(world: &World, since: u64) -> Vec<(u64, Purpose)> {
    let pull = |(at, action): &(u64, Action)| match action {
        Action::Pull { purpose, .. } if *at >= since => Some((*at, purpose.clone())),
        _ => None,
    };
    world.log.iter().filter_map(pull).collect()
}

fn want(world: &mut World, want: Want) {
    world.session.want(MonoNanos(world.now), want);
}

fn in_band(redundancy: u8, seed: u64) -> World {
    let protocol = TestProtocol { book: BookRule::Previous, text_ping: None };
    let mut world = World::with_protocol(config(redundancy), six(), SECOND / 2, seed, protocol);
    world.run_for(Duration::from_secs(100));
    world.assert_well("at the beginning");
    assert_eq!(world.counts.whole.len(), 2);
    world
}

#[test]
fn a_snapshot_is_asked_for_until_the_book_is_whole() {
    let mut world = World::new(config(1), vec![stream(StreamKind::Depth, "AAA")], SECOND / 2, 1);
    world.ills.rest_status = 500;
    world.run_for(Duration::from_secs(200));
    let at: Vec<u64> = pulls(&world, 0).iter().map(|pull| pull.0 / SECOND).collect();
    // 1 + 2 + 4 + ... + 60 s, each up to a quarter longer.
    assert!((7..=10).contains(&at.len()), "{at:?}");
    let gaps: Vec<u64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps.iter().zip([1, 2, 4, 8, 16, 32]).all(|(gap, pause)| (pause..=pause * 5 / 4 + 2).contains(gap)),
        "{gaps:?}"
    );
    let told = world.told();
    assert_eq!(told.iter().filter(|text| text.contains("not whole after 4 attempts")).count(), 1, "{told:#?}");
    world.ills.rest_status = 0;
    world.run_for(Duration::from_secs(140));
    assert!(world.counts.whole.contains("AAA"));
    let told = world.told();
    assert!(told.iter().any(|text| text.contains("book of AAA is whole again")), "{told:#?}");
    let n = pulls(&world, 0).len();
    world.run_for(Duration::from_secs(300));
    assert_eq!(pulls(&world, 0).len(), n, "a whole book is left alone");
}

#[test]
fn a_flapping_book_does_not_eat_the_budget() {
    for is_in_band in [false, true] {
        let mut world = in_band(1, 2);
        if !is_in_band {
            world = World::new(config(1), six(), SECOND / 2, 2);
            world.run_for(Duration::from_secs(100));
        }
        let from = world.now;
        for _ in 0..3_600 {
            world.run_for(Duration::from_secs(1));
            if world.counts.whole.remove("BBB") {
                let symbol = "BBB".to_owned();
                want(&mut world, if is_in_band { Want::Resubscribe { symbol } } else { Want::Snapshot { symbol } });
            }
        }
        let asked = if is_in_band {
            let is_it = |action: &Action| matches!(action, Action::Send { text, .. } if text.starts_with("SUB"));
            world.log.iter().filter(|(at, action)| *at > from && is_it(action)).count()
        } else {
            pulls(&world, from).len()
        };
        // 6 while the pauses grow, one in 60 to 75 s then.
        assert!((45..=68).contains(&asked), "{asked}");
        assert!(world.counts.whole.contains("AAA"), "the other one is whole");
        assert!(world.closes(from).is_empty(), "{:?}", world.closes(from));
        world.assert_budgets();
    }
}

#[test]
fn a_book_in_band_is_subscribed_anew_on_each_connection() {
    let mut world = in_band(2, 3);
    let from = world.now;
    world.counts.whole.remove("AAA");
    for _ in 0..3 {
        want(&mut world, Want::Resubscribe { symbol: "AAA".to_owned() });
    }
    world.run_for(Duration::from_secs(4));
    let mut sent: Vec<(u64, String)> = Vec::new();
    for (at, action) in &world.log {
        if let Action::Send { conn, text } = action
            && *at >= from
        {
            sent.push((
                conn.0,
                text.split(' ').filter(|word| word.parse::<u64>().is_err()).collect::<Vec<_>>().join(" "),
            ));
        }
    }
    sent.sort_by_key(|sent| sent.0);
    let pair = |conn| [(conn, "UNS depth:AAA".to_owned()), (conn, "SUB depth:AAA".to_owned())];
    assert_eq!(sent, [pair(1), pair(2)].concat(), "wanted three times is done once");
    assert!(world.counts.whole.contains("AAA"));
}

#[test]
fn all_books_of_a_connection_are_asked_for_but_not_those_that_are_whole() {
    let mut world = in_band(1, 4);
    let from = world.now;
    world.counts.whole.remove("BBB");
    want(&mut world, Want::ResubscribeAll { link: LinkId(0) });
    world.run_for(Duration::from_secs(4));
    let texts: Vec<&String> = world
        .log
        .iter()
        .filter_map(|(at, action)| match action {
            Action::Send { text, .. } if *at >= from => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts.iter().all(|text| text.ends_with("depth:BBB")), "{texts:?}");
}

#[test]
fn a_book_that_was_lost_with_its_connection_comes_back_on_the_other() {
    let mut world = in_band(2, 5);
    let from = world.now;
    // The connection whose snapshots made the books ends; no word of the other one says so.
    world.counts.whole.clear();
    let victim = *world.lines.keys().next().unwrap();
    world.ills.no_connects = true;
    world.cut(victim, 1006);
    world.run_for(Duration::from_secs(8));
    assert_eq!(world.counts.whole.len(), 2, "{:#?}", world.tail());
    assert!(world.closes(from).is_empty());
}

#[test]
fn missing_trades_come_in_pages() {
    let mut world = World::new(config(1), six(), SECOND / 2, 6);
    world.run_for(Duration::from_secs(50));
    let from = world.now;
    let symbol = || "AAA".to_owned();
    want(&mut world, Want::Trades { symbol: symbol(), first: 1_000, last: 1_349 });
    want(&mut world, Want::Trades { symbol: symbol(), first: 1_100, last: 1_200 });
    want(&mut world, Want::Trades { symbol: "BBB".to_owned(), first: 7, last: 7 });
    world.run_for(Duration::from_secs(10));
    let asked: Vec<Purpose> = pulls(&world, from).into_iter().map(|pull| pull.1).collect();
    let page = |first| Purpose::Trades { symbol: symbol(), first, last: 1_349 };
    for first in [1_000, 1_100, 1_200, 1_300] {
        assert!(asked.contains(&page(first)), "{first}: {asked:?}");
    }
    assert!(asked.contains(&Purpose::Trades { symbol: "BBB".to_owned(), first: 7, last: 7 }));
    assert_eq!(asked.len(), 5, "what is part of a known hole is not asked for twice: {asked:?}");
}

#[test]
fn trades_that_the_venue_does_not_give_are_given_up_with_a_word() {
    for status in [0, 500] {
        let mut world = World::new(config(1), vec![stream(StreamKind::Trades, "AAA")], SECOND / 2, 7);
        world.run_for(Duration::from_secs(50));
        world.page = 0;
        world.ills.rest_status = status;
        want(&mut world, Want::Trades { symbol: "AAA".to_owned(), first: 10, last: 19 });
        world.run_for(Duration::from_secs(600));
        assert_eq!(pulls(&world, 0).len(), 5);
        let told = world.told();
        assert!(
            told.iter().any(|text| text.contains("trades 10 to 19 of AAA stay missing after 5 attempts")),
            "{told:#?}"
        );
    }
}

#[test]
fn rest_that_asks_to_wait_is_left_alone() {
    // status, Retry-After, wait
    for (status, retry_after, wait) in
        [(429, Some(17), 17), (429, None, 60), (418, None, 120), (418, Some(300), 300), (503, Some(9), 9)]
    {
        let mut world = World::new(config(1), six(), SECOND / 2, 8);
        world.run_for(Duration::from_secs(50));
        (world.ills.rest_status, world.ills.rest_retry_after) = (status, retry_after);
        let from = world.now;
        want(&mut world, Want::Trades { symbol: "AAA".to_owned(), first: 10, last: 19 });
        world.run_for(Duration::from_secs(1));
        (world.ills.rest_status, world.ills.rest_retry_after) = (0, None);
        world.run_for(Duration::from_secs(400));
        let at: Vec<u64> = pulls(&world, from).iter().map(|pull| pull.0).collect();
        assert_eq!(at.len(), 2, "{status}");
        assert!(
            (wait * SECOND..=(wait + 1) * SECOND).contains(&(at[1] - at[0])),
            "{status}: {} ms",
            (at[1] - at[0]) / 1_000_000
        );
    }
}

#[test]
fn three_hundred_books_at_once_keep_the_weight_and_all_become_whole() {
    let streams: Vec<_> = (0..300).map(|i| stream(StreamKind::Depth, &format!("S{i}"))).collect();
    let mut world = World::new(config(1), streams, SECOND, 9);
    world.is_zombie_free = false;
    world.run_for(Duration::from_secs(300 * 25 / 10 + 120));
    assert_eq!(world.counts.whole.len(), 300);
    assert_eq!(pulls(&world, 0).len(), 300);
    world.assert_budgets();
    assert!(world.closes(0).is_empty(), "{:#?}", world.tail());
}

#[test]
fn an_answer_that_never_comes_does_not_block_the_queue() {
    let mut world = World::new(config(1), vec![stream(StreamKind::Trades, "AAA")], SECOND / 2, 10);
    world.run_for(Duration::from_secs(50));
    // Whoever carries it out has lost it.
    let hole = |first| Want::Trades { symbol: "AAA".to_owned(), first, last: first };
    for first in [10, 20, 30, 40, 50] {
        want(&mut world, hole(first));
    }
    let now = MonoNanos(world.now);
    world.session.tick(now, &world.counts);
    assert_eq!(world.session.actions().len(), 4, "so many at once");
    world.run_for(Duration::from_secs(70));
    let asked = pulls(&world, 0);
    assert_eq!(asked.len(), 5, "the fifth, and the four again: {asked:?}");
}
