//! Files of random columns, read back by the Parquet library's own reader: values, statistics, page indexes.

use super::*;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type, UInt8Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use parquet::basic::{BoundaryOrder, PageType};
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use std::sync::Arc;

const SCHEMA: &str = "message rows {
    optional fixed_len_byte_array(16) decimal (DECIMAL(38, 18));
    optional int64 rising;
    required int64 unsigned (INTEGER(64, false));
    optional int32 count (INTEGER(32, false));
    required int32 flags (INTEGER(8, false));
    optional binary word (STRING);
    optional binary text (STRING);
}";
const WORDS: [&str; 4] = ["sell", "buy", "", "ÄÖ"];

#[derive(Clone, Debug, PartialEq)]
struct Row {
    decimal: Option<i128>,
    rising: Option<i64>,
    unsigned: u64,
    count: Option<u32>,
    flags: u8,
    word: Option<u32>,
    text: Option<u128>,
}

struct Sheet {
    decimal: Column<i128, Dictionary<i128>>,
    rising: Column<i64, Delta>,
    unsigned: Column<u64, Delta>,
    count: Column<u32, Dictionary<u32>>,
    flags: Column<u8, Dictionary<u8>>,
    word: Column<Word, Dictionary<Word>>,
    text: Column<ShortText, Dictionary<ShortText>>,
}

impl Sheet {
    fn push(&mut self, row: &Row) {
        self.decimal.push_option(row.decimal);
        self.rising.push_option(row.rising);
        self.unsigned.push(row.unsigned);
        self.count.push_option(row.count);
        self.flags.push(row.flags);
        self.word.push_option(row.word.map(Word));
        self.text.push_option(row.text.map(|text| ShortText::of(text).unwrap()));
    }

    fn columns(&mut self) -> [&mut dyn EncodeColumn; 7] {
        let Self { decimal, rising, unsigned, count, flags, word, text } = self;
        [decimal, rising, unsigned, count, flags, word, text]
    }
}

/// A file of row groups of pages of rows.
fn write(groups: &[Vec<Vec<Row>>]) -> Bytes {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let [decimal, rising, unsigned, count, flags, word, text] = writer.schema_descr().columns() else { panic!() };
    let mut sheet = Sheet {
        decimal: Column::new(decimal),
        rising: Column::new(rising),
        unsigned: Column::new(unsigned),
        count: Column::new(count),
        flags: Column::new(flags),
        word: Column::new(word).with_words(&WORDS),
        text: Column::new(text),
    };
    let mut press = Press::new(1).unwrap();
    for pages in groups {
        for page in pages {
            page.iter().for_each(|row| sheet.push(row));
            sheet.columns().into_iter().for_each(|column| column.end_page(&mut press).unwrap());
        }
        let mut group = writer.next_row_group().unwrap();
        for column in sheet.columns() {
            let (bytes, closed) = column.end_chunk(&mut press).unwrap();
            assert_eq!((column.encoded_memory_bytes(), column.room_bytes(), column.file_bytes()), (0, 0, 0));
            group.append_column(&bytes, closed).unwrap();
        }
        group.close().unwrap();
    }
    writer.into_inner().unwrap().into()
}

fn open(file: &Bytes) -> ParquetRecordBatchReaderBuilder<Bytes> {
    let options =
        ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required).with_encoding_stats_as_mask(false);
    ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options).unwrap()
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let (decimal, rising) = (column("decimal").as_primitive::<Decimal128Type>(), column("rising"));
    let (rising, unsigned) = (rising.as_primitive::<Int64Type>(), column("unsigned").as_primitive::<UInt64Type>());
    let (count, flags) = (column("count").as_primitive::<UInt32Type>(), column("flags").as_primitive::<UInt8Type>());
    let (word, text) = (column("word").as_string::<i32>(), column("text").as_string::<i32>());
    let word_of = |word: &str| u32::try_from(WORDS.iter().position(|&one| one == word).unwrap()).unwrap();
    let row = |at: usize| Row {
        decimal: decimal.is_valid(at).then(|| decimal.value(at)),
        rising: rising.is_valid(at).then(|| rising.value(at)),
        unsigned: unsigned.value(at),
        count: count.is_valid(at).then(|| count.value(at)),
        flags: flags.value(at),
        word: word.is_valid(at).then(|| word_of(word.value(at))),
        text: text.is_valid(at).then(|| text.value(at).parse().unwrap()),
    };
    (0..batch.num_rows()).map(row).collect()
}

