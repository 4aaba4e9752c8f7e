//! From what one event costs to what a host needs, step by step, each step with its words and numbers. Pure.

use super::costs::{Costs, Stored};
use feedd_config::Config;
use feedd_core::BLOCK_EVENTS_MAX;
use feedd_delivery::{feed_blocks, pool_blocks};
use feedd_model::Event;

/// More than was measured: other data, other caches, and what is not measured (sockets, telemetry, the system).
pub(crate) const CPU_SAFETY: f64 = 2.0;
pub(crate) const MEMORY_SAFETY: f64 = 1.5;
pub(crate) const DISK_SAFETY: f64 = 1.25;
/// A batching thread that waits for the next burst takes this part of a core; `latency` measures it.
const IDLE_CORES: f64 = 0.06;
/// Blocks between the batching thread and the journal.
const LINK_BLOCKS: usize = 16;
/// Beside its events a block holds, for each at most, whose it is.
const RUN_BYTES: usize = 8;
/// What a source's intake holds before it publishes.
const BURST_BYTES: f64 = (16_384 * size_of::<Event>()) as f64;
/// The journal's commit buffer, and the piece that a cursor reads.
const JOURNAL_BYTES: f64 = (2 << 20) as f64;
/// Names, agreed price and routes of an instrument, generously.
const SYMBOL_BYTES: f64 = 1024.0;
const DAY_S: f64 = 86_400.0;
const MIB: f64 = 1024.0 * 1024.0;
/// Memory is told in steps of this.
const MEMORY_STEP_MIB: f64 = 64.0;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    pub(crate) symbols: u32,
    /// Events a second that have to be kept up with.
    pub(crate) peak: u64,
    /// Events a second over a day.
    pub(crate) mean: u64,
    pub(crate) retain_days: Option<u32>,
}

/// A step of the calculation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) part: &'static str,
    /// In words and numbers.
    pub(crate) text: String,
    pub(crate) result: String,
}

/// What a host needs.
pub(crate) struct Size {
    pub(crate) steps: Vec<Step>,
    pub(crate) warnings: Vec<String>,
    /// Whole cores.
    pub(crate) cores: f64,
    /// Of the database's host.
    pub(crate) server_cores: Option<f64>,
    pub(crate) memory_mib: f64,
    pub(crate) disk_gb_per_day: f64,
    /// With the days that are kept and the journal.
    pub(crate) disk_gb: Option<f64>,
    /// Threads of sources that share the rate.
    pub(crate) sources: f64,
}

/// The steps and their results. `program_bytes`: memory of the program before it records.
pub(crate) fn size(demand: &Demand, costs: &Costs, stored: &Stored, config: &Config, program_bytes: f64) -> Size {
    let mut size = Size {
        steps: Vec::new(),
        warnings: Vec::new(),
        cores: 0.0,
        server_cores: None,
        memory_mib: 0.0,
        disk_gb_per_day: 0.0,
        disk_gb: None,
        sources: 1.0,
    };
    size.cores_of(demand, costs, stored);
    size.memory_of(demand, stored, config, program_bytes);
    size.disk_of(demand, costs, stored, config);
    size
}

impl Size {
    fn step(&mut self, part: &'static str, text: String, result: String) {
        self.steps.push(Step { part, text, result });
    }

