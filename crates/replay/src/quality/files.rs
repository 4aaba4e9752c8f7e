//! Rows of the datasets `bars` and `gaps`, file by file. What the columns hold: `crates/sink-parquet/src/schema.rs`.

use crate::stored::column::{Column, Fill, Texts, text};
use crate::stored::names::{FileName, day};
use feedd_core::data_dir;
use feedd_model::{BarFlags, Interval, StreamId};
use parquet::data_type::{Int32Type, Int64Type};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// A day of a venue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day {
    pub(crate) venue: String,
    /// Counted from 1970-01-01.
    day: i64,
    path: PathBuf,
    /// The folder's own recorder, where its state says so.
    own: Option<StreamId>,
}

impl Day {
    /// Its end, ns since 1970.
    pub(crate) const fn end_ns(&self) -> i64 {
        self.day.saturating_add(1).saturating_mul(NANOS_PER_DAY)
    }
}

/// What is read of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BarRow {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) closed: i64,
    pub(crate) revision: u32,
    pub(crate) number: i64,
    pub(crate) quality_bp: u64,
    pub(crate) flags: BarFlags,
    /// A bar of time.
    pub(crate) is_time: bool,
}

/// What is read of a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GapRow {
    pub(crate) symbol: Option<String>,
    pub(crate) reason: String,
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
    pub(crate) first_missing: Option<i64>,
    pub(crate) last_missing: Option<i64>,
    pub(crate) events: Option<u64>,
}

/// The days of a dataset; none when there is no such dataset.
///
/// # Errors
/// A text, when a folder cannot be read.
pub(crate) fn days(dir: &Path, dataset: &str) -> Result<Vec<Day>, String> {
    let mut days = Vec::new();
    let own = data_dir::peek(dir).ok().flatten().map(|(stream, _)| stream);
    for (name, path) in children(&dir.join(dataset))? {
        let Some(venue) = name.strip_prefix("venue=") else { continue };
        for (name, path) in children(&path)? {
            if let Some(day) = day(&name) {
                days.push(Day { venue: venue.to_owned(), day, path, own });
            }
        }
    }
    Ok(days)
}

/// Hands out every bar of a day.
pub(crate) fn bars(day: &Day, bad: &mut Vec<String>, mut each: impl FnMut(&str, Interval, BarRow)) {
    each_group(day, "bars", bad, |group| {
        let (mut symbol, mut interval) = (Texts::open(group, "symbol")?, Texts::open(group, "interval")?);
        let mut times: [Column<Int64Type>; 4] = [
            Column::open(group, "start_ts")?,
            Column::open(group, "end_ts")?,
            Column::open(group, "closed_ts")?,
            Column::open(group, "number")?,
        ];
        let mut marks: [Column<Int32Type>; 3] =
            [Column::open(group, "flags")?, Column::open(group, "revision")?, Column::open(group, "quality_bp")?];
        loop {
            let mut columns: Vec<&mut dyn Fill> = vec![&mut symbol, &mut interval];
            columns.extend(times.iter_mut().map(|column| column as &mut dyn Fill));
            columns.extend(marks.iter_mut().map(|column| column as &mut dyn Fill));
            let rows = fill(columns)?;
            if rows == 0 {
                return Ok(());
            }
            for _ in 0..rows {
                let times = take(&mut times)?;
                let marks = take(&mut marks)?;
                let number = |value: i32| u32::try_from(value).map_err(|_| "a negative number in a bar".to_owned());
                let [Some(start), Some(end), Some(closed), Some(number_at)] = times else {
                    return Err("a bar without times".to_owned());
                };
                let [Some(flags), Some(revision), Some(quality_bp)] = marks else {
                    return Err("a bar without flags".to_owned());
                };
                let interval = interval.next().and_then(text).ok_or("a bar without interval")?;
                let interval: Interval = interval.parse().map_err(|error| format!("{error}"))?;
                let row = BarRow {
                    start,
                    end,
                    closed,
                    revision: number(revision)?,
                    number: number_at,
                    quality_bp: u64::from(number(quality_bp)?),
                    flags: BarFlags::from_bits(u8::try_from(flags).map_err(|_| "unknown flags in a bar".to_owned())?),
                    is_time: matches!(interval, Interval::Seconds(_)),
                };
                each(symbol.next().and_then(text).unwrap_or_default(), interval, row);
            }
        }
    });
}

