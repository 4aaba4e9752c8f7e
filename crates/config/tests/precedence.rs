//! Defaults, profile, file, environment, flags: each wins over the one before, key by key.

use feedd_config::{
    Channel, Config, Core, FullPolicy, Level, Loaded, Machine, Overrides, Percent, Place, Profile, Rate, SinkKind,
    SourceKind, Speed, check, load,
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
fn flags_of_their_own() {
    let flags = Overrides {
        data_dir: Some("elsewhere".into()),
        sink: Some("null".into()),
        sources: vec!["capture:src".into(), "sim".into()],
        sets: vec!["source.1.rate=5".into()],
        ..Overrides::default()
    };
    let config = loaded("[[source]]\nkind = \"sim\"\nname = \"of the file\"", &[], &flags).config;
    assert_eq!(
        (config.data.dir.as_path(), config.parquet.dir.as_path()),
        (Path::new("elsewhere"), Path::new("elsewhere"))
    );
    assert_eq!(config.sink.kind, SinkKind::Null);
    let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["capture", "sim"]);
    assert!(matches!(&config.sources[1].kind, SourceKind::Sim(sim) if sim.rate == Rate::PerSecond(5)));
    assert!(!Path::new("elsewhere").exists(), "loading creates nothing");
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
