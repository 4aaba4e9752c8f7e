//! The datasets: their names and columns. How the columns are encoded: `rows.rs`, of derived records `derived.rs`.

use feedd_model::EventKind;
use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::Result;
use parquet::schema::types::{Type, TypePtr};
use std::sync::Arc;

/// Version of the columns below, in each file's metadata as `feedd.schema_version`.
pub const SCHEMA_VERSION: u32 = 1;

/// Digits of every price and size column: the largest type that all readers share.
pub const DECIMAL_PRECISION: u8 = 38;
/// Decimals of every price and size column: venues print 0 to 18, and one type serves all of them.
pub const DECIMAL_SCALE: i8 = 18;

/// One folder of files with the same columns; each kind of event has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dataset {
    /// Executions.
    Trades,
    /// Best bid and ask.
    Quotes,
    /// Headers of depth messages.
    Books,
    /// Price levels of depth messages.
    Levels,
    /// What is missing.
    Gaps,
    /// Changes of state.
    Status,
    /// Bars, each revision a row of its own.
    Bars,
    /// What strategies asked for.
    Signals,
    /// What became of it.
    Fills,
    /// Paper books over time.
    Equity,
}

impl Dataset {
    /// Every dataset, in the order of [`EventKind::ALL`].
    pub const ALL: [Self; 10] = [
        Self::Trades,
        Self::Quotes,
        Self::Books,
        Self::Levels,
        Self::Gaps,
        Self::Status,
        Self::Bars,
        Self::Signals,
        Self::Fills,
        Self::Equity,
    ];

    /// Where rows that begin with an event of this kind are stored; `None` for the later slots of a derived record, which are
    /// in the row of its first.
    #[must_use]
    pub const fn of(kind: EventKind) -> Option<Self> {
        Some(match kind {
            EventKind::Trade => Self::Trades,
            EventKind::Quote => Self::Quotes,
            EventKind::Book => Self::Books,
            EventKind::Level => Self::Levels,
            EventKind::Gap => Self::Gaps,
            EventKind::Status => Self::Status,
            EventKind::Bar => Self::Bars,
            EventKind::Signal => Self::Signals,
            EventKind::Fill => Self::Fills,
            EventKind::Equity => Self::Equity,
            EventKind::More => return None,
        })
    }

    /// Whether its rows are derived records.
    #[must_use]
    pub const fn is_derived(self) -> bool {
        matches!(self, Self::Bars | Self::Signals | Self::Fills | Self::Equity)
    }

    /// Sequences that each of its rows stands for: `seq` and those right behind it.
    #[must_use]
    pub fn slots(self) -> u64 {
        let kinds = EventKind::ALL.into_iter().find(|kind| Self::of(*kind) == Some(self));
        kinds.map_or(1, EventKind::slots) as u64
    }

