//! Defaults, profile, file, environment, flags: each wins over the one before, key by key.

use feedd_config::{
    Allowance, Channel, Config, Core, FullPolicy, JournalMode, JournalSync, Level, Lifetime, Loaded, Machine,
    Overrides, Percent, Place, PostgresLayout, PostgresTls, Profile, Rate, SecretRef, Sink, SinkKind, SourceKind,
    Speed, check, load,
};
use std::path::Path;
use std::time::Duration;

const MACHINE: Machine<'_> = Machine { cores: &[0, 1, 2, 3], venues: &["binance"] };

fn loaded(toml: &str, env: &[(&str, &str)], flags: &Overrides) -> Loaded {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), toml).expect("room for a small file");
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(Some(file.path()), env, flags, &MACHINE).expect("a configuration without faults")
}

fn sink(kind: SinkKind, name: &str, required: bool) -> Sink {
    Sink { kind, name: name.to_owned(), required }
}

fn sets(sets: &[&str]) -> Overrides {
    Overrides { sets: sets.iter().map(|set| (*set).to_owned()).collect(), ..Overrides::default() }
}

#[test]
fn without_anything_the_defaults_hold() {
    let loaded = load(None, std::iter::empty(), &Overrides::default(), &MACHINE).unwrap();
    assert_eq!((loaded.config, loaded.settings), (Config::default(), Vec::new()));
}

#[test]
fn the_example_loads_as_the_defaults() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/feedd.example.toml");
    let loaded = load(Some(&example), std::iter::empty(), &Overrides::default(), &MACHINE).unwrap();
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn the_last_voice_wins() {
    let file = "profile = \"low-memory\"\n[batch]\nmax_events = 300";
    let env = [("FEEDD_BATCH__MAX_EVENTS", "400")];
    let none: &[(&str, &str)] = &[];
    let env = env.as_slice();
    let cases = [
        ("default", "", none, sets(&[]), 500),
        ("profile", "profile = \"low-memory\"", none, sets(&[]), 250),
        ("file", file, none, sets(&[]), 300),
        ("environment", file, env, sets(&[]), 400),
        ("flag", file, env, sets(&["batch.max_events=600"]), 600),
        ("last flag", file, env, sets(&["batch.max_events=600", "batch.max_events=700"]), 700),
    ];
    for (name, toml, env, flags, expected) in cases {
        assert_eq!(loaded(toml, env, &flags).config.batch.max_events, expected, "{name}");
    }
}

#[test]
fn profiles_set_their_keys_and_single_keys_win() {
    let cases = [
        (Profile::Default, (10_000, 500, 5)),
        (Profile::LowMemory, (5_000, 250, 5)),
        (Profile::LowLatency, (10_000, 500, 2)),
        (Profile::HighVolume, (10_000, 1_000, 5)),
    ];
    for (profile, (capacity, max_events, max_age_s)) in cases {
        let flags = Overrides { profile: Some(profile.to_string()), ..Overrides::default() };
        let config = loaded("profile = \"high-volume\"", &[], &flags).config;
        let max_age = Duration::from_secs(max_age_s);
        assert_eq!(
            (config.ring.capacity, config.batch.max_events, config.batch.max_age),
            (capacity, max_events, max_age)
        );
        let config = loaded("[ring]\ncapacity = 64", &[("FEEDD_PROFILE", &profile.to_string())], &sets(&[])).config;
        assert_eq!((config.profile, config.ring.capacity, config.batch.max_events), (profile, 64, max_events));
    }
}