    fn cores_of(&mut self, demand: &Demand, costs: &Costs, stored: &Stored) {
        let peak = demand.peak as f64;
        let rate = grouped(demand.peak);
        let source = peak * costs.source_ns / 1e9;
        let mut sum = 0.0;
        let threads = [
            ("source", "decode, check, publish", costs.source_ns, true),
            ("batching thread", "from the rings into blocks", costs.batching_ns, false),
            ("journal", "append and commit", costs.journal_ns, false),
            ("sink's lane", "read the journal and store", costs.read_ns + stored.ns, false),
        ];
        for (part, does, ns, is_shared) in threads {
            let cores = peak * ns / 1e9;
            sum += cores;
            self.step(part, format!("{does}: {rate} events/s x {ns:.1} ns"), format!("{cores:.3} cores"));
            if !is_shared && cores > 1.0 {
                let most = grouped_f64(1e9 / ns);
                let warning = format!("{rate} events/s is more than one {part} did on this machine: {most} events/s");
                self.warnings.push(warning);
            }
        }
        self.step("batching thread", "waiting for the next burst".to_owned(), format!("{IDLE_CORES:.3} cores"));
        sum += IDLE_CORES;
        self.sources = (source * CPU_SAFETY).ceil().max(1.0);
        if source > 1.0 {
            let most = grouped_f64(1e9 / costs.source_ns);
            self.warnings.push(format!(
                "{rate} events/s is more than one source did on this machine, {most} events/s: divide the symbols over \
                 {:.0} sources",
                self.sources
            ));
        }
        // A source that reads a socket and the batching thread never have to wait for each other.
        self.cores = (sum * CPU_SAFETY).ceil().max(2.0);
        self.step(
            "cores",
            format!(
                "{sum:.3} cores x {CPU_SAFETY} for safety, rounded up; 2 at least, so that no thread waits for a core"
            ),
            format!("{:.0} cores", self.cores),
        );
        if let Some(ns) = stored.server_ns {
            let cores = peak * ns / 1e9;
            let whole = (cores * CPU_SAFETY).ceil().max(1.0);
            self.server_cores = Some(whole);
            let text =
                format!("of its host: {rate} rows/s x {ns:.0} ns = {cores:.3} cores, x {CPU_SAFETY}, rounded up");
            self.step("database", text, format!("{whole:.0} cores"));
            if cores > 1.0 {
                let most = grouped_f64(1e9 / ns);
                self.warnings.push(format!(
                    "{rate} rows/s is more than one connection's server process stored on this machine: {most} rows/s"
                ));
            }
        }
    }

    fn memory_of(&mut self, demand: &Demand, stored: &Stored, config: &Config, program_bytes: f64) {
        let block_bytes = BLOCK_EVENTS_MAX * (size_of::<Event>() + RUN_BYTES);
        let batch = config.batch.max_events.max(BACKLOG_EVENTS);
        // Those of the batching thread, those that a cursor fills, and those that small ones are copied into.
        let blocks = pool_blocks(LINK_BLOCKS, 0) + feed_blocks(batch) + pool_blocks(0, batch);
        let slots = config.ring.capacity;
        let sources = self.sources;
        let mut parts = vec![
            ("program", "before it records".to_owned(), program_bytes),
            (
                "rings",
                format!("{sources:.0} x {slots} slots of 64 bytes, and a burst of 1 MiB each"),
                sources * ((slots * size_of::<Event>()) as f64 + BURST_BYTES),
            ),
            ("blocks", format!("{blocks} x {} KiB, all in use", block_bytes >> 10), (blocks * block_bytes) as f64),
            ("journal", "commit buffer and the piece that is read".to_owned(), JOURNAL_BYTES),
            (
                "symbols",
                format!("{} x 1 KiB", grouped(u64::from(demand.symbols))),
                f64::from(demand.symbols) * SYMBOL_BYTES,
            ),
        ];
        if stored.server_ns.is_none() {
            let text = "open row groups, as parquet.memory_max allows".to_owned();
            parts.push(("sink", text, config.parquet.memory_max as f64));
        } else {
            let bytes = batch as f64 * stored.bytes;
            parts.push(("sink", format!("a batch of {batch} rows x {:.0} bytes, encoded", stored.bytes), bytes));
        }
        let sum: f64 = parts.iter().map(|(_, _, bytes)| bytes / MIB).sum();
        for (part, text, bytes) in parts {
            self.step(part, text, format!("{:.1} MiB", bytes / MIB));
        }
        self.memory_mib = (sum * MEMORY_SAFETY / MEMORY_STEP_MIB).ceil() * MEMORY_STEP_MIB;
        let text = format!(
            "{sum:.1} MiB x {MEMORY_SAFETY} for safety, rounded up to {MEMORY_STEP_MIB:.0}; the system's file cache comes on top"
        );
        self.step("memory", text, format!("{:.0} MiB", self.memory_mib));
    }

    fn disk_of(&mut self, demand: &Demand, costs: &Costs, stored: &Stored, config: &Config) {
        let (peak, mean) = (demand.peak as f64, demand.mean as f64);
        let written = peak * (costs.journal_bytes + stored.bytes) / 1e6;
        self.step(
            "disk, rate",
            format!(
                "{} events/s x ({:.1} bytes in the journal + {:.1} stored), at the peak",
                grouped(demand.peak),
                costs.journal_bytes,
                stored.bytes
            ),
            format!("{written:.1} MB/s"),
        );
        self.disk_gb_per_day = mean * DAY_S * stored.bytes / 1e9;
        let rate = grouped(demand.mean);
        let text = format!("{rate} events/s x 86,400 s x {:.1} bytes a {}", stored.bytes, stored.row);
        self.step("disk, a day", text, format!("{:.1} GB", self.disk_gb_per_day));
        let Some(days) = demand.retain_days else { return };
        let journal = config.journal.bytes_max as f64 / 1e9;
        let kept = self.disk_gb_per_day * f64::from(days) * DISK_SAFETY;
        self.disk_gb = Some((kept + journal).ceil());
        let text = format!(
            "{days} days x {:.1} GB x {DISK_SAFETY} for safety + {journal:.1} GB of journal (journal.bytes_max)",
            self.disk_gb_per_day
        );
        self.step("disk", text, format!("{:.0} GB", (kept + journal).ceil()));
        let full_s = config.journal.bytes_max as f64 / (peak * costs.journal_bytes);
        let text = "that the journal holds at the peak while a sink is away".to_owned();
        self.step("journal", text, format!("{:.0} minutes", (full_s / 60.0).floor()));
    }
}

