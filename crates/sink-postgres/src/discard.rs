//! Removing a whole schema: for trials that made one of their own.

use crate::config::PostgresConfig;
use crate::connect::Database;
use crate::error::Fault;
use feedd_core::SinkError;

/// Drops the configured schema with everything in it; nothing to do when there is none. Whoever calls this has made the
/// schema: nothing is asked again.
///
/// # Errors
/// [`SinkError`] when the server cannot be asked or the role may not.
pub fn discard(config: &PostgresConfig) -> Result<(), SinkError> {
    let database = Database::new(config.clone())?;
    database.administer(async |client| {
        let sql = format!("SET lock_timeout = '10s'; DROP SCHEMA IF EXISTS \"{}\" CASCADE", database.config.schema);
        let dropped = client.batch_execute(&sql).await.map_err(Fault::from);
        dropped.map_err(|fault| fault.not_stored(database.what("dropping the schema")))
    })
}
