//! The one way to a configuration: defaults, profile, file, environment, flags, each over the one before.

use crate::error::Fault;
use crate::error::{ConfigErrors, Place, Places, unreadable};
use crate::hide;
use crate::machine::{self, Machine};
use crate::overlay::{self, Overrides};
use crate::read;
use crate::schema::Config;
use crate::sinks;
use crate::tree::{self, Origin, Table};
use std::path::Path;

/// A configuration and where its values were given.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// The settings that were given, by key; everything else is a default.
    pub settings: Vec<Setting>,
}

/// One setting that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Path of the key, as `--set` takes it.
    pub key: String,
    /// The value as given.
    pub value: String,
    /// Where.
    pub place: Place,
}

/// Loads a configuration.
///
/// `env` may hold any variables, see [`crate::environment`]: `FEEDD_SECTION__KEY` sets `section.key`
/// (`FEEDD_BATCH__MAX_EVENTS=250`, `FEEDD_SINK__KIND=null`, `FEEDD_SINK__1__KIND=postgres`,
/// `FEEDD_SOURCE__0__RATE=max`; lists are separated by commas), `FEEDD_SHARED`, `FEEDD_BIN` and `FEEDD_CONFIG` are left
/// alone, every other `FEEDD_` variable is a fault. Looks at the folders, recordings and files of a password or of
/// certificates that the configuration names, and leaves nothing behind. A password in the configuration itself is a
/// fault, and not shown.
///
/// # Errors
/// [`ConfigErrors`] with every fault found; when the file cannot be read or is no TOML, those of the file alone.
pub fn load(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    flags: &Overrides,
    machine: &Machine<'_>,
) -> Result<Loaded, ConfigErrors> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path).map_err(|cause| unreadable(path, &cause))?,
        None => String::new(),
    };
    let mut places = Places { path: file.unwrap_or(Path::new("")), text: &text, hidden: hide::of_unread(&text) };
    let mut tree = parse(&text, &places)?;
    let mut faults = Vec::new();
    overlay::default_source(&mut tree);
    sinks::default_sink(&mut tree);
    overlay::variables(&mut tree, env, &mut faults);
    overlay::flags(&mut tree, flags, &mut faults);
    places.hidden = hide::refuse(&mut tree, &mut faults);
    let (config, mut reader) = read::read(&tree);
    places.hidden.append(&mut reader.hidden);
    machine::examine(&config, machine, &mut reader);
    faults.append(&mut reader.faults);
    places.errors(faults)?;
    let given = reader.given.into_iter().filter(|(_, (_, origin))| *origin != Origin::Default);
    let settings = given.map(|(key, (value, origin))| Setting { key, value, place: places.place(&origin) }).collect();
    Ok(Loaded { config, settings })
}

fn parse(text: &str, places: &Places<'_>) -> Result<Table, ConfigErrors> {
    tree::parse(text).or_else(|errors| {
        let fault = |(message, span)| Fault::new(Origin::File(span), "", format!("not TOML: {message}"));
        places.errors(errors.into_iter().map(fault).collect()).map(|()| Table::new())
    })
}
