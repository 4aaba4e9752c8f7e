//! `end-to-end`: the whole recorder, from a socket to what is stored. Exchanges of `venue-sim` in a process of their own
//! send real frames over loopback, by the clock; feedd's own wiring records them in another.
//!
//! The rate goes up in short steps until a producer is blocked or something falls behind; what was kept up with is held,
//! and measured. Start with `stand.rs`.

mod child;
mod contender;
mod discard;
mod generator;
mod observer;
mod recorder;
mod stand;
mod stored;
mod tell;

use crate::Interrupt;
use crate::cli::{EndToEndArgs, RoleArg, ServerArgs};
use crate::machine::Machine;
use crate::postgres::{SCHEMA, Session, Target};
use crate::report::Report;
use crate::rounds::{Case, EVENTS_PER_S, Plan, Sample};
use anyhow::{Context, Result, anyhow};
use child::Asked;
use contender::{CONTENDERS, Contender, Store};
use feedd_core::affinity::usable_cores;
use serde_json::{Map, Value, json};
use stand::{Held, Lengths, Stand};
use std::path::Path;
use std::time::Duration;
use stored::Rows;

/// Rounds and seconds that a figure worth quoting needs.
const ROUNDS_QUOTABLE: u32 = 3;
const SECONDS_QUOTABLE: f64 = 4.0;

/// Which cores feed and which record; none: wherever the system likes.
#[derive(Clone, Debug, Default)]
struct Cores {
    generator: Vec<usize>,
    recorder: Vec<usize>,
}

impl Cores {
    /// Half of them each: the generator must not be what is measured. Core 0, which takes most interrupts, feeds.
    fn split(usable: &[usize]) -> Self {
        let (generator, recorder) = usable.split_at(usable.len() / 2);
        if generator.is_empty() {
            return Self::default();
        }
        Self { generator: generator.to_vec(), recorder: recorder.to_vec() }
    }
}

/// One of the two processes that measuring starts, until its input ends.
///
/// # Errors
/// When it cannot be set up.
pub(crate) fn play(role: RoleArg, cores: &[usize]) -> Result<()> {
    let asked = Asked::on(cores)?;
    match role {
        RoleArg::Generator => generator::play(asked),
        RoleArg::Recorder => recorder::record(asked),
    }
}

/// # Errors
/// When a run fails, or not everything that was sent is stored.
pub(crate) fn measure(args: &EndToEndArgs, interrupt: &Interrupt) -> Result<Report> {
    let place = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let mut report = Report::new("end-to-end", Machine::look(&place));
    let cores = Cores::split(&usable_cores());
    if cores.recorder.is_empty() {
        report.warnings.push("one core: generator and recorder share it, nothing is pinned".to_owned());
    }
    if args.quick || args.rounds < ROUNDS_QUOTABLE || args.seconds < SECONDS_QUOTABLE {
        report.warnings.push(format!(
            "figures worth quoting need --rounds {ROUNDS_QUOTABLE} --seconds {SECONDS_QUOTABLE}, and no --quick"
        ));
    }
    let mut contenders: Vec<Contender> = CONTENDERS.into_iter().filter(|c| c.is_quick || !args.quick).collect();
    if !args.only.is_empty() {
        let is_wanted = |c: &Contender| args.only.iter().any(|word| c.case().key.contains(word.as_str()));
        contenders.retain(is_wanted);
    }
    let is_postgres = |c: &Contender| c.store == Store::Postgres;
    let server = match contenders.iter().any(is_postgres).then(|| server(&args.server, &cores)).transpose() {
        Ok(server) => server,
        Err(error) if args.server.host.is_none() => {
            contenders.retain(|c| !is_postgres(c));
            report.notes.push(format!("PostgreSQL is left out: {error:#}; install it, or name a server with --host"));
            None
        }
        Err(error) => return Err(error),
    };
    anyhow::ensure!(!contenders.is_empty(), "--only leaves no case; the names are those of the cases in the JSON");
    let bench = Bench { cores, hold: Duration::from_secs_f64(args.seconds), place: &place, server, interrupt };
    let mut known: Vec<Option<u64>> = vec![None; contenders.len()];
    let cases: Vec<Case> = contenders.iter().map(Contender::case).collect();
    let plan = Plan { cases, unit: EVENTS_PER_S, rounds: args.rounds, cores: crate::limits::two_cores() };
    let rounds = plan.hold(interrupt, &mut |at, _| bench.run(&contenders[at], &mut known[at]))?;
    tell::tell(&mut report, &rounds, &contenders, &bench.cores, bench.hold);
    Ok(report)
}

/// The server, on the cores of the recorder.
fn server(args: &ServerArgs, cores: &Cores) -> Result<Target> {
    std::thread::scope(|scope| {
        let start = || child::move_to(&cores.recorder).and_then(|()| Target::new(args));
        scope.spawn(start).join().map_err(|_| anyhow!("a thread panicked"))?
    })
}

/// What all runs share.
struct Bench<'a> {
    cores: Cores,
    hold: Duration,
    place: &'a Path,
    server: Option<Target>,
    interrupt: &'a Interrupt,
}

