//! The six datasets: their names, columns and encodings.

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use feedd_model::EventKind;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
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

    /// Columns after the common ones.
    fn own_columns(self) -> Vec<Column> {
        use Column as C;
        match self {
            Self::Trades => vec![
                C::price("price", false),
                C::price("size", false),
                C::label("side", true),
                C::rising("trade_id", DataType::UInt64),
                C::text("trade_id_text"),
            ],
            Self::Quotes => vec![
                C::price("bid", true),
                C::price("bid_size", true),
                C::price("ask", true),
                C::price("ask_size", true),
                C::rising("venue_seq", DataType::Int64),
            ],
            Self::Books => vec![
                C::label("action", false),
                C::rising("seq_first", DataType::Int64),
                C::rising("seq_last", DataType::Int64),
                C::rising("seq_prev", DataType::Int64),
                C::plain("checksum", DataType::UInt32, true),
                C::plain("bids", DataType::UInt32, false),
                C::plain("asks", DataType::UInt32, false),
            ],
            Self::Levels => vec![
                C::label("action", false),
                C::label("side", false),
                C::price("price", false),
                C::price("size", false),
                C::rising("venue_seq", DataType::Int64),
                C::plain("level", DataType::UInt32, false),
            ],
            Self::Gaps => vec![
                C::label("reason", false),
                C::rising("first_missing", DataType::Int64),
                C::rising("last_missing", DataType::Int64),
                C::rising("from_ts", timestamp()),
                C::rising("to_ts", timestamp()),
                C::plain("events", DataType::UInt64, true),
            ],
            Self::Status => vec![C::label("code", false), C::plain("detail", DataType::UInt64, false)],
        }
    }

    fn columns(self) -> Vec<Column> {
        let mut columns = vec![
            Column::plain("epoch", DataType::UInt32, false),
            Column { nullable: false, ..Column::rising("seq", DataType::Int64) },
            Column::rising("venue_ts", timestamp()),
            Column::rising("recv_ts", timestamp()),
            Column {
                kind: DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
                ..Column::text("symbol")
            },
            Column::plain("flags", DataType::UInt8, false),
        ];
        columns.extend(self.own_columns());
        columns
    }

    /// The columns as the writer is given them; files carry plain Parquet types only.
    #[must_use]
    pub fn schema(self) -> SchemaRef {
        let fields = self.columns().into_iter().map(|c| Field::new(c.name, c.kind, c.nullable));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// How the columns are encoded.
    ///
    /// # Errors
    /// When zstd does not know the level.
    pub fn properties(self, level: i32, row_group_rows: usize) -> Result<WriterProperties, ParquetError> {
        let mut builder = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(level)?))
            .set_created_by(concat!("feedd ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
            .set_max_row_group_row_count(Some(row_group_rows));
        for column in self.columns() {
            if column.rising {
                let path = ColumnPath::from(column.name);
                builder = builder
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
        }
        Ok(builder.build())
    }
}

/// Largest dictionary page: 256 KiB measured 7 % more bytes, more than 1 MiB no fewer.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;

struct Column {
    name: &'static str,
    kind: DataType,
    nullable: bool,
    /// Numbers that mostly rise by little: stored as differences, without a dictionary.
    rising: bool,
}

impl Column {
    fn plain(name: &'static str, kind: DataType, nullable: bool) -> Self {
        Self { name, kind, nullable, rising: false }
    }

    fn rising(name: &'static str, kind: DataType) -> Self {
        Self { name, kind, nullable: true, rising: true }
    }

    /// A price or a size. A dictionary pays: few distinct values recur.
    fn price(name: &'static str, nullable: bool) -> Self {
        Self::plain(name, DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE), nullable)
    }

    fn text(name: &'static str) -> Self {
        Self::plain(name, DataType::Utf8, true)
    }

    /// One of a few fixed words.
    fn label(name: &'static str, nullable: bool) -> Self {
        Self::plain(name, DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), nullable)
    }
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}
