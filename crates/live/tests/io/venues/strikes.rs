//! The faults, a test each.

use super::oracle::time;
use super::stand::{Effect, Stand, Verdict};
use super::venue::{CONNECT_MAX, FIRST_MAX, Played, RETRY_MAX, SILENCE_MAX, VENUES, giant};
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use venue_sim::Venue;

/// What a busy machine may add to a limit.
const SLACK: Duration = Duration::from_secs(1);
/// The same while other tests take their turns on the same cores.
const SLACK_BESIDE_OTHERS: Duration = Duration::from_secs(20);
/// Silence of a busy stream that makes it mute: 20 times the usual, which is not seen to be shorter than the 200 ms between
/// two looks, and a tenth of that more for the looks.
const MUTE_AFTER: Duration = Duration::from_millis(4400);
/// How long a strike may take to be over: what a stream that is mute says again, and how soon.
const MUTE_FOR: &str = "for=7s";

/// How a strike went at one venue.
struct Row {
    noticed: Option<Duration>,
    verdict: Verdict,
}

/// Strikes every venue, all at the same time, and prints what came of it. `strike` says after how long the fault was noticed
/// beyond what is allowed, and within which limit; it has to be over when it returns.
fn each(
    name: &str,
    effect: impl Fn(&Played) -> Effect + Sync,
    strike: impl Fn(&mut Stand) -> (i64, Option<(Duration, Duration)>) + Sync,
) {
    let seed = std::env::var("FEEDD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("FEEDD_SEED={seed}");
    let play = |played: Played| {
        let mut stand = Stand::start(played, seed);
        let (from_ns, noticed) = strike(&mut stand);
        stand.heal();
        let noticed = noticed.or_else(|| Some((stand.marked_after(from_ns)?, Duration::ZERO)));
        if let Some((noticed, limit)) = noticed {
            let name = played.name();
            // Exact in virtual time (tests/session) and in the soak; here other tests take their turns on the same cores.
            let slack = if std::env::var_os("FEEDD_SOAK").is_some() { SLACK } else { SLACK_BESIDE_OTHERS };
            assert!(noticed <= limit + slack, "{name}: noticed after {noticed:?}, and {limit:?} is the limit");
        }
        Row { noticed: noticed.map(|(noticed, _)| noticed), verdict: stand.judge(effect(&played), from_ns) }
    };
    let mut table = format!("| {name} |");
    std::thread::scope(|scope| {
        let rows = VENUES.map(|played| {
            let thread = std::thread::Builder::new().name(format!("{name}, {}", played.name()));
            thread.spawn_scoped(scope, move || play(played)).unwrap()
        });
        for (row, played) in rows.into_iter().zip(VENUES) {
            let Row { noticed, verdict } = row.join().unwrap_or_else(|_| panic!("{name}: {}", played.name()));
            let noticed = noticed.map_or_else(|| "-".to_owned(), |noticed| format!("{:.2} s", noticed.as_secs_f64()));
            let Verdict { trades, named, books } = verdict;
            write!(table, " {}: {noticed}, {trades} trades, {named} named, {books} holes in books |", played.name())
                .unwrap();
        }
    });
    println!("{table}");
}

/// A fault that ends every connection, and is noticed at once.
fn ends(name: &str, fault: &str, effect: Effect) {
    each(
        name,
        |_| effect,
        |stand| {
            let from_ns = stand.strike(fault);
            (from_ns, Some((noticed_end(stand, from_ns), Duration::ZERO)))
        },
    );
}

fn noticed_end(stand: &mut Stand, from_ns: i64) -> Duration {
    stand.until("the end is noticed", |stand| stand.ended_at(from_ns).is_some());
    since(from_ns, stand.ended_at(from_ns).unwrap())
}

/// A fault of some frames: it is over when the frames that are hit are, and some more have come.
fn frames(name: &str, faults: impl Fn(&Played) -> Vec<String> + Sync) {
    each(
        name,
        |_| Effect::Frames,
        |stand| {
            let mut from_ns = None;
            for fault in faults(&stand.played) {
                let at = stand.strike(&fault);
                from_ns.get_or_insert(at);
                let trades = stand.server.summary().trades;
                stand.until("the market goes on", |stand| {
                    stand.server.summary().trades > trades + 100 && stand.oracle.is_followed(at)
                });
            }
            let from_ns = from_ns.unwrap_or(0);
            assert!(stand.server.summary().connections == stand.recorders.len() as u64, "nobody was cut off");
            (from_ns, None)
        },
    );
}

fn since(from_ns: i64, to_ns: i64) -> Duration {
    Duration::from_nanos(u64::try_from(to_ns - from_ns).unwrap_or(0))
}

fn now_ns() -> i64 {
    #[allow(
        clippy::disallowed_methods,
        reason = "venue-sim stamps its log with the wall clock, which this is compared with"
    )]
    let now = SystemTime::now();
    i64::try_from(now.duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

#[test]
fn no_fault() {
    frames("no fault", |_| Vec::new());
}

#[test]
fn close() {
    ends("close without a word (1006)", "close", Effect::Ends);
}

#[test]
fn close_frame() {
    ends("close frame 1012", "close-frame=1012", Effect::Ends);
}

#[test]
fn reset() {
    ends("TCP reset", "reset", Effect::Breaks);
}

#[test]
fn giant_frame() {
    ends("giant frame", &giant(), Effect::Breaks);
}

#[test]
fn invalid_utf8() {
    ends("not UTF-8", "invalid-utf8", Effect::Breaks);
}

#[test]
fn black_hole() {
    each(
        "black hole",
        // The recorder gives up, and what the exchange sends at that moment is read by nobody.
        |_| Effect::Breaks,
        |stand| {
            let from_ns = stand.strike("blackhole for=6s");
            let noticed = noticed_end(stand, from_ns);
            (from_ns, Some((noticed, SILENCE_MAX)))
        },
    );
}

/// The connection that follows a cut is acknowledged, and says nothing.
#[test]
fn mute_after_the_acknowledgement() {
    each(
        "mute after the acknowledgement",
        |_| Effect::Ends,
        |stand| {
            let from_ns = stand.strike("close");
            stand.strike("mute for=3s");
            let given_up = |stand: &Stand| {
                let conns = stand.recorders.len() as u64;
                let is_mute = |line: &&serde_json::Value| line["conn"].as_u64().is_some_and(|conn| conn > conns);
                let of = |what| stand.oracle.since(from_ns).filter(is_mute).find(|line| line["what"] == what).map(time);
                Some((of("answer")?, of("closed")?))
            };
            stand.until("it is given up", |stand| given_up(stand).is_some());
            let (acknowledged, closed) = given_up(stand).unwrap();
            (from_ns, Some((since(acknowledged, closed), FIRST_MAX)))
        },
    );
}

#[test]
fn mute() {
    silent("mute", |_| format!("mute {MUTE_FOR}"));
}

#[test]
fn mute_symbol() {
    silent("one mute symbol", |played| {
        let quieter = &played.venue.symbols_default()[1].name;
        format!("mute-symbol={quieter} {MUTE_FOR}")
    });
}

fn silent(name: &str, fault: impl Fn(&Played) -> String + Sync) {
    each(
        name,
        |_| Effect::Silence,
        |stand| {
            let from_ns = stand.strike(&fault(&stand.played));
            stand.until("it is asked for again", |stand| stand.asked_at(from_ns).is_some());
            let noticed = since(from_ns, stand.asked_at(from_ns).unwrap());
            stand.until("it is over", |_| now_ns() > from_ns + 7_000_000_000);
            (from_ns, Some((noticed, MUTE_AFTER)))
        },
    );
}

#[test]
fn duplicate() {
    frames("duplicate", |_| vec!["duplicate=200".to_owned()]);
}

#[test]
fn reorder() {
    frames("reorder", |_| vec!["reorder".to_owned(); 8]);
}

#[test]
fn lost_frames() {
    frames("drop", |played| vec![format!("drop={}", played.drops)]);
}

#[test]
fn bad_checksum() {
    frames("bad checksum", |_| vec!["bad-checksum".to_owned()]);
}

#[test]
fn sequence_reset() {
    frames("sequence reset", |_| vec!["sequence-reset".to_owned()]);
}

#[test]
fn slow_handshake() {
    each(
        "slow-loris handshake",
        |_| Effect::Ends,
        |stand| {
            let lasts = "slow-handshake for=2s";
            stand.strike(lasts);
            let from_ns = stand.strike("close");
            stand.until("it is given up", |stand| {
                stand.recorders.iter().all(|recorder| recorder.counters.session.connections_failed.get() > 0)
            });
            (from_ns, Some((since(from_ns, now_ns()), RETRY_MAX + CONNECT_MAX)))
        },
    );
}

#[test]
fn status_429() {
    each(
        "429",
        |_| Effect::Ends,
        |stand| {
            stand.strike("status-429 for=1500ms");
            let from_ns = stand.strike("close");
            stand.until("it is refused", |stand| {
                stand.recorders.iter().all(|recorder| recorder.counters.session.connections_failed.get() > 0)
            });
            let noticed = since(from_ns, now_ns());
            stand.until("it is over", |_| now_ns() > from_ns + 1_500_000_000);
            // It says to wait for a second.
            let refused = stand.server.summary().refused;
            assert!(refused <= 4 * stand.recorders.len() as u64, "{}: {refused} refused", stand.played.name());
            (from_ns, Some((noticed, RETRY_MAX)))
        },
    );
}

/// Where it is said beforehand the next connection is open before the old one ends, and nothing is missing.
#[test]
fn shutdown() {
    let effect = |played: &Played| if played.has_notice { Effect::Frames } else { Effect::Ends };
    each("serverShutdown", effect, |stand| {
        let from_ns = stand.strike("shutdown");
        let shards = stand.recorders.len();
        let opened = |stand: &Stand| {
            let opened: Vec<i64> =
                stand.oracle.since(from_ns).filter(|line| line["what"] == "open").map(time).collect();
            opened.get(shards - 1).copied()
        };
        stand.until("the next one is open", |stand| opened(stand).is_some());
        let noticed = since(from_ns, opened(stand).unwrap());
        (from_ns, Some((noticed, RETRY_MAX)))
    });
}

#[test]
fn clock_skew() {
    frames("clock skew", |_| vec!["skew=-1500ms for=1s".to_owned(), "skew=1500ms for=1s".to_owned()]);
}

/// What venues say to check by is looked at, and what says nothing is not.
#[test]
fn checksums() {
    for venue in [Venue::Kraken, Venue::Okx] {
        let played = *VENUES.iter().find(|played| played.venue == venue).unwrap();
        let mut stand = Stand::start(played, 5);
        stand.heal();
        let checksums: Vec<_> = stand.recorded.iter().flat_map(|recorded| &recorded.checksums).copied().collect();
        match venue {
            // A wrong one of these is found by `bad_checksum`.
            Venue::Kraken => assert!(checksums.len() > 10 && !checksums.contains(&Some(0)), "{checksums:?}"),
            // The venue has sent 0 since it gave its checksum up.
            _ => assert!(checksums.iter().all(|checksum| checksum.is_none_or(|value| value == 0)), "{checksums:?}"),
        }
        stand.judge(Effect::Frames, 0);
    }
}
