//! A recorder with what feeds it: offers a rate, sees whether it is kept up with, and finds the highest that is.

use super::contender::{Contender, Store};
use super::discard::Discard;
use super::generator::{self, Generator};
use super::observer::Hops;
use super::recorder::{self, Ended, Recorder};
use super::{Cores, child};
use crate::Interrupt;
use anyhow::{Context, Result, anyhow, ensure};
use std::path::Path;
use std::time::{Duration, Instant};

/// Frames may be so late, what waits in the generator and in the sockets; at most a fifth of the time that they are offered.
const FRAMES_LATE_MAX: Duration = Duration::from_millis(50);
const FRAMES_LATE_PART: u32 = 5;
/// Events may be so late at the journal and at the sink; at most half of that time.
const STORAGE_LATE_MAX: Duration = Duration::from_millis(250);
const STORAGE_LATE_PART: u32 = 2;
/// Part of the time that threads may wait for room.
const BLOCKED_PART_MAX: f64 = 0.01;
/// Most frames that are late where the rate is so low that their time says nothing.
const FRAMES_LATE_MIN: u64 = 2_000;
/// A step ends early when frames are so many times later than they may be.
const LATE_TIMES_MAX: u64 = 4;
/// Between two looks within a step, and while something is waited for.
const LOOK: Duration = Duration::from_millis(50);
const POLL: Duration = Duration::from_millis(10);
/// Until everything is subscribed, and until everything has arrived.
const READY_MAX: Duration = Duration::from_secs(60);
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// Part of the books that have to be joined before anything is measured.
const BOOKS_PERCENT_MIN: u64 = 90;
/// Steps a second that are offered first, and least.
const STEPS_FIRST: u64 = 40_000;
const STEPS_MIN: u64 = 1_000;
/// Halvings, in proportion, of what lies between the last rate that was kept up with and the first that was not.
const HALVINGS: usize = 2;
/// A later round begins below what the last one found, and goes up by small steps.
const AGAIN: (u64, u64) = (88, 100);
const UP: (u64, u64) = (107, 100);
const DOWN: (u64, u64) = (92, 100);
/// Steps up in a later round, and times that a rate is lowered until it can be held.
const UP_MAX: usize = 4;
const LOWER_MAX: usize = 12;

/// Why a rate is too high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The generator did not keep its pace, or did not get its frames out although the socket took them.
    Generator,
    /// A source waited for room in its ring, or the batching thread for room behind it.
    Blocked,
    /// Frames waited in the sockets.
    Frames,
    /// The journal or the sink fell behind.
    Storage,
}

impl Why {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Generator => "the generator",
            Self::Blocked => "a full ring or link",
            Self::Frames => "frames not read in time",
            Self::Storage => "journal or sink behind",
        }
    }
}

/// What was seen at a rate.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    /// Steps a second that were offered.
    pub(super) steps: u64,
    /// Why it was not kept up with.
    pub(super) why: Option<Why>,
    pub(super) before: recorder::Look,
    pub(super) after: recorder::Look,
}

impl Trial {
    pub(super) fn seconds(&self) -> f64 {
        (self.after.wall_ns - self.before.wall_ns) as f64 / 1e9
    }

    pub(super) fn events(&self) -> u64 {
        self.after.accepted - self.before.accepted
    }

    pub(super) fn frames(&self) -> u64 {
        self.after.frames - self.before.frames
    }
}

/// A rate that was kept up with for a while, and how long its events took.
pub(super) struct Held {
    pub(super) trial: Trial,
    pub(super) hops: Hops,
}

/// How long steps and holds are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    pub(super) step: Duration,
    pub(super) hold: Duration,
}

impl Lengths {
    /// `hold` in all, for a sink that stores in large batches more: they have to come several times.
    pub(super) fn of(store: Store, hold: Duration) -> Self {
        let times = if store == Store::Postgres { 3 } else { 1 };
        Self { step: hold * times * 3 / 8, hold: hold * times }
    }
}

/// Both processes, and where their counters stood when everything was subscribed.
pub(super) struct Stand<'a> {
    generator: Generator,
    recorder: Recorder,
    lengths: Lengths,
    interrupt: &'a Interrupt,
    /// Frames that the generator had sent before there was a recorder.
    sent_before: u64,
    /// Facts that nobody was subscribed to, or that went to others.
    made_before: u64,
}