#[test]
fn every_form_of_a_value_is_read() {
    let config = loaded(
        "[log]\nlevel = [\"warn\", \"feedd_core=debug\"]\n[validation]\nprice_jump = 2.5\n[decode]\nframe_bytes_max = 4096",
        &[
            ("FEEDD_BATCHING__CORE", "3"),
            ("FEEDD_PARQUET__MEMORY_MAX", "1048576"),
            ("FEEDD_PARQUET__FILE_BYTES_MAX", "1GiB"),
            ("FEEDD_DEAD_LETTERS__ENABLED", "false"),
            ("FEEDD_STOP__DEADLINE", "250ms"),
        ],
        &sets(&["health.interval=1m", "validation.past_max=10d"]),
    )
    .config;
    assert_eq!(config.log.level.to_string(), "warn,feedd_core=debug");
    assert_eq!(config.log.level.targets, [("feedd_core".to_owned(), Level::Debug)]);
    assert_eq!(config.validation.price_jump, Percent::from_bp(250));
    assert_eq!(config.decode.frame_bytes_max, 4_096);
    assert_eq!(config.batching.core, Core::Pinned(3));
    assert_eq!((config.parquet.memory_max, config.parquet.file_bytes_max), (1 << 20, 1 << 30));
    assert!(!config.dead_letters.enabled);
    assert_eq!((config.stop.deadline, config.health.interval), (Duration::from_millis(250), Duration::from_secs(60)));
    assert_eq!(config.validation.past_max, Duration::from_secs(864_000));
    assert_eq!(config.sources[0].validation, config.validation);
}

#[test]
fn sources_take_their_own_keys() {
    let toml = "
[validation]
price_jump = \"20%\"
[[source]]
kind = \"sim\"
[[source]]
kind = \"capture\"
path = [\"src\", \"tests\"]
venue = \"binance\"
speed = 10
full = \"drop\"
[source.validation]
enabled = false
[[source]]
kind = \"sim\"
";
    let env = [("FEEDD_SOURCE__0__RATE", "max"), ("FEEDD_SOURCE__0__SYMBOLS", "ABCUSDT, XYZUSDT")];
    let config =
        loaded(toml, &env, &sets(&["source.2.channels=trades", "source.2.start_time=1970-01-01T00:00:01Z"])).config;
    let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["sim", "capture", "sim-2"]);
    let SourceKind::Sim(first) = &config.sources[0].kind else { panic!("source 0 is a sim") };
    assert_eq!(
        (first.rate, first.symbols.as_slice()),
        (Rate::Max, ["ABCUSDT".to_owned(), "XYZUSDT".to_owned()].as_slice())
    );
    let SourceKind::Capture(capture) = &config.sources[1].kind else { panic!("source 1 is a capture") };
    assert_eq!(
        (capture.paths.len(), capture.speed, capture.venue.as_deref()),
        (2, Speed::Thousandths(std::num::NonZeroU32::new(10_000).unwrap()), Some("binance"))
    );
    assert_eq!(config.sources[1].full, FullPolicy::Drop);
    assert!(!config.sources[1].validation.enabled && config.sources[2].validation.enabled);
    assert_eq!(config.sources[1].validation.price_jump, Percent::from_bp(2_000));
    let SourceKind::Sim(last) = &config.sources[2].kind else { panic!("source 2 is a sim") };
    assert_eq!(last.channels, [Channel::Trades]);
    assert_eq!(last.start_time.map(|time| time.0), Some(1_000_000_000));
}

