//! From the tree to the resolved configuration: every key, its accepted range, and what must go together.

use crate::admin::{self, read_admin};
use crate::alerts::{self, read_alerts};
use crate::analysis::{self, read_analysis, read_paper, read_strategy};
use crate::choice::Kind;
use crate::journal::{self, Journal, read_journal};
use crate::postgres::{self, read_postgres};
use crate::reader::{Reader, Section};
use crate::schema::{Config, Health, Parquet, Validation};
use crate::sinks::{name_sinks, read_sink};
use crate::source::{Capture, Sim, Source, SourceKind};
use crate::tape::{Tape, read_tape};
use crate::tree::{Origin, Table};
use crate::units::show_duration;
use crate::values::{
    bytes, choice, core, count, duration, flag, list, log_levels, path, percent, rate, speed, symbol, text, time,
};
use crate::venue::{VENUE_KEYS, read_venue};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Lays the tree over the defaults of its profile. What is wrong keeps its default and is noted in the reader.
pub(crate) fn read(tree: &Table) -> (Config, Reader) {
    let mut reader = Reader::default();
    let mut root = reader.root(tree);
    let mut config = Config::default();
    root.key("profile", &mut config.profile, choice);
    config = Config::of_profile(config.profile);
    read_sections(&mut root, &mut config);
    let mut sources = Vec::new();
    root.sections("source", |section, origin| sources.push(read_source(section, origin, &config)));
    let mut sinks = Vec::new();
    root.sections("strategy", |section, origin| config.strategies.push(read_strategy(section, origin)));
    root.one_or_more("sink", |section, origin| sinks.push(read_sink(section, origin)));
    root.finish();
    if !sinks.is_empty() {
        name_sinks(&mut sinks, &mut reader);
        config.sinks = sinks;
    }
    if !sources.is_empty() {
        name_sources(&mut sources, &mut reader);
        config.sources = sources;
    }
    check_together(&config, &mut reader);
    reader.finish();
    (config, reader)
}

fn read_sections(root: &mut Section<'_, '_>, config: &mut Config) {
    root.section("data", |s| s.key("dir", &mut config.data.dir, path));
    config.parquet.dir.clone_from(&config.data.dir);
    config.journal = Journal::below(&config.data.dir);
    config.tape = Tape::below(&config.data.dir);
    root.section("tape", |s| read_tape(s, &mut config.tape));
    root.section("ring", |s| s.key("capacity", &mut config.ring.capacity, count(64..=16 << 20)));
    root.section("batching", |s| {
        s.key("core", &mut config.batching.core, core);
        s.key("wait", &mut config.batching.wait, choice);
    });
    root.section("journal", |s| read_journal(s, &mut config.journal));
    root.section("batch", |s| {
        s.key("max_events", &mut config.batch.max_events, count(1..=1_000_000));
        s.key("max_age", &mut config.batch.max_age, duration(MILLISECOND..=HOUR));
    });
    root.section("retry", |s| {
        s.key("attempts", &mut config.retry.attempts, count(0..=1_000));
        s.key("delay", &mut config.retry.delay, duration(MILLISECOND..=HOUR));
        s.key("max_delay", &mut config.retry.max_delay, duration(MILLISECOND..=DAY));
        s.key("stable", &mut config.retry.stable, duration(Duration::ZERO..=HOUR));
    });
    root.section("quarantine", |s| s.key("bytes_max", &mut config.quarantine.bytes_max, bytes(FILE_BYTES)));
    root.section("parquet", |s| read_parquet(s, &mut config.parquet));
    root.section("postgres", |s| read_postgres(s, &mut config.postgres));
    root.section("analysis", |s| read_analysis(s, &mut config.analysis));
    root.section("paper", |s| read_paper(s, &mut config.paper));
    root.section("validation", |s| read_validation(s, &mut config.validation));
    root.section("decode", |s| {
        s.key("frame_bytes_max", &mut config.decode.frame_bytes_max, bytes(KIB..=FRAME_BYTES_MAX));
        s.key("keep_unknown", &mut config.decode.keep_unknown, flag);
    });
    root.section("dead_letters", |s| {
        s.key("enabled", &mut config.dead_letters.enabled, flag);
        s.key("bytes_max", &mut config.dead_letters.bytes_max, bytes(FILE_BYTES));
    });
    root.section("log", |s| {
        s.key("level", &mut config.log.level, log_levels);
        s.key("format", &mut config.log.format, choice);
    });
    root.section("health", |s| read_health(s, &mut config.health));
    root.section("admin", |s| read_admin(s, &mut config.admin));
    root.section("alerts", |s| read_alerts(s, &mut config.alerts));
    root.section("stop", |s| s.key("deadline", &mut config.stop.deadline, duration(HUNDRED_MS..=HOUR)));
    for source in &mut config.sources {
        source.validation.clone_from(&config.validation);
    }
}