impl<'a> Stand<'a> {
    /// Starts both, and waits until every connection speaks and nearly every book is joined. Also tells how many frames a second the
    /// generator can send to readers that discard.
    ///
    /// # Errors
    /// When a process fails, or it takes too long.
    pub(super) fn start(
        contender: &Contender,
        cores: &Cores,
        lengths: Lengths,
        (dir, postgres): (&Path, &str),
        interrupt: &'a Interrupt,
    ) -> Result<(Self, f64)> {
        let setup = generator::Setup { symbols: contender.symbols(), tls: contender.tls };
        let mut generator = Generator::start(&setup, &cores.generator)?;
        let limit = limit(&mut generator, &setup, cores, lengths.step)?;
        let sent_before = generator.look()?.sent;
        let config = contender.config(dir, &generator.addresses, postgres);
        let recorder = Recorder::start(&recorder::Setup { dir: dir.to_owned(), config }, &cores.recorder)?;
        let mut stand = Self { generator, recorder, lengths, interrupt, sent_before, made_before: 0 };
        stand.get_ready(contender)?;
        Ok((stand, limit))
    }

    fn get_ready(&mut self, contender: &Contender) -> Result<()> {
        self.generator.go(generator::STEPS_AT_START)?;
        let began = Instant::now();
        let books = (contender.sources * contender.symbols) as u64;
        loop {
            self.interrupt.check()?;
            let look = self.recorder.look()?;
            // The last of a thousand symbols hardly ever trade; their books are joined when they do.
            if look.live == self.recorder.connections && look.snapshots >= books.saturating_mul(BOOKS_PERCENT_MIN) / 100
            {
                break;
            }
            ensure!(
                began.elapsed() < READY_MAX,
                "{} of {} connections are live and {} of {books} books there after {READY_MAX:?}",
                look.live,
                self.recorder.connections,
                look.snapshots
            );
            std::thread::sleep(POLL);
        }
        self.generator.settle()?;
        // What was made so far is in flight, or nobody wanted it: when what was sent does not grow any more, it has arrived.
        let mut last = None;
        loop {
            let (sent, received) = (self.generator.look()?, self.recorder.look()?.frames);
            let is_there = received == sent.sent - self.sent_before;
            if is_there && last.replace(sent.sent) == Some(sent.sent) {
                self.made_before = sent.made - sent.sent;
                return Ok(());
            }
            ensure!(
                began.elapsed() < READY_MAX,
                "{} frames were sent, {received} arrived",
                sent.sent - self.sent_before
            );
            std::thread::sleep(LOOK);
        }
    }

    /// Finds the highest rate that is kept up with: from nothing, or near the rate that an earlier round found. Says what
    /// was in the way of a higher one.
    ///
    /// # Errors
    /// When a process fails, or no rate is kept up with.
    pub(super) fn find(&mut self, known: Option<u64>) -> Result<(u64, Option<Why>)> {
        let Some(known) = known else { return self.find_from_nothing() };
        let (mut good, mut why) = (None, None);
        let mut steps = times(known, AGAIN);
        for _ in 0..=UP_MAX {
            let trial = self.step(steps)?;
            if trial.why.is_none() {
                good = Some(steps);
                steps = times(steps, UP);
            } else {
                why = trial.why;
                if good.is_some() {
                    break;
                }
                steps = times(steps, DOWN);
            }
        }
        Ok((good.unwrap_or(steps), why))
    }

    fn find_from_nothing(&mut self) -> Result<(u64, Option<Why>)> {
        let (mut good, mut bad) = (0, STEPS_FIRST);
        let mut why = loop {
            let trial = self.step(bad)?;
            if trial.why.is_some() {
                break trial.why;
            }
            (good, bad) = (bad, bad * 2);
        };
        while good == 0 {
            let lower = bad / 2;
            ensure!(lower >= STEPS_MIN, "not even {bad} steps a second were kept up with");
            let trial = self.step(lower)?;
            if trial.why.is_none() {
                good = lower;
            } else {
                (bad, why) = (lower, trial.why);
            }
        }
        for _ in 0..HALVINGS {
            let middle = (u128::from(good) * u128::from(bad)).isqrt();
            let middle = u64::try_from(middle)?;
            let trial = self.step(middle)?;
            if trial.why.is_none() {
                good = middle;
            } else {
                (bad, why) = (middle, trial.why);
            }
        }
        Ok((good, why))
    }

