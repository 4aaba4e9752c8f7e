//! A live source: one shard of a venue's streams, recorded by one thread.

use crate::config::LiveConfig;
use crate::io::{CertificatesError, Driver, DriverParts, Net, Resolver, connector};
use crate::plan::Shard;
use crate::protocol::protocol_of;
use crate::session::Session;
use crate::tape::{Tape, TapeOf, Tapes};
use feedd_core::{Outlet, Source, SourceError};
use feedd_venues::intake::{Intake, IntakeParts};
use feedd_venues::sources::SourceParts;
use feedd_venues::table::decoder_for;
use std::sync::Arc;

/// Records one shard.
pub struct LiveSource {
    parts: SourceParts,
    config: LiveConfig,
    shard: Shard,
    net: Arc<Net>,
    tape: Option<Tape>,
    seed: u64,
}

/// What a live source needs besides its configuration.
#[derive(Clone, Debug)]
pub struct LiveParts {
    /// Looks names up.
    pub resolver: Resolver,
    /// Where every frame is kept, if it is.
    pub tapes: Option<Arc<Tapes>>,
    /// Of the jitter of waits.
    pub seed: u64,
}

/// Why a live source cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// Nothing to verify certificates by.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// The tape's folder or thread.
    #[error("the tape in {dir} cannot be started")]
    Tape {
        /// Its folder.
        dir: String,
        /// The cause.
        source: std::io::Error,
    },
}

impl LiveSource {
    /// A source that has not connected yet. To be made by a thread that is not pinned: it starts that of the tape. The name
    /// of `parts` is the shard's.
    ///
    /// # Errors
    /// [`LiveError`] when certificates cannot be verified or the tape cannot be written.
    pub fn new(parts: SourceParts, config: LiveConfig, shard: Shard, live: LiveParts) -> Result<Self, LiveError> {
        let is_tls = |address: &String| address.starts_with("wss:") || address.starts_with("https:");
        let needs_tls = config.endpoints.ws.iter().any(is_tls) || is_tls(&config.endpoints.rest);
        let tls = if needs_tls { Some(connector(config.endpoints.ca_file.as_deref())?) } else { None };
        let start = |tapes: &Arc<Tapes>| {
            let rules = protocol_of(&config).rules();
            let of = TapeOf { venue: config.market.venue(), source: parts.name.clone(), rules };
            let error = |source| LiveError::Tape { dir: tapes.config().dir.display().to_string(), source };
            Tape::start(tapes, of).map_err(error)
        };
        let tape = live.tapes.as_ref().map(start).transpose()?;
        let net = Net {
            resolver: live.resolver,
            tls,
            connect: config.periods.connect,
            frame_bytes_max: parts.frame_bytes_max,
        };
        Ok(Self { parts, config, shard, net: Arc::new(net), tape, seed: live.seed })
    }

    fn intake(&self, outlet: &Outlet) -> Result<Intake, SourceError> {
        let venue = self.config.market.venue();
        let what = || SourceError::Recorder { what: format!("no decoder for venue {venue}"), source: None };
        let parts = IntakeParts {
            source: self.parts.name.clone(),
            venue: venue.to_owned(),
            decoder: decoder_for(venue).ok_or_else(what)?,
            validation: self.parts.validation,
            instruments: self.parts.instruments.clone(),
            dead_letters: self.parts.dead_letters.clone(),
            keep_unknown: self.parts.keep_unknown,
            frame_bytes_max: self.parts.frame_bytes_max,
            check: Some(protocol_of(&self.config).rules()),
        };
        Ok(Intake::new(parts, outlet))
    }
}

impl Source for LiveSource {
    fn name(&self) -> &str {
        &self.parts.name
    }

    fn run(&mut self, outlet: &mut Outlet) -> Result<(), SourceError> {
        let failed = |error: std::io::Error| SourceError::Recorder {
            what: "the system gives no event queue for sockets".to_owned(),
            source: Some(error.into()),
        };
        // Of this thread alone: whatever it waits for, it wakes on its own core.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(failed)?;
        let intake = self.intake(outlet)?;
        let protocol = protocol_of(&self.config);
        let session = Session::new(self.config.clone(), protocol, self.shard.clone(), self.seed);
        let parts = DriverParts { net: self.net.clone(), session, intake, tape: self.tape.take() };
        runtime.block_on(async { Driver::new(parts, outlet).drive().await })
    }
}
