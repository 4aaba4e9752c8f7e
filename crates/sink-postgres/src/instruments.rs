//! From local instrument ids to rows of the database's `instrument` table, which several recorders share.
//!
//! An instrument row has scales; the tables hold mantissas at them. A value that does not fit the rows of its symbol gets
//! a further row, so nearly every decimal has a place and nothing is ever rewritten.

use crate::config::PostgresConfig;
use crate::error::Fault;
use deadpool_postgres::ClientWrapper;
use feedd_core::{Instruments, STRATEGY_VENUE};
use feedd_model::{Decimal, Event, InstrumentId, Seq};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Scales of prices and sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scales {
    pub(crate) price: u8,
    pub(crate) size: u8,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) id: i32,
    pub(crate) scales: Scales,
}

/// One local instrument.
struct Local {
    venue: Arc<str>,
    symbol: Arc<str>,
    /// Its rows, oldest first.
    rows: Vec<Row>,
}

/// Why an event has no instrument row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRow {
    /// The recorder's dictionary does not know the id.
    UnknownId,
    /// Venue or symbol hold a byte that PostgreSQL has no place for.
    NulByte,
    /// The recorder's dictionary has no strategy of that id.
    NoStrategy,
    /// An event without instrument carries prices.
    NoInstrument,
    /// Its prices, or its sizes, have no common scale at which all fit 64 bits.
    NoCommonScale,
}

impl NoRow {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::UnknownId => "instrument is not in the dictionary",
            Self::NoStrategy => "strategy is not in the dictionary",
            Self::NulByte => "venue or symbol holds a NUL byte",
            Self::NoInstrument => "an event without instrument carries prices",
            Self::NoCommonScale => "its prices or sizes have no common scale at which all fit 64 bits",
        }
    }
}

/// What is known of the table, and of the recorder's dictionary.
pub(crate) struct InstrumentMap {
    dictionary: Instruments,
    /// By local id less 1; `None` for one with a NUL byte.
    locals: Vec<Option<Local>>,
    /// Rows by venue and symbol, as the database has them.
    stored: FxHashMap<(Arc<str>, Arc<str>), Vec<Row>>,
}

impl InstrumentMap {
    pub(crate) fn new(dictionary: Instruments) -> Self {
        Self { dictionary, locals: Vec::new(), stored: FxHashMap::default() }
    }

    /// Whether an event of this instrument can be stored by its names.
    ///
    /// # Errors
    /// [`NoRow`] when it cannot.
    pub(crate) fn names(&mut self, id: InstrumentId) -> Result<(), NoRow> {
        if id == InstrumentId::NONE {
            return Ok(());
        }
        self.learn(id)?;
        self.known_names(id).map(|_| ()).ok_or(NoRow::NulByte)
    }

    /// Makes sure that a derived record can be stored by the name of its strategy.
    ///
    /// # Errors
    /// [`NoRow`] when it cannot.
    pub(crate) fn strategy(&mut self, id: InstrumentId) -> Result<(), NoRow> {
        self.learn(id).map_err(|_| NoRow::NoStrategy)?;
        let name = self.known_names(id).filter(|(venue, _)| *venue == STRATEGY_VENUE);
        name.map(|_| ()).ok_or(NoRow::NoStrategy)
    }

    /// Venue and symbol of a local instrument that was looked at; `None` for no instrument.
    pub(crate) fn known_names(&self, id: InstrumentId) -> Option<(&str, &str)> {
        let local = self.locals.get((id.0 as usize).checked_sub(1)?)?.as_ref()?;
        Some((&local.venue, &local.symbol))
    }

    /// Makes sure that an event has a row, or concerns no instrument: [`InstrumentMap::row`] finds it then.
    ///
    /// # Errors
    /// `Some` of [`NoRow`] when there cannot be one, `None` when one has to be made.
    #[inline]
    pub(crate) fn find_row(&mut self, event: &Event) -> Result<(), Option<NoRow>> {
        match self.row(event) {
            Some(_) => Ok(()),
            None => self.look_closer(event),
        }
    }

