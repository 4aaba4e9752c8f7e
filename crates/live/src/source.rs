//! A live source: one shard of a venue's streams, recorded by one thread.

use crate::ask_book::BookDesk;
use crate::change::Change;
use crate::config::LiveConfig;
use crate::io::{CertificatesError, Driver, DriverParts, Net, Resolver, connector};
use crate::plan::Shard;
use crate::protocol::protocol_of;
use crate::session::Session;
use crate::stream::StreamKind;
use crate::tape::{Tape, TapeOf, Tapes};
use feedd_core::mailbox::Mailbox;
use feedd_core::{Outlet, Source, SourceError};
use feedd_model::UnixNanos;
use feedd_venues::capture::{Direction, TapeNote};
use feedd_venues::intake::{Intake, IntakeParts};
use feedd_venues::known_trades::EarlierTrades;
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
    desk: Arc<BookDesk>,
    mailbox: Arc<Mailbox<Change>>,
    earlier: Option<Arc<EarlierTrades>>,
}

/// What earlier starts have stored of the trades that a shard records.
#[derive(Clone)]
pub(crate) struct Earlier {
    trades: Arc<EarlierTrades>,
    venue: &'static str,
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
        let desk = Arc::new(BookDesk::new(&parts.name, config.market.venue()));
        let mailbox = Arc::new(Mailbox::new(&parts.name));
        Ok(Self { parts, config, shard, net: Arc::new(net), tape, seed: live.seed, desk, mailbox, earlier: None })
    }

    /// Where it is asked for its books while it runs.
    #[must_use]
    pub fn desk(&self) -> Arc<BookDesk> {
        self.desk.clone()
    }

    /// Where it is told what is to change while it runs.
    #[must_use]
    pub fn mailbox(&self) -> Arc<Mailbox<Change>> {
        self.mailbox.clone()
    }

    /// Goes on from what earlier starts have stored.
    #[must_use]
    pub fn after(self, earlier: Arc<EarlierTrades>) -> Self {
        Self { earlier: Some(earlier), ..self }
    }

    /// What earlier starts have stored, if this shard records trades.
    fn earlier(&self) -> Option<Earlier> {
        let has_trades = self.shard.streams.iter().any(|stream| stream.kind == StreamKind::Trades);
        let trades = self.earlier.clone().filter(|_| has_trades)?;
        Some(Earlier { trades, venue: self.config.market.venue() })
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

impl Earlier {
    /// Tells checker and tape what is stored of a symbol's trades. To be told before its first message.
    pub(crate) fn tell(&self, symbol: &str, at: UnixNanos, intake: &mut Intake, tape: Option<&mut Tape>) {
        let Some(known) = self.trades.of(self.venue, symbol) else { return };
        if let Some(tape) = tape {
            let note = TapeNote::Known(symbol.to_owned(), Box::new(known.clone()));
            tape.line(at, "-", Direction::Control, &note.to_string());
        }
        intake.know(symbol, known);
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
        let mut intake = self.intake(outlet)?;
        let earlier = self.earlier();
        let at = outlet.clock().wall();
        for symbol in self.shard.symbols() {
            earlier.iter().for_each(|earlier| earlier.tell(symbol, at, &mut intake, self.tape.as_mut()));
        }
        let protocol = protocol_of(&self.config);
        let session = Session::new(self.config.clone(), protocol, self.shard.clone(), self.seed);
        let (net, tape) = (self.net.clone(), self.tape.take());
        let (desk, mailbox) = (self.desk.clone(), self.mailbox.clone());
        let parts = DriverParts { net, session, intake, tape, desk, mailbox, earlier };
        runtime.block_on(async { Driver::new(parts, outlet).drive().await })
    }
}