fn read(file: &Bytes) -> Vec<Row> {
    let batches = open(file).with_batch_size(1000).build().unwrap();
    batches.flat_map(|batch| rows_of(&batch.unwrap())).collect()
}

/// Smallest and largest.
fn bounds<T: Ord + Clone>(values: impl Iterator<Item = Option<T>> + Clone) -> Option<(T, T)> {
    Some((values.clone().flatten().min()?, values.flatten().max()?))
}

/// The same of what statistics hold.
fn stated(chunk: &ColumnChunkMetaData) -> Option<(Vec<u8>, Vec<u8>)> {
    let statistics = chunk.statistics().unwrap();
    Some((statistics.min_bytes_opt()?.to_vec(), statistics.max_bytes_opt()?.to_vec()))
}

/// Checks what the footer says of each chunk and each page against the rows.
fn check_footer(metadata: &ParquetMetaData, groups: &[Vec<Vec<Row>>]) {
    assert_eq!(metadata.num_row_groups(), groups.len());
    for (at, pages) in groups.iter().enumerate() {
        let chunks = metadata.row_group(at).columns();
        let rows = pages.iter().flatten();
        let both =
            |bytes: &dyn Fn(i128) -> Vec<u8>, pair: Option<(i128, i128)>| pair.map(|(a, b)| (bytes(a), bytes(b)));
        let le8 = |value: i128| value.to_le_bytes()[..8].to_vec();
        assert_eq!(
            stated(&chunks[0]),
            both(&|value| value.to_be_bytes().to_vec(), bounds(rows.clone().map(|r| r.decimal)))
        );
        assert_eq!(stated(&chunks[1]), both(&le8, bounds(rows.clone().map(|r| r.rising.map(i128::from)))));
        assert_eq!(stated(&chunks[2]), both(&le8, bounds(rows.clone().map(|r| Some(i128::from(r.unsigned))))));
        let word = |row: &Row| row.word.map(|word| WORDS[word as usize].as_bytes().to_vec());
        assert_eq!(stated(&chunks[5]), bounds(rows.clone().map(word)));
        let text = |row: &Row| row.text.map(|text| text.to_string().into_bytes());
        assert_eq!(stated(&chunks[6]), bounds(rows.clone().map(text)));
        let bytes = |texts: &dyn Fn(&Row) -> Option<Vec<u8>>| {
            rows.clone().filter_map(texts).map(|text| text.len()).reduce(|a, b| a + b).unwrap_or(0)
        };
        assert_eq!(chunks[5].unencoded_byte_array_data_bytes(), Some(i64::try_from(bytes(&word)).unwrap()));
        assert_eq!(chunks[6].unencoded_byte_array_data_bytes(), Some(i64::try_from(bytes(&text)).unwrap()));
        let nulls = u64::try_from(rows.clone().filter(|row| row.decimal.is_none()).count()).unwrap();
        assert_eq!(chunks[0].statistics().unwrap().null_count_opt(), Some(nulls));
        assert_eq!(chunks[0].num_values(), i64::try_from(rows.clone().count()).unwrap());
        check_pages(metadata, at, pages);
    }
}