    /// The row of an event: `Some(None)` when it concerns no instrument, `None` when it has none yet.
    #[inline]
    pub(crate) fn row(&self, event: &Event) -> Option<Option<Row>> {
        let id = event.instrument();
        if id == InstrumentId::NONE {
            return Values::of(event).is_empty().then_some(None);
        }
        let local = self.locals.get((id.0 as usize).checked_sub(1)?)?.as_ref()?;
        if let Some(oldest) = local.rows.first()
            && event.is_at_scales(oldest.scales.price, oldest.scales.size)
        {
            // Nearly every event: nothing has to be unpacked.
            return Some(Some(*oldest));
        }
        let values = Values::of(event);
        let row = local.rows.iter().find(|row| values.fit(row.scales))?;
        Some(Some(*row))
    }

    #[cold]
    fn look_closer(&mut self, event: &Event) -> Result<(), Option<NoRow>> {
        let id = event.instrument();
        if id == InstrumentId::NONE {
            return Err(Some(NoRow::NoInstrument));
        }
        self.learn(id).map_err(Some)?;
        if self.known_names(id).is_none() {
            return Err(Some(NoRow::NulByte));
        }
        if self.row(event).is_some() {
            return Ok(());
        }
        Err(Values::of(event).own_scales().is_none().then_some(NoRow::NoCommonScale))
    }

    /// Looks into the dictionary when it grew.
    fn learn(&mut self, id: InstrumentId) -> Result<(), NoRow> {
        while self.locals.len() < id.0 as usize {
            let next = u32::try_from(self.locals.len() + 1).map_err(|_| NoRow::UnknownId)?;
            let entry = self.dictionary.get(InstrumentId(next)).ok_or(NoRow::UnknownId)?;
            let has_nul = entry.venue.contains('\0') || entry.symbol.contains('\0');
            let (venue, symbol) = (entry.venue, entry.symbol);
            let rows = self.stored.get(&(venue.clone(), symbol.clone())).cloned().unwrap_or_default();
            self.locals.push((!has_nul).then_some(Local { venue, symbol, rows }));
        }
        Ok(())
    }

    /// Makes rows for the events that have none, few of them: first one a symbol at the widest scales seen, then one for
    /// each event that does not fit that.
    ///
    /// # Errors
    /// [`Fault`] of the server.
    pub(crate) async fn make_rows<'a, I: Iterator<Item = (Seq, &'a Event)>>(
        &mut self,
        client: &ClientWrapper,
        config: &PostgresConfig,
        events: &impl Fn() -> I,
    ) -> Result<(), Fault> {
        for is_shared in [true, false] {
            let mut wanted: BTreeSet<(u32, Scales)> = BTreeSet::new();
            let mut widest: FxHashMap<u32, Scales> = FxHashMap::default();
            for (_, event) in events() {
                if self.row(event).is_some() {
                    continue;
                }
                let Some(own) = Values::of(event).own_scales() else { continue };
                let Some(Some(local)) =
                    (event.instrument().0 as usize).checked_sub(1).and_then(|at| self.locals.get(at))
                else {
                    continue;
                };
                if is_shared {
                    let known = local.rows.iter().map(|row| row.scales).fold(own, Scales::widest);
                    let scales = widest.entry(event.instrument().0).or_default();
                    *scales = scales.widest(known);
                } else {
                    wanted.insert((event.instrument().0, own));
                }
            }
            wanted.extend(widest);
            if wanted.is_empty() {
                return Ok(());
            }
            self.insert(client, config, &wanted).await?;
            self.load(client, config).await?;
        }
        Ok(())
    }

    async fn insert(
        &self,
        client: &ClientWrapper,
        config: &PostgresConfig,
        wanted: &BTreeSet<(u32, Scales)>,
    ) -> Result<(), Fault> {
        let (mut venues, mut symbols, mut prices, mut sizes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (id, scales) in wanted {
            let Some(Some(local)) = self.locals.get(*id as usize - 1) else { continue };
            venues.push(&*local.venue);
            symbols.push(&*local.symbol);
            prices.push(i16::from(scales.price));
            sizes.push(i16::from(scales.size));
        }
        // From text: `10 ^ -scale` is rounded to 16 digits.
        let query = format!(
            "INSERT INTO {} (venue, symbol, price_scale, size_scale, price_unit, size_unit) \
             SELECT venue, symbol, price, size, ('1e-' || price)::numeric, ('1e-' || size)::numeric \
             FROM unnest($1::text[], $2::text[], $3::int2[], $4::int2[]) AS wanted (venue, symbol, price, size) \
             ON CONFLICT DO NOTHING",
            config.relation("instrument")
        );
        client.execute(&query, &[&venues, &symbols, &prices, &sizes]).await?;
        Ok(())
    }

    /// Reads the table: at connect, and after rows were made.
    ///
    /// # Errors
    /// [`Fault`] of the server.
    pub(crate) async fn load(&mut self, client: &ClientWrapper, config: &PostgresConfig) -> Result<(), Fault> {
        let table = config.relation("instrument");
        let query = format!("SELECT id, venue, symbol, price_scale, size_scale FROM {table} ORDER BY id");
        self.stored.clear();
        for row in client.query(&query, &[]).await? {
            let scale = |at| u8::try_from(row.get::<_, i16>(at)).unwrap_or(u8::MAX);
            let scales = Scales { price: scale(3), size: scale(4) };
            let key = (Arc::from(row.get::<_, &str>(1)), Arc::from(row.get::<_, &str>(2)));
            self.stored.entry(key).or_default().push(Row { id: row.get(0), scales });
        }
        for local in self.locals.iter_mut().flatten() {
            local.rows = self.stored.get(&(local.venue.clone(), local.symbol.clone())).cloned().unwrap_or_default();
        }
        Ok(())
    }
}