    /// Holds a rate, or the next lower one that can be held, and says how long its events took.
    ///
    /// # Errors
    /// When a process fails, or no rate can be held.
    pub(super) fn hold(&mut self, mut steps: u64) -> Result<(Held, Option<Why>)> {
        let mut why = None;
        for _ in 0..LOWER_MAX {
            self.recorder.observe()?;
            let trial = self.offer(steps, self.lengths.hold)?;
            let hops = self.recorder.hops()?;
            if trial.why.is_none() {
                return Ok((Held { trial, hops }, why));
            }
            why = trial.why;
            steps = times(steps, DOWN);
        }
        Err(anyhow!("no rate could be held; {} was in the way at {steps} steps a second", why.map_or("", Why::text)))
    }

    /// Offers a rate for a step; a second time where it was not kept up with: a stall of the disk must not decide.
    fn step(&mut self, steps: u64) -> Result<Trial> {
        let trial = self.offer(steps, self.lengths.step)?;
        if trial.why.is_none() { Ok(trial) } else { self.offer(steps, self.lengths.step) }
    }

    /// Offers a rate for a while, then lets everything arrive.
    fn offer(&mut self, steps: u64, length: Duration) -> Result<Trial> {
        self.interrupt.check()?;
        let (sent_before, before) = (self.generator.look()?, self.recorder.look()?);
        self.generator.go(steps)?;
        let began = Instant::now();
        loop {
            std::thread::sleep(LOOK.min(length.saturating_sub(began.elapsed())));
            let (sent, after) = (self.generator.look()?, self.recorder.look()?);
            let elapsed = began.elapsed();
            let late = (sent.made - self.made_before).saturating_sub(after.frames + self.sent_before);
            let late_max = part(sent.made - sent_before.made, elapsed, frames_late_max(length)).max(FRAMES_LATE_MIN);
            let is_over = elapsed >= length;
            if is_over || late > late_max * LATE_TIMES_MAX {
                let why = why(&sent_before, &sent, &before, &after, (steps, length, late > late_max));
                self.generator.settle()?;
                self.drain()?;
                return Ok(Trial { steps, why, before, after });
            }
        }
    }

    /// Waits until everything has arrived, and is written but for the sink's open batch.
    fn drain(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            self.interrupt.check()?;
            let (sent, look) = (self.generator.look()?, self.recorder.look()?);
            let wanted = sent.made - self.made_before - self.sent_before;
            let is_durable = look.durable.is_none_or(|durable| durable == look.accepted);
            let is_accepted = wanted == look.frames && look.accepted == look.due;
            if is_accepted && is_durable && look.accepted <= look.written + look.buffered {
                return Ok(());
            }
            ensure!(
                began.elapsed() < DRAIN_MAX,
                "{wanted} frames were made, {} sent, {} arrived; of {} events {} are written",
                sent.sent - self.sent_before,
                look.frames,
                look.accepted,
                look.written
            );
            std::thread::sleep(POLL);
        }
    }

    /// The counters now.
    ///
    /// # Errors
    /// When the recorder does not answer.
    pub(super) fn look(&mut self) -> Result<recorder::Look> {
        self.recorder.look()
    }

    /// Ends the recorder, and checks by its account that everything that was sent was recorded.
    ///
    /// # Errors
    /// When it was not.
    pub(super) fn end(mut self) -> Result<Ended> {
        let (sent, last) = (self.generator.look()?, self.recorder.look()?);
        let sent = sent.sent - self.sent_before;
        ensure!(sent == last.frames, "{sent} frames were sent, {} were received", last.frames);
        ensure!(last.closed == 0, "{} connections ended on the way", last.closed);
        let ended = self.recorder.end()?;
        ensure!(ended.troubles.is_empty(), "the recorder: {}", ended.troubles.join("; "));
        ensure!(ended.look.bad == 0, "{} frames or events were not recorded as they came", ended.look.bad);
        let (accepted, stored) = (ended.look.accepted, ended.look.stored);
        ensure!(accepted == stored, "{accepted} events were accepted, {stored} are stored");
        Ok(ended)
    }
}