fn check_pages(metadata: &ParquetMetaData, group: usize, pages: &[Vec<Row>]) {
    let index = metadata.page_index_for_row_group(group);
    let Some(ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(decimals)) = index.column_index(0) else { panic!() };
    let Some(ColumnIndexMetaData::INT64(rising)) = index.column_index(1) else { panic!() };
    let locations = index.page_locations(0).unwrap();
    assert_eq!(locations.len(), pages.len());
    let mut first = 0;
    for (at, page) in pages.iter().enumerate() {
        assert_eq!(locations[at].first_row_index, first);
        first += i64::try_from(page.len()).unwrap();
        let of = |bytes: Option<&[u8]>| bytes.map(|bytes| i128::from_be_bytes(bytes.try_into().unwrap()));
        let found = of(decimals.min_value(at)).zip(of(decimals.max_value(at)));
        assert_eq!(found, bounds(page.iter().map(|row| row.decimal)));
        assert_eq!(decimals.is_null_page(at), page.iter().all(|row| row.decimal.is_none()));
        let nulls = page.iter().filter(|row| row.rising.is_none()).count();
        assert_eq!(rising.null_count(at), Some(i64::try_from(nulls).unwrap()));
    }
    let pairs: Vec<(i64, i64)> = pages.iter().filter_map(|page| bounds(page.iter().map(|row| row.rising))).collect();
    let in_order =
        |holds: fn(i64, i64) -> bool| pairs.windows(2).all(|w| holds(w[0].0, w[1].0) && holds(w[0].1, w[1].1));
    let order = match (in_order(|a, b| a <= b), in_order(|a, b| a >= b)) {
        (true, _) => BoundaryOrder::ASCENDING,
        (false, true) => BoundaryOrder::DESCENDING,
        (false, false) => BoundaryOrder::UNORDERED,
    };
    assert_eq!(index.column_index(1).unwrap().get_boundary_order(), Some(order));
}

/// Values of a kind that makes one shape of column: all alike, few, many, extreme; or none.
fn column<T: Clone + std::fmt::Debug + 'static>(
    few: Vec<T>,
    any: impl Strategy<Value = T> + Clone + 'static,
) -> BoxedStrategy<BoxedStrategy<Option<T>>> {
    let one = few[0].clone();
    prop_oneof![
        Just(Just(None).boxed()),
        Just(Just(Some(one)).boxed()),
        Just(prop::sample::select(few.clone()).prop_map(Some).boxed()),
        Just(prop::option::weighted(0.5, prop::sample::select(few)).boxed()),
        Just(any.clone().prop_map(Some).boxed()),
        Just(prop::option::weighted(0.9, any).boxed()),
    ]
    .boxed()
}