fn read_parquet(s: &mut Section<'_, '_>, parquet: &mut Parquet) {
    s.key("dir", &mut parquet.dir, path);
    s.key("file_bytes_max", &mut parquet.file_bytes_max, bytes(FILE_BYTES));
    s.key("file_age_max", &mut parquet.file_age_max, duration(SECOND..=MONTH));
    s.key("row_group_rows_max", &mut parquet.row_group_rows_max, count(1_024..=16 << 20));
    s.key("memory_max", &mut parquet.memory_max, bytes(1 << 20..=TIB));
    s.key("compression_level", &mut parquet.compression_level, count(1..=22));
}

fn read_validation(s: &mut Section<'_, '_>, validation: &mut Validation) {
    s.key("enabled", &mut validation.enabled, flag);
    s.key("price_jump", &mut validation.price_jump, percent);
    s.key("price_jump_action", &mut validation.price_jump_action, choice);
    s.key("price_jump_confirm_trades", &mut validation.price_jump_confirm_trades, count(1..=1_000));
    s.key("future_max", &mut validation.future_max, duration(MILLISECOND..=CENTURY));
    s.key("past_max", &mut validation.past_max, duration(MILLISECOND..=CENTURY));
}

fn read_health(s: &mut Section<'_, '_>, health: &mut Health) {
    s.key("interval", &mut health.interval, duration(HUNDRED_MS..=DAY));
    s.key("utilisation_debug", &mut health.utilisation_debug, count(1..=100));
    s.key("utilisation_warn", &mut health.utilisation_warn, count(1..=100));
    s.key("batch_buffer_warn", &mut health.batch_buffer_warn, count(1..=100));
}

/// One `[[source]]`, whose header stands at `origin`. Its name stays empty when none is given.
fn read_source(s: &mut Section<'_, '_>, origin: &Origin, config: &Config) -> Source {
    let mut source = Source { name: String::new(), ..Source::sim(&config.validation) };
    let mut kind = None;
    s.optional("kind", &mut kind, choice);
    if !s.has("kind") {
        s.missing("kind", origin, "write kind = \"venue\", kind = \"sim\" or kind = \"capture\"");
    }
    s.key("name", &mut source.name, text);
    s.key("core", &mut source.core, core);
    s.key("full", &mut source.full, choice);
    s.section("validation", |s| read_validation(s, &mut source.validation));
    match kind {
        Some(Kind::Sim) => source.kind = SourceKind::Sim(read_sim(s)),
        Some(Kind::Capture) => source.kind = SourceKind::Capture(read_capture(s, origin)),
        Some(Kind::Venue) => source.kind = SourceKind::Venue(Box::new(read_venue(s, origin))),
        // Without a kind the keys of all are let through: one fault is enough.
        None if s.has("path") => drop((read_sim(s), read_capture(s, origin))),
        None if s.has("venue") => drop(read_venue(s, origin)),
        None => drop(read_sim(s)),
    }
    if let Some(kind) = kind {
        refuse_strays(s, kind);
    }
    source
}

/// Notes the keys of other kinds.
fn refuse_strays(s: &mut Section<'_, '_>, own: Kind) {
    let own_keys = KINDS_KEYS.iter().find(|(kind, _)| *kind == own).map_or(&[][..], |(_, keys)| keys);
    for (kind, keys) in KINDS_KEYS.iter().filter(|(kind, _)| *kind != own) {
        // A key of two other kinds is refused once, for the first of them.
        let before = KINDS_KEYS.iter().take_while(|(other, _)| other != kind).filter(|(other, _)| *other != own);
        let is_said = |key: &&str| before.clone().any(|(_, keys)| keys.contains(key));
        let stray: Vec<&'static str> =
            keys.iter().copied().filter(|key| !own_keys.contains(key) && !is_said(key)).collect();
        s.refuse(&stray, |key| {
            let owners = KINDS_KEYS.iter().filter(|(_, keys)| keys.contains(&key));
            let owners = owners.map(|(kind, _)| format!("{:?}", kind.to_string())).collect::<Vec<_>>().join(" and ");
            format!("`{key}` is a key of kind {owners}, this source is {:?}", own.to_string())
        });
    }
}

