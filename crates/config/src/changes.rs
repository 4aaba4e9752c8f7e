//! What two configurations differ in, key by key.

use crate::error::Place;
use crate::load::{Loaded, Setting};
use crate::schema::Config;
use std::collections::BTreeSet;
use std::fmt;

/// A key whose value differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Path of the key, as `--set` takes it.
    pub key: String,
    /// As it was given before; `None`: it was a default.
    pub before: Option<Setting>,
    /// As it is given now; `None`: it is a default.
    pub after: Option<Setting>,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |setting: &Setting| match &setting.place {
            Place::Flag { .. } => "a flag".to_owned(),
            place => place.to_string(),
        };
        match (&self.after, &self.before) {
            (Some(after), _) => write!(f, "{} = {} ({})", self.key, after.value, place(after)),
            (None, Some(before)) => write!(f, "{}: the default again (it stood at {})", self.key, place(before)),
            (None, None) => f.write_str(&self.key),
        }
    }
}

/// Every key whose value differs, by name. A value that is only written in another way (`1s`, `1000ms`) does not differ, as
/// long as nothing else of its section does.
#[must_use]
pub fn changes(before: &Loaded, after: &Loaded) -> Vec<Changed> {
    let keys: BTreeSet<&str> =
        before.settings.iter().chain(&after.settings).map(|setting| setting.key.as_str()).collect();
    let given = |loaded: &Loaded, key: &str| loaded.settings.iter().find(|setting| setting.key == key).cloned();
    let changed = |key: &str| Changed { key: key.to_owned(), before: given(before, key), after: given(after, key) };
    let is_other = |changed: &Changed| {
        let value = |setting: &Option<Setting>| setting.as_ref().map(|setting| setting.value.clone());
        let section = changed.key.split('.').next().unwrap_or_default();
        value(&changed.before) != value(&changed.after) && !is_same(section, &before.config, &after.config)
    };
    let found: Vec<Changed> = keys.into_iter().map(changed).filter(is_other).collect();
    if !found.is_empty() {
        return found;
    }
    // Defaults that follow from elsewhere. Nothing that differs goes without a name.
    let sections = SECTIONS.iter().filter(|name| !is_same(name, &before.config, &after.config));
    sections.map(|name| Changed { key: (*name).to_owned(), before: None, after: None }).collect()
}

/// Every section, and the keys outside of one.
const SECTIONS: [&str; 24] = [
    "profile",
    "data",
    "source",
    "tape",
    "ring",
    "batching",
    "journal",
    "batch",
    "retry",
    "quarantine",
    "sink",
    "parquet",
    "postgres",
    "analysis",
    "paper",
    "strategy",
    "validation",
    "decode",
    "dead_letters",
    "log",
    "health",
    "alerts",
    "admin",
    "stop",
];

/// Whether a section has the same values. One that is not known here counts as changed.
fn is_same(section: &str, a: &Config, b: &Config) -> bool {
    match section {
        "profile" => a.profile == b.profile,
        "data" => a.data == b.data,
        "source" => a.sources == b.sources,
        "tape" => a.tape == b.tape,
        "ring" => a.ring == b.ring,
        "batching" => a.batching == b.batching,
        "journal" => a.journal == b.journal,
        "batch" => a.batch == b.batch,
        "retry" => a.retry == b.retry,
        "quarantine" => a.quarantine == b.quarantine,
        "sink" => a.sinks == b.sinks,
        "parquet" => a.parquet == b.parquet,
        "postgres" => a.postgres == b.postgres,
        "analysis" => a.analysis == b.analysis,
        "paper" => a.paper == b.paper,
        "strategy" => a.strategies == b.strategies,
        "validation" => a.validation == b.validation,
        "decode" => a.decode == b.decode,
        "dead_letters" => a.dead_letters == b.dead_letters,
        "log" => a.log == b.log,
        "health" => a.health == b.health,
        "alerts" => a.alerts == b.alerts,
        "admin" => a.admin == b.admin,
        "stop" => a.stop == b.stop,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Machine, Overrides, load};

    fn loaded(text: &str, sets: &[&str]) -> Loaded {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let flags = Overrides { sets: sets.iter().map(|&set| set.to_owned()).collect(), ..Overrides::default() };
        let machine = Machine { cores: &[0, 1], venues: &["binance"] };
        let mut loaded = load(Some(file.path()), std::iter::empty(), &flags, &machine).unwrap();
        for setting in &mut loaded.settings {
            if let Place::Line { path, .. } = &mut setting.place {
                *path = "feedd.toml".into();
            }
        }
        loaded
    }

    fn told(before: (&str, &[&str]), after: (&str, &[&str])) -> Vec<String> {
        let (before, after) = (loaded(before.0, before.1), loaded(after.0, after.1));
        changes(&before, &after).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_section_of_the_configuration_is_compared() {
        let config = Config::default();
        assert!(SECTIONS.iter().all(|section| is_same(section, &config, &config)));
        assert!(!is_same("no such section", &config, &config));
        // Every field of the configuration, by its own words.
        let fields = format!("{config:#?}")
            .lines()
            .filter(|line| line.starts_with("    ") && !line.starts_with("     "))
            .filter(|line| line.contains(':'))
            .count();
        assert_eq!(fields, SECTIONS.len());
    }

    #[test]
    fn what_differs_is_named_with_its_place() {
        let file = "[health]\ninterval = \"30s\"\n[[source]]\nkind = \"sim\"\nsymbols = [\"AAA\", \"BBB\"]\n";
        let other = "\n[[source]]\nkind = \"sim\"\nsymbols = [\"AAA\", \"CCC\"]\n[ring]\ncapacity = 1000\n";
        /// A file and flags.
        type Given<'a> = (&'a str, &'a [&'a str]);
        let cases: [(&str, Given<'_>, Given<'_>, &[&str]); 6] = [
            ("nothing", (file, &[]), (file, &[]), &[]),
            ("another way to write it", (file, &[]), (&file.replace("30s", "30000ms"), &[]), &[]),
            (
                "items of a list, and a key that comes",
                (file, &[]),
                (other, &[]),
                &["ring.capacity = 1000 (feedd.toml:6:12)", "source.0.symbols = [\"AAA\", \"CCC\"] (feedd.toml:4:11)"],
            ),
            (
                "a key that goes",
                (&file.replace("30s", "5s"), &[]),
                ("[[source]]\nkind = \"sim\"\nsymbols = [\"AAA\", \"BBB\"]\n", &[]),
                &["health.interval: the default again (it stood at feedd.toml:2:12)"],
            ),
            (
                "a flag stays in front",
                (file, &["health.interval=7s"]),
                (&file.replace("30s", "9s"), &["health.interval=7s"]),
                &[],
            ),
            ("a flag", (file, &[]), (file, &["log.level=debug"]), &["log.level = debug (a flag)"]),
        ];
        for (name, before, after, expected) in cases {
            assert_eq!(told(before, after), expected, "{name}");
        }
    }

    #[test]
    fn nothing_that_differs_goes_without_a_name() {
        let (mut before, after) = (loaded("", &[]), loaded("", &[]));
        before.config.parquet.compression_level = 9;
        assert_eq!(
            changes(&before, &after).iter().map(|changed| changed.key.as_str()).collect::<Vec<_>>(),
            ["parquet"]
        );
    }
}
