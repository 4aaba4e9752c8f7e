//! The Parquet sink passes the contract of every sink, with files of any size and age.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use feedd_core::contract::sink::{SinkHarness, Stored, instruments, sink_contract};
use feedd_core::{Instruments, Sink};
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use tempfile::TempDir;

mod readback;

struct Harness {
    dir: TempDir,
    config: fn(&mut ParquetConfig),
    instruments: Instruments,
}

impl SinkHarness for Harness {
    fn open(&mut self) -> Box<dyn Sink> {
        let mut config = ParquetConfig::new(self.dir.path());
        (self.config)(&mut config);
        Box::new(ParquetSink::open(config, self.instruments.clone()).unwrap())
    }

    fn stored(&mut self) -> Stored {
        Stored::Events(readback::read_all(self.dir.path(), &self.instruments))
    }
}

fn run(config: fn(&mut ParquetConfig)) {
    sink_contract(&mut || Box::new(Harness { dir: tempfile::tempdir().unwrap(), config, instruments: instruments() }));
}

#[test]
fn with_the_defaults() {
    run(|_| {});
}

#[test]
fn with_partitions_that_close_at_their_own_times() {
    run(|config| config.file_age_ns_max = 40);
}

#[test]
fn with_small_files_and_few_of_them_open() {
    run(|config| (config.file_bytes_max, config.open_files_max) = (2000, 3));
}

#[test]
fn with_no_memory_to_spare() {
    run(|config| (config.memory_bytes_max, config.row_group_rows_max) = (10_000, 50));
}