fn page() -> impl Strategy<Value = Vec<Row>> {
    let decimals = column(vec![0, -1, 1, i128::MIN, i128::MAX, 10_i128.pow(38) - 1], any::<i128>());
    let rising = column(vec![7, 8, i64::MIN, i64::MAX, -1], any::<i64>());
    let unsigned = column(vec![5, 0, u64::MAX], any::<u64>());
    let counts = column(vec![3, 0, u32::MAX], any::<u32>());
    let words = column(vec![1, 0, 2, 3], 0_u32..4);
    let texts = column(vec![u128::MAX, 1 << 64], any::<u128>());
    (decimals, rising, unsigned, counts, words, texts, 1_usize..700).prop_flat_map(
        |(decimal, rising, unsigned, count, word, text, rows)| {
            let row = (decimal, rising, unsigned, count, any::<u8>(), word, text);
            let row = row.prop_map(|(decimal, rising, unsigned, count, flags, word, text)| Row {
                decimal,
                rising,
                unsigned: unsigned.unwrap_or(9),
                count,
                flags,
                word,
                text,
            });
            prop::collection::vec(row, rows)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// Every value, every statistic and every page, whatever the columns and borders; also when most pages are skipped.
    #[test]
    fn columns_read_back(
        groups in prop::collection::vec(prop::collection::vec(page(), 1..4), 1..3),
        skip in 0_usize..1500,
        take in 1_usize..300,
    ) {
        let file = write(&groups);
        let expected: Vec<Row> = groups.iter().flatten().flatten().cloned().collect();
        prop_assert_eq!(&read(&file), &expected);
        let builder = open(&file);
        check_footer(builder.metadata(), &groups);
        let (skip, take) = (skip.min(expected.len()), take.min(expected.len() - skip.min(expected.len())));
        let selection = RowSelection::from(vec![RowSelector::skip(skip), RowSelector::select(take)]);
        let batches = builder.with_row_selection(selection).build().unwrap();
        let found: Vec<Row> = batches.flat_map(|batch| rows_of(&batch.unwrap())).collect();
        prop_assert_eq!(&found[..], &expected[skip..skip + take]);
    }
}

/// Kind, encoding and number of pages of a column, in the order of the file.
fn pages_of(chunk: &ColumnChunkMetaData) -> Vec<(PageType, Encoding, i32)> {
    chunk.page_encoding_stats().unwrap().iter().map(|pages| (pages.page_type, pages.encoding, pages.count)).collect()
}

#[test]
fn a_full_dictionary_gives_way_to_plain_pages_until_the_row_group_ends() {
    let row = |at: usize| Row {
        // Twice as many distinct values as a dictionary of 1 MiB holds, then the first ones again.
        decimal: Some((i128::try_from(at % 140_000).unwrap() - 70_000) * 1_000_000_007_000_000_000),
        rising: None,
        unsigned: 1,
        count: Some(u32::try_from(at).unwrap()),
        flags: 0,
        word: None,
        text: None,
    };
    let rows: Vec<Row> = (0..10 * PAGE_ROWS).map(row).collect();
    let pages: Vec<Vec<Row>> = rows.chunks(PAGE_ROWS).map(<[Row]>::to_vec).collect();
    let groups = [pages.clone(), pages[..2].to_vec()];
    let file = write(&groups);
    assert!(read(&file) == groups.iter().flatten().flatten().cloned().collect::<Vec<_>>());
    let builder = open(&file);
    check_footer(builder.metadata(), &groups);
    let dictionary = (PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1);
    let coded = |pages| (PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, pages);
    let plain = |pages| (PageType::DATA_PAGE, Encoding::PLAIN, pages);
    // 65,536 decimals of 16 bytes, 262,144 numbers of 4.
    let first = builder.metadata().row_group(0);
    assert_eq!(pages_of(first.column(0)), [dictionary, coded(3), plain(7)]);
    assert_eq!(pages_of(first.column(3)), [dictionary, coded(10)]);
    assert_eq!(pages_of(builder.metadata().row_group(1).column(0)), [dictionary, coded(2)]);
    // A column without any value.
    assert_eq!(pages_of(first.column(6)), [dictionary, coded(10)]);
    assert_eq!(first.column(1).encodings().collect::<Vec<_>>(), [Encoding::RLE, Encoding::DELTA_BINARY_PACKED]);
}

#[test]
fn words_too_long_for_a_dictionary_are_written_plainly() {
    let words: Vec<String> = (0..2000).map(|at| format!("{at:0>1000}")).collect();
    let schema = parse_message_type("message rows { required binary word (STRING); }").unwrap();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::default()).unwrap();
    let mut column = Column::<Word, Dictionary<Word>>::new(&writer.schema_descr().column(0));
    column.set_words(&Arc::new(words.clone()));
    (0..2000).for_each(|word| column.push(Word(word)));
    let mut press = Press::new(1).unwrap();
    column.end_page(&mut press).unwrap();
    let (bytes, closed) = column.end_chunk(&mut press).unwrap();
    let mut group = writer.next_row_group().unwrap();
    group.append_column(&bytes, closed).unwrap();
    group.close().unwrap();
    let file = Bytes::from(writer.into_inner().unwrap());
    let builder = open(&file);
    assert_eq!(pages_of(builder.metadata().row_group(0).column(0)), [(PageType::DATA_PAGE, Encoding::PLAIN, 1)]);
    let batches: Vec<RecordBatch> = builder.with_batch_size(2000).build().unwrap().map(Result::unwrap).collect();
    let found: Vec<&str> = batches[0].column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(found, words);
}