impl Scales {
    fn widest(self, other: Self) -> Self {
        Self { price: self.price.max(other.price), size: self.size.max(other.size) }
    }
}

/// The decimals of one event: prices at even places, sizes at odd ones.
struct Values([Option<Decimal>; 4]);

impl Values {
    #[inline]
    fn of(event: &Event) -> Self {
        Self(event.decimals())
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    #[inline]
    fn fit(&self, scales: Scales) -> bool {
        self.0.iter().zip([scales.price, scales.size, scales.price, scales.size]).all(|(value, scale)| {
            value.is_none_or(|value| value.scale() == scale || mantissa_at(value, scale).is_some())
        })
    }

    /// The smallest scales that hold the values; `None` when two of them have none in common.
    fn own_scales(&self) -> Option<Scales> {
        let widest = |first: usize| {
            let values = self.0.iter().skip(first).step_by(2).flatten();
            values.map(|value| value.canonical().scale()).max().unwrap_or(0)
        };
        let scales = Scales { price: widest(0), size: widest(1) };
        self.fit(scales).then_some(scales)
    }
}

/// Powers of ten that fit an `i64`.
const POW10: [i64; 19] = {
    let mut table = [1i64; 19];
    let mut at = 1;
    while at < 19 {
        table[at] = table[at - 1] * 10;
        at += 1;
    }
    table
};

/// The mantissa at `scale` decimals, exact, in 64 bits.
#[inline]
pub(crate) fn mantissa_at(value: Decimal, scale: u8) -> Option<i64> {
    let (mantissa, own) = (value.mantissa(), value.scale());
    if own == scale || mantissa == 0 {
        return Some(mantissa);
    }
    let factor = *POW10.get(usize::from(own.abs_diff(scale)))?;
    if own < scale {
        return mantissa.checked_mul(factor);
    }
    (mantissa % factor == 0).then(|| mantissa / factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn mantissas_agree_with_the_exact_decimal(mantissa in -i64::MAX..=i64::MAX, zeros in 0u32..19, own in 0u8..=30, scale in 0u8..=30) {
            let value = Decimal::new(mantissa / 10i64.pow(zeros) * 10i64.pow(zeros / 2), own).unwrap();
            let expected = value.mantissa_at(scale).and_then(|m| i64::try_from(m).ok());
            prop_assert_eq!(mantissa_at(value, scale), expected);
        }
    }
}
