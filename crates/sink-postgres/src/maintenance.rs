//! Work on the days to come and on finished ones: partitions ahead, indexes, and the sink's own look after both and after
//! days that are too old.

use crate::config::PostgresConfig;
use crate::connect::{Database, runtime};
use crate::error::Fault;
use crate::partitions::{self, DAY_NANOS, Leaf, leaves};
use crate::retention::drop_older;
use deadpool_postgres::ClientWrapper;
use feedd_core::{Clock, SinkError, SystemClock, error_text};
use feedd_model::{MonoNanos, UnixNanos};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A day is over this long after its end: late rows have arrived.
const GRACE_NANOS: i64 = 3_600_000_000_000;

/// How often the sink looks for finished days.
const EVERY_NANOS: u64 = 600_000_000_000;

/// How soon the background work notices that the sink is dropped.
const STOP_LOOK: Duration = Duration::from_millis(20);

/// The lock of index builds ("index" in ASCII): an unfinished index of another session must not be taken for a failed one.
const LOCK: i64 = 0x0069_6e64_6578;

/// One index that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The partition.
    pub partition: String,
    /// The index.
    pub index: String,
}

/// What was done for the days that are over and those to come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Partitions that were made.
    pub made: Vec<String>,
    /// Partitions that could not be made: the role may not, or other partitions or rows are in the way. Rows of such a day
    /// go where the server puts them.
    pub denied: Vec<String>,
    /// Indexes that were built.
    pub built: Vec<Built>,
}

/// Makes the partitions of today and the configured number of days after it, and builds the index of every finished day
/// that has none, one after the other, without holding up writers.
///
/// # Errors
/// [`SinkError`] when the server cannot be asked or the role may not.
pub fn maintain(config: &PostgresConfig) -> Result<Maintained, SinkError> {
    let database = Database::new(config.clone())?;
    let now = SystemClock::new().wall();
    database.administer(async |client| {
        crate::migrate::verify(&client, &database).await?;
        let ahead = partitions::make_ahead(&client, config, now.unix_day()).await;
        let (made, denied) = ahead.map_err(|fault| fault.not_stored(database.what("making partitions ahead")))?;
        let built = build(&client, config, now).await;
        let built = built.map_err(|fault| fault.not_stored(database.what("building indexes")))?;
        Ok(Maintained { made, denied, built })
    })
}

/// Whether a leaf's day is over.
pub(crate) fn is_finished(leaf: &Leaf, now: UnixNanos) -> bool {
    leaf.day.is_some_and(|day| (day + 1).saturating_mul(DAY_NANOS).saturating_add(GRACE_NANOS) <= now.0)
}

pub(crate) fn index_name(leaf: &str) -> String {
    format!("{leaf}_by_instrument")
}

/// What the catalog says of a leaf's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexState {
    Missing,
    /// Left by a build that failed or is under way.
    Unfinished,
    Built,
}

pub(crate) async fn index_state(
    client: &ClientWrapper,
    config: &PostgresConfig,
    leaf: &str,
) -> Result<IndexState, Fault> {
    let query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)";
    let row = client.query_opt(query, &[&config.relation(&index_name(leaf))]).await?;
    Ok(match row.map(|row| row.get::<_, bool>(0)) {
        None => IndexState::Missing,
        Some(false) => IndexState::Unfinished,
        Some(true) => IndexState::Built,
    })
}

pub(crate) async fn build(
    client: &ClientWrapper,
    config: &PostgresConfig,
    now: UnixNanos,
) -> Result<Vec<Built>, Fault> {
    let mut built = Vec::new();
    let locked = client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]).await?;
    if !locked.get::<_, bool>(0) {
        return Ok(built); // another session builds
    }
    for leaf in leaves(client, config).await? {
        if !is_finished(&leaf, now) {
            continue;
        }
        let (relation, index) = (config.relation(&leaf.name), config.relation(&index_name(&leaf.name)));
        match index_state(client, config, &leaf.name).await? {
            IndexState::Built => continue,
            IndexState::Unfinished => client.batch_execute(&format!("DROP INDEX CONCURRENTLY {index}")).await?,
            IndexState::Missing => {}
        }
        let columns = leaf.table.index_columns(config.layout);
        let name = index_name(&leaf.name);
        client.batch_execute(&format!("CREATE INDEX CONCURRENTLY \"{name}\" ON {relation} ({columns})")).await?;
        tracing::info!(partition = leaf.name, "index of a finished day built");
        built.push(Built { partition: leaf.name, index: name });
    }
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await?;
    Ok(built)
}

/// The sink's own maintenance: a thread for each look, at most one at a time.
pub(crate) struct Background {
    database: Database,
    due: MonoNanos,
    stop: Arc<AtomicBool>,
    running: Option<JoinHandle<()>>,
}

impl Background {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, due: MonoNanos(0), stop: Arc::default(), running: None }
    }

    /// Looks for finished days when it is time to.
    pub(crate) fn tick(&mut self, now: MonoNanos, wall: UnixNanos) {
        let is_busy = self.running.as_ref().is_some_and(|thread| !thread.is_finished());
        if !self.database.config.build_indexes || now < self.due || is_busy {
            return;
        }
        self.due = MonoNanos(now.0.saturating_add(EVERY_NANOS));
        let (database, stop) = (self.database.clone(), self.stop.clone());
        let thread = std::thread::Builder::new().name("postgres-index".to_owned());
        match thread.spawn(move || run(&database, wall, &stop)) {
            Ok(thread) => self.running = Some(thread),
            Err(error) => tracing::warn!(%error, "no thread for building indexes; it is tried again"),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.running.take()
            && thread.join().is_err()
        {
            tracing::error!("building indexes panicked");
        }
    }
}

/// One look. An index that is under way when the sink goes is finished by the server, or dropped by the next look.
fn run(database: &Database, now: UnixNanos, stop: &AtomicBool) {
    let work = async {
        let client = database.admin().await?;
        build(&client, &database.config, now).await?;
        if let Some(keep_days) = database.config.retain_days {
            drop_older(&client, &database.config, now.unix_day() - i64::from(keep_days.get()), false).await?;
        }
        Ok::<(), Fault>(())
    };
    let stopped = async {
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(STOP_LOOK).await;
        }
    };
    let result = runtime().map(|runtime| {
        runtime.block_on(async {
            futures_util::pin_mut!(work, stopped);
            match futures_util::future::select(work, stopped).await {
                futures_util::future::Either::Left((done, _)) => done,
                futures_util::future::Either::Right(_) => Ok(()),
            }
        })
    });
    match result {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => tracing::warn!(error = %fault, "looking after finished days failed; it is tried again"),
        Err(error) => tracing::warn!(error = error_text(&error), "building indexes failed; it is tried again"),
    }
}