#[test]
fn a_venue_takes_its_market_and_its_overrides() {
    let toml = "
[[source]]
kind = \"venue\"
venue = \"bybit\"
symbols = \"BTCUSDT\"
[[source]]
kind = \"venue\"
venue = \"binance\"
market = \"usdm\"
symbols = [\"BTCUSDT\", \"ETHUSDT\"]
channels = \"depth\"
redundancy = 2
depth_levels = 500
url = \"ws://127.0.0.1:9000/\"
[source.limits]
streams_per_connection = 200
request_bytes = \"1KiB\"
connects = \"30 / 5m\"
connects_burst = 3
[source.periods]
silence = \"3s\"
lifetime = \"never\"
[[source]]
kind = \"venue\"
venue = \"binance\"
market = \"usdm\"
symbols = \"SOLUSDT\"
rest_url = \"none\"
periods = { lifetime = \"1h\" }
[tape]
enabled = true
";
    let env = [("FEEDD_SOURCE__0__DEPTH_LEVELS", "50"), ("FEEDD_SOURCE__0__SYMBOLS", "BTCUSDT,ETHUSDT")];
    let config = loaded(toml, &env, &sets(&["source.2.periods.first_data=1m", "data.dir=elsewhere"])).config;
    let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["bybit_spot", "binance_usdm", "binance_usdm-2"]);
    let venue = |at: usize| match &config.sources[at].kind {
        SourceKind::Venue(venue) => venue,
        _ => panic!("source {at} is a venue"),
    };
    assert_eq!((venue(0).market.venue, venue(0).market.market), ("bybit", "spot"));
    assert_eq!(venue(0).symbols, ["BTCUSDT", "ETHUSDT"]);
    assert_eq!(venue(0).channels, [Channel::Trades, Channel::Depth]);
    assert_eq!((venue(0).redundancy, venue(0).depth_levels, venue(0).insecure), (1, Some(50), false));
    assert_eq!((venue(0).urls.len(), &venue(0).rest_url), (0, &None));
    let (limits, periods) = (&venue(1).limits, &venue(1).periods);
    assert_eq!(venue(1).channels, [Channel::Depth]);
    assert_eq!((venue(1).redundancy, venue(1).depth_levels), (2, Some(500)));
    assert_eq!(venue(1).urls, ["ws://127.0.0.1:9000"]);
    assert_eq!(venue(1).rest_url.as_deref(), Some("http://127.0.0.1:9000"));
    assert_eq!((limits.streams_per_connection, limits.request_bytes), (Some(200), Some(1_024)));
    let allowance = Allowance { count: 30, period: Duration::from_secs(300) };
    assert_eq!((limits.connects, limits.connects_burst, limits.messages), (Some(allowance), Some(3), None));
    assert_eq!((periods.silence, periods.lifetime), (Some(Duration::from_secs(3)), Some(Lifetime::Never)));
    let periods = &venue(2).periods;
    assert_eq!(periods.first_data, Some(Duration::from_secs(60)));
    assert_eq!(periods.lifetime, Some(Lifetime::After(Duration::from_secs(3_600))));
    assert_eq!(venue(2).rest_url.as_deref(), Some(""));
    assert!(config.tape.enabled);
    assert_eq!(config.tape.dir, Path::new("elsewhere/tape"));
}

#[test]
fn flags_of_their_own() {
    let flags = Overrides {
        data_dir: Some("elsewhere".into()),
        sinks: vec!["null".into()],
        sources: vec!["capture:src".into(), "sim".into()],
        sets: vec!["source.1.rate=5".into()],
        ..Overrides::default()
    };
    let config = loaded("[[source]]\nkind = \"sim\"\nname = \"of the file\"", &[], &flags).config;
    assert_eq!(
        (config.data.dir.as_path(), config.parquet.dir.as_path()),
        (Path::new("elsewhere"), Path::new("elsewhere"))
    );
    assert_eq!(config.sinks, [sink(SinkKind::Null, "null", true)]);
    let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["capture", "sim"]);
    assert!(matches!(&config.sources[1].kind, SourceKind::Sim(sim) if sim.rate == Rate::PerSecond(5)));
    assert!(!Path::new("elsewhere").exists(), "loading creates nothing");
}

