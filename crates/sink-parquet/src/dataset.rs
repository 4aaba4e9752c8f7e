//! The six datasets: their names and columns. How the columns are encoded: `rows.rs`.

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
}

impl Dataset {
    /// Every dataset, in the order of [`EventKind::ALL`].
    pub const ALL: [Self; 6] = [Self::Trades, Self::Quotes, Self::Books, Self::Levels, Self::Gaps, Self::Status];

    /// Where events of a kind are stored.
    #[must_use]
    pub const fn of(kind: EventKind) -> Self {
        match kind {
            EventKind::Trade => Self::Trades,
            EventKind::Quote => Self::Quotes,
            EventKind::Book => Self::Books,
            EventKind::Level => Self::Levels,
            EventKind::Gap => Self::Gaps,
            EventKind::Status => Self::Status,
        }
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
        }
    }

    /// The columns as files have them.
    ///
    /// # Errors
    /// Never for these columns; the library checks.
    pub(crate) fn schema(self) -> Result<TypePtr> {
        let fields = COMMON_COLUMNS.iter().chain(self.own_columns());
        let fields = fields.map(|&(name, kind, nullable)| Ok(Arc::new(kind.column(name, nullable)?)));
        // The name that files of this sink have had from the beginning.
        let group = Type::group_type_builder("arrow_schema").with_fields(fields.collect::<Result<_>>()?);
        Ok(Arc::new(group.build()?))
    }
}

/// Columns of every dataset, the first ones.
const COMMON_COLUMNS: [(&str, Kind, bool); 6] = [
    ("epoch", Kind::U32, false),
    ("seq", Kind::I64, false),
    ("venue_ts", Kind::Time, true),
    ("recv_ts", Kind::Time, true),
    ("symbol", Kind::Text, true),
    ("flags", Kind::U8, false),
];

/// What readers see.
#[derive(Clone, Copy)]
enum Kind {
    U8,
    U32,
    U64,
    I64,
    /// Nanoseconds since 1970 UTC.
    Time,
    /// A price or a size.
    Decimal,
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
