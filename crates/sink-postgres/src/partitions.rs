//! Daily partitions: which there are, and making those that are needed before rows are written to them.
//!
//! Rows go straight into their day's partition, because routing by the server costs. What cannot have a partition of its
//! own goes to the parent table, and the server finds the place.

use crate::config::PostgresConfig;
use crate::error::Fault;
use crate::schema::Table;
use deadpool_postgres::ClientWrapper;
use rustc_hash::{FxHashMap, FxHashSet};

/// Nanoseconds of a day.
pub(crate) const DAY_NANOS: i64 = 86_400_000_000_000;

/// Where a row belongs: its table, and the UTC day of its receive time, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) table: Table,
    /// `None`: the receive time is unknown.
    pub(crate) day: Option<i64>,
}

/// What is known of the partitions.
#[derive(Default)]
pub(crate) struct Partitions {
    known: FxHashSet<(Table, i64)>,
    /// Days that could not be made: their rows go to the parent table. Not asked for again until [`Partitions::forget`].
    denied: FxHashSet<(Table, i64)>,
    /// Relations by place, quoted.
    relations: FxHashMap<Place, String>,
    has_warned: bool,
}

/// The lock under which partitions are made ("parts" in ASCII): several recorders share tables.
const LOCK: i64 = 0x0070_6172_7473;

/// Longest wait for readers of a table. They queue behind this; who needs the partition tries again.
const LOCK_TIMEOUT: &str = "2s";

impl Partitions {
    /// Lets go of what was known: after a partition was removed by somebody else, and at each connect.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
        self.denied.clear();
        self.relations.clear();
    }

    /// The relation that takes the rows of a place, after [`Partitions::ensure`].
    pub(crate) fn relation(&mut self, place: Place, config: &PostgresConfig) -> &str {
        let known = self.is_known(place);
        self.relations.entry(place).or_insert_with(|| {
            let table = place.table.name(config.layout);
            match place.day {
                None => config.relation(&format!("{table}_default")),
                Some(day) if known => config.relation(&leaf_name(table, day)),
                Some(_) => config.relation(table),
            }
        })
    }

    /// Whether rows of a place can be written without [`Partitions::ensure`].
    pub(crate) fn is_ensured(&self, place: Place) -> bool {
        place.day.is_none_or(|day| {
            let key = (place.table, day);
            self.known.contains(&key) || self.denied.contains(&key)
        })
    }

    /// Makes the partitions that are missing. Where the role may not, or other partitions are in the way, the rows will
    /// go through the parent table.
    ///
    /// # Errors
    /// [`Fault`] when it can be tried again: locks, connections.
    pub(crate) async fn ensure(
        &mut self,
        client: &ClientWrapper,
        config: &PostgresConfig,
        places: impl Iterator<Item = Place>,
    ) -> Result<(), Fault> {
        let missing = places.filter(|place| !self.is_ensured(*place));
        let mut missing: Vec<_> = missing.filter_map(|place| place.day.map(|day| (place.table, day))).collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable();
        missing.dedup();
        self.load(client, config).await?;
        missing.retain(|key| !self.known.contains(key));
        for (table, day) in missing {
            self.make(client, config, table, day).await?;
        }
        Ok(())
    }

    fn is_known(&self, place: Place) -> bool {
        place.day.is_some_and(|day| self.known.contains(&(place.table, day)))
    }

    /// Reads which partitions there are, by name.
    async fn load(&mut self, client: &ClientWrapper, config: &PostgresConfig) -> Result<(), Fault> {
        for leaf in leaves(client, config).await? {
            if let Some(day) = leaf.day {
                self.known.insert((leaf.table, day));
            }
        }
        self.relations.clear();
        Ok(())
    }

    async fn make(
        &mut self,
        client: &ClientWrapper,
        config: &PostgresConfig,
        table: Table,
        day: i64,
    ) -> Result<(), Fault> {
        self.relations.clear();
        let name = table.name(config.layout);
        let leaf = leaf_name(name, day);
        let (parent, child) = (config.relation(name), config.relation(&leaf));
        let from = day.saturating_mul(DAY_NANOS);
        // The last day of the range of times ends with it.
        let until = from.checked_add(DAY_NANOS).map_or_else(|| "MAXVALUE".to_owned(), |until| until.to_string());
        // Attaching an empty table asks for weaker locks on the parent than CREATE ... PARTITION OF.
        let made = client
            .batch_execute(&format!(
                "BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SELECT pg_advisory_xact_lock({LOCK});
                 CREATE TABLE {child} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE);
                 ALTER TABLE {parent} ATTACH PARTITION {child} FOR VALUES FROM ({from}) TO ({until});
                 COMMIT"
            ))
            .await;
        let Err(error) = made else {
            tracing::debug!(partition = leaf, "partition made");
            self.known.insert((table, day));
            return Ok(());
        };
        let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
        let fault = Fault::from(error);
        if fault.is_session_alive {
            client.batch_execute("ROLLBACK").await?;
        }
        match code.as_str() {
            // Another recorder made it meanwhile, or a table of that name is not a partition.
            "42P07" if self.is_attached(client, config, table, day).await? => {
                self.known.insert((table, day));
                return Ok(());
            }
            // No right to create; rows of that day stand in the default partition; another partition overlaps.
            "42501" | "23514" | "42P17" | "42P07" => {}
            _ => return Err(fault),
        }
        self.denied.insert((table, day));
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(
                partition = leaf,
                reason = %fault,
                "a day's partition cannot be made; its rows go where the server puts them, which costs speed and \
                 keeps the day out of retention"
            );
        }
        Ok(())
    }

    async fn is_attached(
        &self,
        client: &ClientWrapper,
        config: &PostgresConfig,
        table: Table,
        day: i64,
    ) -> Result<bool, Fault> {
        let leaves = leaves(client, config).await?;
        Ok(leaves.iter().any(|leaf| leaf.table == table && leaf.day == Some(day)))
    }
}