fn read_sim(s: &mut Section<'_, '_>) -> Sim {
    let mut sim = Sim::default();
    s.key("symbols", &mut sim.symbols, list("symbol", symbol));
    s.key("seed", &mut sim.seed, count(0..=u64::MAX));
    s.key("rate", &mut sim.rate, rate);
    s.optional("start_time", &mut sim.start_time, time);
    s.key("burst_every_frames", &mut sim.burst_every_frames, count(0..=1_000_000_000));
    s.key("burst_trades", &mut sim.burst_trades, count(1..=10_000));
    s.key("channels", &mut sim.channels, list("channel", choice));
    sim
}

fn read_capture(s: &mut Section<'_, '_>, origin: &Origin) -> Capture {
    let mut capture = Capture::default();
    s.key("path", &mut capture.paths, list("path", path));
    if !s.has("path") {
        s.missing("path", origin, "a capture needs path = \"FILE or FOLDER\"");
    }
    s.optional("venue", &mut capture.venue, text);
    s.key("speed", &mut capture.speed, speed);
    capture
}

/// Names the sources that have no name by their kind or market, and sees that every name stands once.
fn name_sources(sources: &mut [Source], reader: &mut Reader) {
    for i in 0..sources.len() {
        if sources[i].name.is_empty() {
            let usual = sources[i].kind.usual_name();
            let nth = sources[..=i].iter().filter(|source| source.kind.usual_name() == usual).count();
            sources[i].name = if nth == 1 { usual.to_owned() } else { format!("{usual}-{nth}") };
        }
        let name = &sources[i].name;
        if let Some(first) = sources[..i].iter().position(|source| source.name == *name) {
            let keys = [format!("source.{i}.name"), format!("source.{first}.name")];
            let (origin, key) = reader.origin_of(&[&keys[0], &keys[1]]);
            reader.fault(origin, &key, format!("source {first} and source {i} are both named {name:?}; rename one"));
        }
    }
}

/// Finds values that are each in range but contradict each other.
fn check_together(config: &Config, reader: &mut Reader) {
    let (debug, warn) = (config.health.utilisation_debug, config.health.utilisation_warn);
    if debug >= warn {
        let (origin, key) = reader.origin_of(&["health.utilisation_debug", "health.utilisation_warn"]);
        let message = format!("utilisation_debug = {debug} must be below utilisation_warn = {warn}");
        reader.fault(origin, &key, message);
    }
    let [delay, max_delay] = [config.retry.delay, config.retry.max_delay];
    if delay > max_delay {
        let (origin, key) = reader.origin_of(&["retry.delay", "retry.max_delay"]);
        let [delay, max_delay] = [delay, max_delay].map(show_duration);
        reader.fault(origin, &key, format!("delay = \"{delay}\" must not be above max_delay = \"{max_delay}\""));
    }
    admin::check_together(&config.admin, reader);
    alerts::check_together(&config.alerts, reader);
    analysis::check_together(config, reader);
    journal::check_together(&config.journal, reader);
    postgres::check_together(&config.postgres, reader);
}

const SIM_KEYS: [&str; 7] = ["symbols", "seed", "rate", "start_time", "burst_every_frames", "burst_trades", "channels"];
const CAPTURE_KEYS: [&str; 3] = ["path", "venue", "speed"];
const KINDS_KEYS: [(Kind, &[&str]); 3] =
    [(Kind::Sim, &SIM_KEYS), (Kind::Capture, &CAPTURE_KEYS), (Kind::Venue, &VENUE_KEYS)];

const MILLISECOND: Duration = Duration::from_millis(1);
const HUNDRED_MS: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const MONTH: Duration = Duration::from_secs(30 * 86_400);
/// Longer than any market has been recorded.
const CENTURY: Duration = Duration::from_secs(36_500 * 86_400);

const KIB: u64 = 1 << 10;
/// The decoders' own limit.
const FRAME_BYTES_MAX: u64 = 16 << 20;
const TIB: u64 = 1 << 40;
/// Bytes of a file that may grow: neither one for every few rows nor more than a disk.
const FILE_BYTES: RangeInclusive<u64> = 64 * KIB..=TIB;