/// Events of a batch that a sink asks for while it has a backlog: what both sinks' [`feedd_core::Sink::batch_events_best`] say at most.
const BACKLOG_EVENTS: usize = 50_000;

/// A number with commas, rounded down.
fn grouped_f64(number: f64) -> String {
    format!("{number:.0}").parse().map_or_else(|_| format!("{number:.0}"), grouped)
}

/// A number with commas.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(ns: f64) -> Costs {
        Costs {
            kinds: Vec::new(),
            source_ns: ns,
            batching_ns: 50.0,
            journal_ns: 40.0,
            journal_bytes: 70.0,
            read_ns: 10.0,
        }
    }

    fn demand(peak: u64) -> Demand {
        Demand { symbols: 10, peak, mean: peak / 10, retain_days: Some(30) }
    }

    const PARQUET: Stored = Stored { ns: 200.0, server_ns: None, bytes: 20.0, row: "event" };

    fn text(size: &Size, part: &str) -> String {
        let steps = size.steps.iter().filter(|step| step.part == part);
        steps.map(|step| format!("{} = {}", step.text, step.result)).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn every_step_can_be_followed_by_hand() {
        let size = size(&demand(20_000), &costs(480.0), &PARQUET, &Config::default(), 8.0 * MIB);
        assert_eq!(text(&size, "source"), "decode, check, publish: 20,000 events/s x 480.0 ns = 0.010 cores");
        assert_eq!(text(&size, "sink's lane"), "read the journal and store: 20,000 events/s x 210.0 ns = 0.004 cores");
        assert_eq!((size.cores, size.sources, size.server_cores), (2.0, 1.0, None));
        // 2,000 x 86,400 x 20 bytes.
        assert!((size.disk_gb_per_day - 3.456).abs() < 1e-9);
        // 30 x 3.456 x 1.25 + 4.29 of journal.
        assert_eq!(size.disk_gb, Some(134.0));
        // 4 GiB / (20,000 x 70 bytes).
        assert!(text(&size, "journal").ends_with("= 51 minutes"), "{}", text(&size, "journal"));
        // Row groups and all bounds are in it.
        assert!(size.memory_mib >= 96.0 && size.memory_mib % MEMORY_STEP_MIB == 0.0, "{}", size.memory_mib);
        assert_eq!(size.warnings, [] as [&str; 0]);
    }

    #[test]
    fn what_one_thread_cannot_do_is_told() {
        let size = size(&demand(5_000_000), &costs(480.0), &PARQUET, &Config::default(), 0.0);
        assert_eq!(size.sources, 5.0, "2.4 cores of decoding, twice");
        let warned = |text: &str| size.warnings.iter().any(|warning| warning.contains(text));
        assert!(warned("2,083,333 events/s: divide the symbols over 5 sources"), "{:?}", size.warnings);
        assert!(warned("one sink's lane did on this machine: 4,761,905 events/s"), "{:?}", size.warnings);
        assert_eq!(size.warnings.len(), 2);
        // (2.4 + 0.25 + 0.2 + 1.05 + 0.06) x 2.
        assert_eq!(size.cores, 8.0);
    }

    #[test]
    fn a_database_has_cores_of_its_own() {
        let stored = Stored { ns: 100.0, server_ns: Some(2_000.0), bytes: 60.0, row: "trade" };
        let size = size(&demand(300_000), &costs(480.0), &stored, &Config::default(), 0.0);
        assert_eq!(size.server_cores, Some(2.0));
        assert!(
            text(&size, "database").contains("300,000 rows/s x 2000 ns = 0.600 cores"),
            "{}",
            text(&size, "database")
        );
        assert!(size.warnings.is_empty());
    }
}