/// Frames a second that the generator sends to readers on the recorder's cores, which discard them.
fn limit(generator: &mut Generator, setup: &generator::Setup, cores: &Cores, length: Duration) -> Result<f64> {
    generator.settle()?;
    let addresses = generator.addresses.clone();
    let readers = std::thread::scope(|scope| {
        // The readers' threads inherit the cores of this one.
        let start = || {
            child::move_to(&cores.recorder)?;
            addresses
                .iter()
                .zip(&setup.symbols)
                .map(|(a, symbols)| Discard::start(a, symbols))
                .collect::<Result<Vec<_>>>()
        };
        scope.spawn(start).join().map_err(|_| anyhow!("a thread panicked"))?
    });
    let readers = readers.context("reading from the generator")?;
    generator.go_at_most()?;
    std::thread::sleep(length / 4);
    let (before, began) = (generator.look()?, Instant::now());
    std::thread::sleep(length);
    let (after, elapsed) = (generator.look()?, began.elapsed());
    generator.settle()?;
    // What is left for the readers must not be taken for the recorder's.
    let mut last = after.sent;
    loop {
        std::thread::sleep(LOOK);
        let sent = std::mem::replace(&mut last, generator.look()?.sent);
        if sent == last {
            break;
        }
    }
    drop(readers);
    Ok((after.sent - before.sent) as f64 / elapsed.as_secs_f64())
}

/// Why this rate is too high, if it is.
fn why(
    sent_before: &generator::Look,
    sent: &generator::Look,
    before: &recorder::Look,
    after: &recorder::Look,
    (steps, length, is_late): (u64, Duration, bool),
) -> Option<Why> {
    let elapsed = Duration::from_nanos(after.wall_ns - before.wall_ns);
    let steps_late_max = part(steps, Duration::from_secs(1), frames_late_max(length));
    if sent.skipped > sent_before.skipped || sent.late > steps_late_max {
        return Some(Why::Generator);
    }
    if (after.blocked_ns - before.blocked_ns) as f64 > elapsed.as_secs_f64() * 1e9 * BLOCKED_PART_MAX {
        return Some(Why::Blocked);
    }
    if is_late {
        return Some(if sent.blocked > sent_before.blocked { Why::Frames } else { Why::Generator });
    }
    let late_max = STORAGE_LATE_MAX.min(length / STORAGE_LATE_PART);
    let events_max = part(after.accepted - before.accepted, elapsed, late_max).max(FRAMES_LATE_MIN);
    let behind = |reached: u64| after.accepted.saturating_sub(reached) > events_max;
    (behind(after.written) || after.durable.is_some_and(behind)).then_some(Why::Storage)
}

/// How late frames may be in a step of this length: a short one would hide how much they are.
fn frames_late_max(length: Duration) -> Duration {
    FRAMES_LATE_MAX.min(length / FRAMES_LATE_PART)
}

/// Of so many in `all`, those of `time`.
fn part(count: u64, all: Duration, time: Duration) -> u64 {
    let part = u128::from(count) * time.as_nanos() / all.as_nanos().max(1);
    u64::try_from(part).unwrap_or(u64::MAX)
}

fn times(steps: u64, (over, under): (u64, u64)) -> u64 {
    (steps * over / under).max(STEPS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_too_high_by_each_sign_alone() {
        let (sent_before, before) = (generator::Look::default(), recorder::Look::default());
        let sent = generator::Look { made: 100_000, sent: 99_000, late: 4_000, ..sent_before };
        let after = recorder::Look {
            wall_ns: 1_000_000_000,
            accepted: 100_000,
            written: 80_000,
            durable: Some(90_000),
            blocked_ns: 9_000_000,
            ..before.clone()
        };
        let judged = |sent: &generator::Look, after: &recorder::Look, late| {
            why(&sent_before, sent, &before, after, (100_000, Duration::from_secs(1), late))
        };
        assert_eq!(judged(&sent, &after, false), None);
        assert_eq!(judged(&generator::Look { late: 5_001, ..sent }, &after, false), Some(Why::Generator));
        assert_eq!(judged(&generator::Look { skipped: 1, ..sent }, &after, false), Some(Why::Generator));
        let blocked = recorder::Look { blocked_ns: 10_000_001, ..after.clone() };
        assert_eq!(judged(&sent, &blocked, false), Some(Why::Blocked));
        assert_eq!(judged(&sent, &after, true), Some(Why::Generator), "the socket took everything");
        assert_eq!(judged(&generator::Look { blocked: 1, ..sent }, &after, true), Some(Why::Frames));
        let unwritten = recorder::Look { written: 74_999, ..after.clone() };
        assert_eq!(judged(&sent, &unwritten, false), Some(Why::Storage));
        let short = Duration::from_millis(100);
        let in_short_step = why(&sent_before, &sent, &before, &after, (100_000, short, false));
        assert_eq!(in_short_step, Some(Why::Generator), "4,000 late steps are 40 ms of 100");
        let not_durable = recorder::Look { durable: Some(74_999), ..after.clone() };
        assert_eq!(judged(&sent, &not_durable, false), Some(Why::Storage));
    }
}
