//! The cases: which sink, how many symbols and sources, with or without TLS; and the configuration of the recorder for each.

use super::generator::Address;
use crate::rounds::{Case, Side};
use crate::size::symbol_names;
use std::fmt::Write as _;
use std::path::Path;

/// Symbols of each source where they are not what varies.
const SYMBOLS: usize = 10;

/// Where the events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// Nowhere, without a journal.
    Null,
    /// Into the journal alone.
    Journal,
    Parquet,
    Postgres,
}

impl Store {
    const fn key(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Journal => "journal",
            Self::Parquet => "parquet",
            Self::Postgres => "postgres",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Null => "null, no journal",
            Self::Journal => "null behind the journal",
            Self::Parquet => "Parquet",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// Whether a time at which an event is stored says something: Parquet files are stored when they are finished.
    pub(super) const fn stores_soon(self) -> bool {
        matches!(self, Self::Journal | Self::Postgres)
    }
}

/// A case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) store: Store,
    pub(super) sources: usize,
    /// Of each source.
    pub(super) symbols: usize,
    pub(super) tls: bool,
    /// Whether it is measured with `--quick`.
    pub(super) is_quick: bool,
}

const fn with(store: Store, sources: usize, symbols: usize, tls: bool, is_quick: bool) -> Contender {
    Contender { store, sources, symbols, tls, is_quick }
}

/// In the order of the tables.
pub(super) const CONTENDERS: [Contender; 10] = [
    with(Store::Null, 1, SYMBOLS, false, true),
    with(Store::Journal, 1, SYMBOLS, false, false),
    with(Store::Parquet, 1, SYMBOLS, false, true),
    with(Store::Postgres, 1, SYMBOLS, false, true),
    with(Store::Parquet, 1, SYMBOLS, true, true),
    with(Store::Parquet, 1, 100, false, false),
    with(Store::Parquet, 1, 1_000, false, true),
    with(Store::Parquet, 2, SYMBOLS, false, false),
    with(Store::Parquet, 4, SYMBOLS, false, false),
    with(Store::Parquet, 8, SYMBOLS, false, false),
];

impl Contender {
    pub(super) fn case(&self) -> Case {
        let Self { store, sources, symbols, tls, .. } = *self;
        let scheme = if tls { "wss" } else { "ws" };
        let s = if sources == 1 { "" } else { "s" };
        Case {
            key: format!("{}_{scheme}_sources_{sources}_symbols_{symbols}", store.key()),
            name: format!("{}, {sources} source{s} of {symbols} symbols, {scheme}", store.name()),
            side: Side::Ours,
        }
    }

    /// The symbols of each source: no two record the same.
    pub(super) fn symbols(&self) -> Vec<Vec<String>> {
        let names = symbol_names(self.sources * self.symbols);
        names.chunks(self.symbols).map(<[String]>::to_vec).collect()
    }

    /// What an operator would write, with the venue's limits out of the way: here they would only make the start longer.
    pub(super) fn config(&self, dir: &Path, addresses: &[Address], postgres: &str) -> String {
        let mut text = format!("[data]\ndir = {:?}\n", dir.display().to_string());
        for (index, (symbols, address)) in self.symbols().iter().zip(addresses).enumerate() {
            let Address { ws, rest, ca } = address;
            let ca = ca.as_ref().map_or_else(String::new, |path| format!("ca_file = {path:?}\n"));
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "[[source]]\nkind = \"venue\"\nvenue = \"binance\"\nname = \"source-{index}\"\nsymbols = {symbols:?}\n\
                 url = {ws:?}\nrest_url = {rest:?}\n{ca}depth_levels = 100\n\
                 [source.limits]\nmessages = \"1000/1s\"\nmessages_burst = 500\nrest_weight = \"1000000/1s\"\n\
                 rest_weight_burst = 500000\n"
            );
        }
        let journal = if self.store == Store::Journal { "[journal]\nmode = \"on\"\n" } else { "" };
        let (sink, more) = match self.store {
            Store::Null | Store::Journal => ("null", journal),
            Store::Parquet => ("parquet", ""),
            Store::Postgres => ("postgres", postgres),
        };
        let _ = write!(text, "[[sink]]\nkind = \"{sink}\"\n{more}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_config::{Machine, Overrides, SinkKind, SourceKind, load};

    #[test]
    fn every_case_has_a_key_of_its_own_and_symbols_that_are_recorded_once() {
        let mut keys: Vec<String> = CONTENDERS.iter().map(|contender| contender.case().key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), CONTENDERS.len());
        for contender in CONTENDERS {
            let symbols = contender.symbols();
            assert_eq!(symbols.len(), contender.sources);
            let mut all: Vec<&String> = symbols.iter().flatten().collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), contender.sources * contender.symbols);
        }
    }

    #[test]
    fn the_recorder_understands_its_configuration() {
        let address = Address {
            ws: "wss://127.0.0.1:1".to_owned(),
            rest: "https://127.0.0.1:1".to_owned(),
            ca: Some("/dev/null".to_owned()),
        };
        for contender in CONTENDERS {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("feedd.toml");
            let postgres = "[postgres]\nhost = \"/tmp\"\ndatabase = \"d\"\nuser = \"u\"\nschema = \"s\"\n";
            let addresses = vec![address.clone(); contender.sources];
            std::fs::write(&file, contender.config(dir.path(), &addresses, postgres)).unwrap();
            let venues: Vec<&str> = feedd_venues::table::names().collect();
            let machine = Machine { cores: &[0, 1], venues: &venues };
            let config = load(Some(&file), std::iter::empty(), &Overrides::default(), &machine).unwrap().config;
            assert_eq!(config.sources.len(), contender.sources);
            let is_venue = |kind: &SourceKind| matches!(kind, SourceKind::Venue(venue) if venue.symbols.len() == contender.symbols);
            assert!(config.sources.iter().all(|source| is_venue(&source.kind)));
            assert_eq!(config.is_journalled(), contender.store != Store::Null, "{contender:?}");
            assert_eq!(config.has_sink(SinkKind::Parquet), contender.store == Store::Parquet);
        }
    }
}