impl Bench<'_> {
    /// One run of a case. `known`: the rate that an earlier round found, in steps a second of the generator.
    fn run(&self, contender: &Contender, known: &mut Option<u64>) -> Result<Sample> {
        let dir = tempfile::Builder::new().prefix("end-to-end-").tempdir_in(self.place).context("making a folder")?;
        let postgres = self.postgres(contender.store)?;
        let lengths = Lengths::of(contender.store, self.hold);
        let (mut stand, limit) =
            Stand::start(contender, &self.cores, lengths, (dir.path(), &postgres), self.interrupt)?;
        let (found, why_found) = stand.find(*known)?;
        let loaded = stand.look()?;
        let (held, why_held) = stand.hold(found)?;
        // The first round, which finds the rates, does not count.
        let relaxed = if known.is_some() { Some(stand.hold(held.trial.steps / 2)?.0) } else { None };
        *known = Some(held.trial.steps);
        let last = stand.look()?;
        let ended = stand.end()?;
        self.check_rows(contender.store, dir.path(), &last, ended.look.accepted)?;
        let mut details = details("held", &held, contender.store);
        if let Some(relaxed) = &relaxed {
            details.extend(self::details("half", relaxed, contender.store));
        }
        let frames_per_s = held.trial.frames() as f64 / held.trial.seconds();
        let mib = |kib: u64| json!(kib as f64 / 1024.0);
        details.extend([
            ("limited_by".to_owned(), json!(why_held.or(why_found).map(stand::Why::text))),
            ("generator_frames_per_s".to_owned(), json!(limit)),
            ("generator_over_held".to_owned(), json!(limit / frames_per_s)),
            ("rss_mib".to_owned(), mib(loaded.rss_kib)),
            ("rss_peak_mib".to_owned(), mib(ended.look.rss_peak_kib)),
            ("events_stored".to_owned(), json!(ended.look.stored)),
        ]);
        let value = held.trial.events() as f64 / held.trial.seconds();
        Ok(Sample { value, core_share: None, details })
    }

    /// An empty schema, and how the recorder finds it.
    fn postgres(&self, store: Store) -> Result<String> {
        let Some(target) = self.server.as_ref().filter(|_| store == Store::Postgres) else { return Ok(String::new()) };
        let session = Session::open(target)?;
        session.execute(&format!("DROP SCHEMA {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}"))?;
        let Target { host, port, user, database, .. } = target;
        let password = if target.password.is_some() { "password_env = \"PGPASSWORD\"\n" } else { "" };
        Ok(format!(
            "[postgres]\nhost = {host:?}\nport = {port}\nuser = {user:?}\ndatabase = {database:?}\nschema = \"{SCHEMA}\"\n\
             {password}"
        ))
    }

    /// Whether the store holds what the recorder accepted, and what the generator sent. `last`: before the end, whose own
    /// events are counted by `accepted` alone.
    fn check_rows(&self, store: Store, dir: &Path, last: &recorder::Look, accepted: u64) -> Result<()> {
        let rows = match (store, &self.server) {
            (Store::Parquet, _) => Rows::of_files(dir)?,
            (Store::Postgres, Some(target)) => Rows::of_views(&Session::open(target)?)?,
            _ => return Ok(()),
        };
        rows.check(&recorder::Look { accepted, ..last.clone() })
    }
}

/// What was seen while a rate was held.
fn details(prefix: &str, held: &Held, store: Store) -> Map<String, Value> {
    let Held { trial, hops } = held;
    let events = trial.events() as f64;
    let mut details = Map::new();
    let mut tell = |name: &str, value: Value| details.insert(format!("{prefix}_{name}"), value);
    tell("steps_per_s", json!(trial.steps));
    tell("events_per_s", json!(events / trial.seconds()));
    tell("frames_per_s", json!(trial.frames() as f64 / trial.seconds()));
    let per_million = |ns: u64| ns as f64 / 1e3 / events;
    tell("cpu_s_per_million", json!(per_million(trial.after.cpu_ns - trial.before.cpu_ns)));
    let threads = trial.after.threads_ns.iter().map(|(name, ns)| {
        let before = trial.before.threads_ns.get(name).copied().unwrap_or(0);
        (name.clone(), json!(per_million(ns.saturating_sub(before))))
    });
    tell("threads_cpu_s_per_million", Value::Object(threads.collect()));
    let reached = [
        ("handed", Some(hops.handed)),
        ("durable", (store != Store::Null).then_some(hops.durable)),
        ("stored", store.stores_soon().then_some(hops.stored)),
    ];
    for (name, hop) in reached.into_iter().filter_map(|(name, hop)| Some((name, hop?))) {
        for (part, value) in [
            ("p50", hop.p50_ns),
            ("p99", hop.p99_ns),
            ("p999", hop.p999_ns),
            ("max", hop.max_ns),
            ("events", hop.events),
            ("waiting", hop.waiting),
        ] {
            tell(&format!("{name}_{part}"), json!(value));
        }
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generator_and_recorder_never_share_a_core() {
        let cases: [(&[usize], &[usize], &[usize]); 4] =
            [(&[0], &[], &[]), (&[0, 1], &[0], &[1]), (&[2, 3, 5], &[2], &[3, 5]), (&[0, 1, 2, 3], &[0, 1], &[2, 3])];
        for (usable, generator, recorder) in cases {
            let cores = Cores::split(usable);
            assert_eq!((&cores.generator[..], &cores.recorder[..]), (generator, recorder), "{usable:?}");
        }
    }
}