    /// The folder's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trades => "trades",
            Self::Quotes => "quotes",
            Self::Books => "books",
            Self::Levels => "levels",
            Self::Gaps => "gaps",
            Self::Status => "status",
            Self::Bars => "bars",
            Self::Signals => "signals",
            Self::Fills => "fills",
            Self::Equity => "equity",
        }
    }

    /// Columns after the common ones, and whether rows may lack their value.
    fn own_columns(self) -> &'static [(&'static str, Kind, bool)] {
        match self {
            Self::Trades => &[
                ("price", Kind::Decimal, false),
                ("size", Kind::Decimal, false),
                ("side", Kind::Text, true),
                ("trade_id", Kind::U64, true),
                ("trade_id_text", Kind::Text, true),
            ],
            Self::Quotes => &[
                ("bid", Kind::Decimal, true),
                ("bid_size", Kind::Decimal, true),
                ("ask", Kind::Decimal, true),
                ("ask_size", Kind::Decimal, true),
                ("venue_seq", Kind::I64, true),
            ],
            Self::Books => &[
                ("action", Kind::Text, false),
                ("seq_first", Kind::I64, true),
                ("seq_last", Kind::I64, true),
                ("seq_prev", Kind::I64, true),
                ("checksum", Kind::U32, true),
                ("bids", Kind::U32, false),
                ("asks", Kind::U32, false),
            ],
            Self::Levels => &[
                ("action", Kind::Text, false),
                ("side", Kind::Text, false),
                ("price", Kind::Decimal, false),
                ("size", Kind::Decimal, false),
                ("venue_seq", Kind::I64, true),
                ("level", Kind::U32, false),
            ],
            Self::Gaps => &[
                ("reason", Kind::Text, false),
                ("first_missing", Kind::I64, true),
                ("last_missing", Kind::I64, true),
                ("from_ts", Kind::Time, true),
                ("to_ts", Kind::Time, true),
                ("events", Kind::U64, true),
            ],
            Self::Status => &[("code", Kind::Text, false), ("detail", Kind::U64, false)],
            Self::Bars => &[
                ("interval", Kind::Text, false),
                ("start_ts", Kind::Time, false),
                ("end_ts", Kind::Time, false),
                ("closed_ts", Kind::Time, false),
                ("open", Kind::Decimal, false),
                ("high", Kind::Decimal, false),
                ("low", Kind::Decimal, false),
                ("close", Kind::Decimal, false),
                ("volume", Kind::Decimal, false),
                ("buy_volume", Kind::Decimal, false),
                ("notional", Kind::Decimal, false),
                ("vwap", Kind::Decimal, true),
                ("trades", Kind::U32, false),
                ("flags", Kind::U8, false),
                ("state", Kind::Text, false),
                ("revision", Kind::U32, false),
                ("quality_bp", Kind::U32, false),
                ("number", Kind::U64, false),
            ],
            Self::Signals => &[
                ("strategy", Kind::Text, false),
                ("at_ts", Kind::Time, false),
                ("action", Kind::Text, false),
                ("size", Kind::Decimal, true),
                ("price", Kind::Decimal, false),
                ("value", Kind::Float, true),
                ("number", Kind::U64, false),
            ],
            Self::Fills => &[
                ("strategy", Kind::Text, false),
                ("signal", Kind::U64, false),
                ("at_ts", Kind::Time, false),
                ("ordered_ts", Kind::Time, false),
                ("side", Kind::Text, false),
                ("outcome", Kind::Text, false),
                ("price", Kind::Decimal, false),
                ("size", Kind::Decimal, false),
                ("position", Kind::Decimal, false),
                ("fee", Kind::Decimal, false),
                ("realised", Kind::Decimal, false),
                ("cash", Kind::Decimal, false),
                ("cost", Kind::Decimal, false),
                ("average_cost", Kind::Decimal, true),
                ("number", Kind::U64, false),
            ],
            Self::Equity => &[
                ("strategy", Kind::Text, false),
                ("at_ts", Kind::Time, false),
                ("price", Kind::Decimal, false),
                ("position", Kind::Decimal, false),
                ("cash", Kind::Decimal, false),
                ("equity", Kind::Decimal, false),
                ("realised", Kind::Decimal, false),
                ("unrealised", Kind::Decimal, false),
                ("number", Kind::U64, false),
            ],
        }
    }

    /// The columns as files have them.
    ///
    /// # Errors
    /// Never for these columns; the library checks.
    pub(crate) fn schema(self) -> Result<TypePtr> {
        let common: &[_] = if self.is_derived() { &DERIVED_COLUMNS } else { &COMMON_COLUMNS };
        let fields = common.iter().chain(self.own_columns());
        let fields = fields.map(|&(name, kind, nullable)| Ok(Arc::new(kind.column(name, nullable)?)));
        // The name that files of this sink have had from the beginning.
        let group = Type::group_type_builder("arrow_schema").with_fields(fields.collect::<Result<_>>()?);
        Ok(Arc::new(group.build()?))
    }
}

/// The first columns of every dataset of events.
const COMMON_COLUMNS: [(&str, Kind, bool); 6] = [
    ("epoch", Kind::U32, false),
    ("seq", Kind::I64, false),
    ("venue_ts", Kind::Time, true),
    ("recv_ts", Kind::Time, true),
    ("symbol", Kind::Text, true),
    ("flags", Kind::U8, false),
];

/// The first columns of every dataset of derived records. The sequence is that of the first slot.
const DERIVED_COLUMNS: [(&str, Kind, bool); 3] =
    [("epoch", Kind::U32, false), ("seq", Kind::I64, false), ("symbol", Kind::Text, true)];

/// What readers see.
#[derive(Clone, Copy)]
enum Kind {
    U8,
    U32,
    U64,
    I64,
    /// Nanoseconds since 1970 UTC.
    Time,
    /// A price, a size or an amount of money.
    Decimal,
    /// A statistic; never a price, a size or an amount.
    Float,
    Text,
}

impl Kind {
    fn column(self, name: &str, nullable: bool) -> Result<Type> {
        let (precision, scale) = (i32::from(DECIMAL_PRECISION), i32::from(DECIMAL_SCALE));
        let (physical, logical) = match self {
            Self::U8 => (Physical::INT32, Some(LogicalType::integer(8, false))),
            Self::U32 => (Physical::INT32, Some(LogicalType::integer(32, false))),
            Self::U64 => (Physical::INT64, Some(LogicalType::integer(64, false))),
            Self::I64 => (Physical::INT64, None),
            Self::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::NANOS))),
            Self::Decimal => (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::decimal(scale, precision))),
            Self::Float => (Physical::DOUBLE, None),
            Self::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let column = Type::primitive_type_builder(name, physical)
            .with_logical_type(logical)
            .with_repetition(if nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED });
        match self {
            Self::Decimal => column.with_length(DECIMAL_BYTES).with_precision(precision).with_scale(scale).build(),
            _ => column.build(),
        }
    }
}

/// Bytes of a price or size: an `i128`.
const DECIMAL_BYTES: i32 = 16;