/// The places of every table of events of `today` and the configured number of days after it. Derived records are few, and
/// many recorders make none: their days are made when they are needed.
pub(crate) fn places_ahead(config: &PostgresConfig, today: i64) -> Vec<Place> {
    let days = today..=today + i64::from(config.partitions_ahead_days);
    days.flat_map(|day| {
        let tables = Table::all().filter(|table| !table.is_derived());
        tables.map(move |table| Place { table, day: Some(day) })
    })
    .collect()
}

/// Makes the partitions of [`places_ahead`]. Names those that were made, and those that could not be.
pub(crate) async fn make_ahead(
    client: &ClientWrapper,
    config: &PostgresConfig,
    today: i64,
) -> Result<(Vec<String>, Vec<String>), Fault> {
    let mut partitions = Partitions::default();
    partitions.load(client, config).await?;
    let mut missing = places_ahead(config, today);
    missing.retain(|place| !partitions.is_known(*place));
    partitions.ensure(client, config, missing.iter().copied()).await?;
    let (made, denied): (Vec<Place>, _) = missing.into_iter().partition(|place| partitions.is_known(*place));
    let names = |places: Vec<Place>| {
        let name = |place: Place| place.day.map(|day| leaf_name(place.table.name(config.layout), day));
        places.into_iter().filter_map(name).collect()
    };
    Ok((names(made), names(denied)))
}

/// One partition of a table of events.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) table: Table,
    pub(crate) name: String,
    /// The UTC day, when name and bounds are those of a day; `None` for the default partition and for others' own.
    pub(crate) day: Option<i64>,
    /// The server's estimate.
    pub(crate) rows: i64,
    pub(crate) bytes: i64,
}

/// Every partition of the tables.
pub(crate) async fn leaves(client: &ClientWrapper, config: &PostgresConfig) -> Result<Vec<Leaf>, Fault> {
    let query = "SELECT p.relname, c.relname, pg_get_expr(c.relpartbound, c.oid), greatest(c.reltuples, 0)::bigint, \
                 pg_total_relation_size(c.oid) \
                 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent \
                 JOIN pg_namespace n ON n.oid = p.relnamespace JOIN pg_namespace m ON m.oid = c.relnamespace \
                 WHERE n.nspname = $1 AND m.nspname = $1 AND p.relkind = 'p' ORDER BY c.relname";
    let rows = client.query(query, &[&config.schema]).await?;
    let mut leaves = Vec::new();
    for row in rows {
        let (parent, name): (&str, String) = (row.get(0), row.get(1));
        let bounds: Option<&str> = row.get(2);
        let Some(table) = Table::all().find(|table| table.name(config.layout) == parent) else { continue };
        let day = bounds.and_then(day_of_bounds).filter(|&day| leaf_name(parent, day) == name);
        leaves.push(Leaf { table, name, day, rows: row.get(3), bytes: row.get(4) });
    }
    Ok(leaves)
}

/// `trade_20260101`.
pub(crate) fn leaf_name(table: &str, day: i64) -> String {
    const UNIX_EPOCH_JULIAN: i64 = 2_440_588;
    let date = i32::try_from(UNIX_EPOCH_JULIAN + day).ok().and_then(|day| time::Date::from_julian_day(day).ok());
    // Times in ns reach from 1677 to 2262, so every day has a date.
    let date = date.unwrap_or(time::Date::MIN);
    format!("{table}_{:04}{:02}{:02}", date.year(), u8::from(date.month()), date.day())
}

/// The day of `FOR VALUES FROM ('...') TO ('...')`, when it is exactly one.
fn day_of_bounds(bounds: &str) -> Option<i64> {
    let mut quoted = bounds.split('\'').skip(1).step_by(2);
    let from: i64 = quoted.next()?.parse().ok()?;
    let until: i64 = quoted.next()?.parse().ok()?;
    (from % DAY_NANOS == 0 && until.checked_sub(from) == Some(DAY_NANOS)).then(|| from.div_euclid(DAY_NANOS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_by_their_utc_day() {
        assert_eq!(leaf_name("trade", 0), "trade_19700101");
        assert_eq!(leaf_name("level", 19_943), "level_20240808");
        assert_eq!(leaf_name("trade", -1), "trade_19691231");
        assert_eq!(leaf_name("trade", i64::MIN.div_euclid(DAY_NANOS)), "trade_16770921");
    }

    #[test]
    fn only_bounds_of_one_whole_day_are_a_day() {
        let cases = [
            ("FOR VALUES FROM ('1723075200000000000') TO ('1723161600000000000')", Some(19_943)),
            ("FOR VALUES FROM ('-86400000000000') TO ('0')", Some(-1)),
            ("FOR VALUES FROM ('1723075200000000001') TO ('1723161600000000001')", None),
            ("FOR VALUES FROM ('1723075200000000000') TO ('1723248000000000000')", None),
            ("FOR VALUES FROM (MINVALUE) TO ('0')", None),
            ("DEFAULT", None),
        ];
        for (bounds, expected) in cases {
            assert_eq!(day_of_bounds(bounds), expected, "{bounds}");
        }
    }
}