/// Name, file, environment, flags, sinks.
type SinkCase<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [&'a str], Vec<Sink>);
/// Name, file, `--sink`, `--set`, sinks.
type FlagCase<'a> = (&'a str, &'a str, &'a [&'a str], &'a [&'a str], Vec<Sink>);

#[test]
fn one_sink_or_a_list_of_them() {
    use SinkKind::{Null, Parquet, Postgres};
    let none: &[(&str, &str)] = &[];
    let list = "[[sink]]\nkind = \"postgres\"\nname = \"db\"\n[[sink]]\nkind = \"parquet\"\nrequired = false";
    let cases: [SinkCase<'_>; 11] = [
        ("nothing", "", none, &[], vec![sink(Parquet, "parquet", true)]),
        ("table", "[sink]\nkind = \"postgres\"", none, &[], vec![sink(Postgres, "postgres", true)]),
        ("table without a kind", "[sink]\nname = \"a\"", none, &[], vec![sink(Parquet, "a", true)]),
        ("list", list, none, &[], vec![sink(Postgres, "db", true), sink(Parquet, "parquet", false)]),
        ("variable", "", &[("FEEDD_SINK__KIND", "null")], &[], vec![sink(Null, "null", true)]),
        ("variable with a number", "", &[("FEEDD_SINK__0__KIND", "null")], &[], vec![sink(Null, "null", true)]),
        (
            "both on one table",
            "[sink]\nname = \"a\"",
            &[("FEEDD_SINK__0__KIND", "null")],
            &["sink.required=false"],
            vec![sink(Null, "a", false)],
        ),
        (
            "without a number on a list of one",
            "[[sink]]\nkind = \"null\"",
            &[("FEEDD_SINK__KIND", "postgres")],
            &[],
            vec![sink(Postgres, "postgres", true)],
        ),
        (
            "variable over a list",
            list,
            &[("FEEDD_SINK__0__NAME", "x"), ("FEEDD_SINK__1__KIND", "null")],
            &[],
            vec![sink(Postgres, "x", true), sink(Null, "null", false)],
        ),
        (
            "one more than the default",
            "",
            &[("FEEDD_SINK__1__KIND", "postgres")],
            &["sink.1.required=false"],
            vec![sink(Parquet, "parquet", true), sink(Postgres, "postgres", false)],
        ),
        (
            "one more than a table",
            "[sink]\nname = \"a\"",
            none,
            &["sink.1.kind=null"],
            vec![sink(Parquet, "a", true), sink(Null, "null", true)],
        ),
    ];
    for (name, toml, env, flags, expected) in cases {
        assert_eq!(loaded(toml, env, &sets(flags)).config.sinks, expected, "{name}");
    }
}

#[test]
fn sinks_of_flags_replace_the_others_and_keep_their_keys() {
    use SinkKind::{Null, Parquet, Postgres};
    let list = "[[sink]]\nkind = \"postgres\"\nname = \"db\"\n[[sink]]\nkind = \"parquet\"\nrequired = false";
    let cases: [FlagCase<'_>; 5] = [
        ("one of the list", list, &["parquet"], &[], vec![sink(Parquet, "parquet", false)]),
        ("another", list, &["null"], &[], vec![sink(Null, "null", true)]),
        (
            "two, in their order",
            list,
            &["null", "postgres"],
            &[],
            vec![sink(Null, "null", true), sink(Postgres, "db", true)],
        ),
        ("of a table without a kind", "[sink]\nname = \"a\"", &["parquet"], &[], vec![sink(Parquet, "a", true)]),
        ("then single keys", list, &["null"], &["sink.name=n"], vec![sink(Null, "n", true)]),
    ];
    for (name, toml, kinds, set, expected) in cases {
        let sinks = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let config = loaded(toml, &[], &Overrides { sinks, ..sets(set) }).config;
        assert_eq!(config.sinks, expected, "{name}");
    }
}

#[test]
fn the_journal_is_on_when_a_sink_stores() {
    let cases = [
        ("", true),
        ("[sink]\nkind = \"null\"", false),
        ("[sink]\nkind = \"null\"\n[journal]\nmode = \"on\"", true),
        ("[journal]\nmode = \"off\"", false),
        ("[[sink]]\nkind = \"null\"\n[[sink]]\nkind = \"postgres\"", true),
    ];
    for (toml, expected) in cases {
        assert_eq!(loaded(toml, &[], &sets(&[])).config.is_journalled(), expected, "{toml}");
    }
}

#[test]
fn the_keys_of_journal_quarantine_and_retry() {
    let toml = "[data]\ndir = \"elsewhere\"\n[journal]\nsync = \"always\"\nbytes_max = \"64TiB\"\nsegment_bytes = 16384\n\
                [quarantine]\nbytes_max = \"1MiB\"\n[retry]\nstable = \"0s\"";
    let config = loaded(toml, &[("FEEDD_JOURNAL__MODE", "on")], &sets(&[])).config;
    assert_eq!((config.journal.mode, config.journal.sync), (JournalMode::On, JournalSync::Always));
    assert_eq!(config.journal.dir, Path::new("elsewhere/journal"));
    assert_eq!((config.journal.bytes_max, config.journal.segment_bytes), (64 << 40, 16 << 10));
    assert_eq!((config.quarantine.bytes_max, config.retry.stable), (1 << 20, Duration::ZERO));
    for (text, sync) in [("os", JournalSync::Os), ("250ms", JournalSync::Every(Duration::from_millis(250)))] {
        let config = loaded(toml, &[], &sets(&[&format!("journal.sync={text}"), "journal.dir=there"])).config;
        assert_eq!((config.journal.sync, config.journal.dir.as_path()), (sync, Path::new("there")));
    }
}

#[test]
fn the_keys_of_postgres() {
    let toml = "[postgres]\nhost = \"db.example\"\nport = 6432\ndatabase = \"Market Data\"\nuser = \"rec\"\n\
                password_env = \"PGPASSWORD\"\nschema = \"_feed2\"\nlayout = \"readable\"\ntls = \"disable\"\n\
                tls_ca = \"ca.pem\"\ntls_insecure = true\nmigrate = false\nconnect_timeout = \"1s\"\nbatch_timeout = \"5m\"\n\
                partitions_ahead = 0\nretain_days = 30";
    let postgres = loaded(toml, &[], &sets(&[])).config.postgres;
    let text = |text: &str| text.to_owned();
    let expected = feedd_config::Postgres {
        host: text("db.example"),
        port: 6_432,
        database: text("Market Data"),
        user: text("rec"),
        password: Some(SecretRef::Variable(text("PGPASSWORD"))),
        schema: text("_feed2"),
        layout: PostgresLayout::Readable,
        tls: PostgresTls::Disable,
        tls_ca: Some("ca.pem".into()),
        tls_insecure: true,
        migrate: false,
        connect_timeout: Duration::from_secs(1),
        batch_timeout: Duration::from_secs(300),
        partitions_ahead: 0,
        retain_days: 30,
    };
    assert_eq!(postgres, expected);
    let local = [
        ("localhost", true),
        ("127.0.0.9", true),
        ("::1", true),
        ("/run", true),
        ("::ffff:127.0.0.1", true),
        ("10.0.0.1", false),
        ("localhost.example", false),
        ("fe80::1", false),
    ];
    for (host, is_local) in local {
        let postgres = loaded("", &[("FEEDD_POSTGRES__HOST", host)], &sets(&[])).config.postgres;
        assert_eq!((postgres.host.as_str(), postgres.is_local()), (host, is_local));
    }
}

#[test]
fn settings_tell_where_they_were_given() {
    let loaded = loaded("[ring]\ncapacity = 128", &[("FEEDD_SINK__KIND", "null")], &sets(&["retry.attempts=9"]));
    let settings: Vec<(&str, &str)> = loaded.settings.iter().map(|s| (s.key.as_str(), s.value.as_str())).collect();
    assert_eq!(settings, [("retry.attempts", "9"), ("ring.capacity", "128"), ("sink.kind", "null")]);
    assert_eq!(loaded.settings[0].place, Place::Flag { text: "--set retry.attempts=9".into() });
    assert!(matches!(&loaded.settings[1].place, Place::Line { spot, .. } if (spot.line, spot.column) == (2, 12)));
    assert_eq!(loaded.settings[2].place, Place::Variable { name: "FEEDD_SINK__KIND".into() });
}

#[test]
fn a_check_tells_what_a_run_would_do() {
    let env = [("FEEDD_BATCH__MAX_EVENTS".to_owned(), "250".to_owned())];
    let flags = sets(&["source.0.rate=max"]);
    let report = check(None, env.clone().into_iter(), &flags, &MACHINE);
    let expected = "\
ok
profile  default
data     ./feedd-data
source   sim: SIMULATED, 10 symbols, as fast as possible, core auto, full: block
rings    1 of 10000 events, 625KiB in all
batch    250 events or 5s
journal  ./feedd-data/journal, at most 4GiB in segments of 64MiB, synced every 10ms
sink     parquet in ./feedd-data
set      batch.max_events = 250 (environment variable FEEDD_BATCH__MAX_EVENTS)
set      source.0.rate = max (--set source.0.rate=max)";
    assert_eq!((report.ok, report.text.as_str()), (true, expected));

    let report = check(None, env.into_iter(), &sets(&["ring.capacity=0", "sink.kind=nul"]), &MACHINE);
    let expected = "\
--set ring.capacity=0: ring.capacity: 0 is out of range; give a whole number from 64 to 16777216
--set sink.kind=nul: sink.kind: unknown sink \"nul\", did you mean \"null\"?
2 errors";
    assert_eq!((report.ok, report.text.as_str()), (false, expected));
}

#[test]
fn a_check_tells_what_sinks_and_journal_mean() {
    let report = |toml: &str| {
        let text = loaded(toml, &[], &sets(&[])).to_string();
        let lines =
            text.lines().filter(|line| ["sink ", "journal ", "note "].iter().any(|word| line.starts_with(word)));
        lines.collect::<Vec<_>>().join("\n")
    };
    let several = "[[sink]]\nkind = \"parquet\"\nname = \"archive\"\nrequired = false\n[[sink]]\nkind = \"postgres\"\n\
                   [postgres]\nhost = \"db.example\"\npassword_credential = \"postgres\"\n[journal]\nsync = \"os\"";
    let cases = [
        (several, "\
journal  ./feedd-data/journal, at most 4GiB in segments of 64MiB, never synced: a crash of the machine loses events
sink     parquet \"archive\" in ./feedd-data, not required
sink     postgres at db.example port 5432, database feedd, user feedd, schema public, compact, TLS with a verified name, password from credential postgres"),
        ("[sink]\nkind = \"postgres\"\nrequired = false\n[journal]\nsync = \"always\"", "\
journal  ./feedd-data/journal, at most 4GiB in segments of 64MiB, synced at every write
sink     postgres at localhost port 5432, database feedd, user feedd, schema public, compact, without TLS, no password, not required
note     no sink is required: when the journal is full, the oldest events go, stored or not; what a sink missed is recorded"),
        ("[sink]\nkind = \"null\"\nrequired = false", "\
journal  off: no sink stores anything
sink     null, not required
note     no sink is required: what a sink does not store is not kept for it"),
        ("[sink]\nkind = \"postgres\"\n[postgres]\nhost = \"10.0.0.1\"\ntls = \"disable\"\ntls_insecure = true", "\
journal  ./feedd-data/journal, at most 4GiB in segments of 64MiB, synced every 10ms
sink     postgres at 10.0.0.1 port 5432, database feedd, user feedd, schema public, compact, NOT ENCRYPTED over the network, no password"),
        ("[journal]\nmode = \"off\"", "\
journal  off: what a sink has not stored yet is lost in a crash
sink     parquet in ./feedd-data"),
    ];
    for (toml, expected) in cases {
        assert_eq!(report(toml), expected, "{toml}");
    }
}