/// Hands out every gap of a day.
pub(crate) fn gaps(day: &Day, bad: &mut Vec<String>, mut each: impl FnMut(GapRow)) {
    each_group(day, "gaps", bad, |group| {
        let (mut symbol, mut reason) = (Texts::open(group, "symbol")?, Texts::open(group, "reason")?);
        let mut numbers: [Column<Int64Type>; 5] = [
            Column::open(group, "from_ts")?,
            Column::open(group, "to_ts")?,
            Column::open(group, "first_missing")?,
            Column::open(group, "last_missing")?,
            Column::open(group, "events")?,
        ];
        loop {
            let mut columns: Vec<&mut dyn Fill> = vec![&mut symbol, &mut reason];
            columns.extend(numbers.iter_mut().map(|column| column as &mut dyn Fill));
            let rows = fill(columns)?;
            if rows == 0 {
                return Ok(());
            }
            for _ in 0..rows {
                let [from, to, first_missing, last_missing, events] = take(&mut numbers)?;
                let symbol = symbol.next().and_then(text).map(str::to_owned);
                let reason = reason.next().and_then(text).unwrap_or_default().to_owned();
                let events = events.and_then(|events| u64::try_from(events).ok());
                each(GapRow { symbol, reason, from, to, first_missing, last_missing, events });
            }
        }
    });
}

/// Reads the next batch of all columns: its rows.
fn fill(columns: Vec<&mut dyn Fill>) -> Result<usize, String> {
    let mut rows = None;
    for column in columns {
        let read = column.fill()?;
        if rows.is_some_and(|rows| rows != read) {
            return Err("its columns are not of one length".to_owned());
        }
        rows = Some(read);
    }
    Ok(rows.unwrap_or(0))
}

/// The next row's value of each column.
#[allow(clippy::unnecessary_wraps, reason = "read beside calls that fail")]
fn take<T: parquet::data_type::DataType, const N: usize>(
    columns: &mut [Column<T>; N],
) -> Result<[Option<T::T>; N], String> {
    Ok(columns.each_mut().map(|column| column.next().cloned()))
}

/// Runs through the row groups of each file of a day. A file that is damaged ends there, and is told.
fn each_group(
    day: &Day,
    dataset: &str,
    bad: &mut Vec<String>,
    mut each: impl FnMut(&dyn RowGroupReader) -> Result<(), String>,
) {
    let files = match children(&day.path) {
        Ok(files) => files,
        Err(error) => return bad.push(error),
    };
    for (name, path) in files {
        let shown = path.display();
        match FileName::parse(&name) {
            None => {
                bad.push(format!("{shown} was not written by feedd; move it out of the folder"));
                continue;
            }
            // Another recorder's.
            Some(name) if day.own.is_some_and(|own| own != name.stream) => continue,
            Some(_) => {}
        }
        let mut read = || {
            let file = File::open(&path).map_err(|error| error.to_string())?;
            let reader = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
            let values = reader.metadata().file_metadata().key_value_metadata().map_or(&[][..], Vec::as_slice);
            let of = values.iter().find(|value| value.key == "feedd.dataset").and_then(|value| value.value.as_deref());
            if of != Some(dataset) {
                return Err(format!("it does not hold {dataset}"));
            }
            for at in 0..reader.num_row_groups() {
                let group = reader.get_row_group(at).map_err(|error| error.to_string())?;
                each(group.as_ref())?;
            }
            Ok(())
        };
        // The library panics on some bytes that are damaged; the file is given up then.
        let read = catch_unwind(AssertUnwindSafe(&mut read)).unwrap_or_else(|_| Err("it cannot be decoded".to_owned()));
        if let Err(reason) = read {
            bad.push(format!("{shown} is damaged or not feedd's ({reason}); restore it from a copy"));
        }
    }
}

/// Names and paths within a folder, by name, without what begins with a dot or an underscore; none when there is no such
/// folder.
fn children(dir: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let error = |error: std::io::Error| format!("{} cannot be read: {error}", dir.display());
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(found) if found.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(found) => return Err(error(found)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(error)?;
        if let Ok(name) = entry.file_name().into_string()
            && !name.starts_with(['.', '_'])
        {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}
