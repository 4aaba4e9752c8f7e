//! What feeds the recorder: exchanges of `venue-sim`, one for each source, in a process of their own. They send by the
//! clock, whatever becomes of what was sent before; what the socket does not take waits for it here.

use super::child::{Asked, Child, answer};
use crate::cli::RoleArg;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use venue_sim::{Config, Limits, Pace, Server, Summary, SymbolSpec, Venue};

/// Steps a second of each exchange until it is told another pace: enough for the books to be joined soon.
pub(super) const STEPS_AT_START: u64 = 10_000;
/// Price levels of a side.
const LEVELS: usize = 50;
/// What waits for a connection: an overloaded step must not end it.
const QUEUE_BYTES_MAX: usize = 4 << 30;

/// What to play.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    /// Of each exchange.
    pub(super) symbols: Vec<Vec<String>>,
    pub(super) tls: bool,
}

/// Where an exchange is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Address {
    pub(super) ws: String,
    pub(super) rest: String,
    /// The certificate to trust.
    pub(super) ca: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Request {
    Look,
    /// So many steps a second of all exchanges together.
    Pace(u64),
    /// As fast as it is taken.
    Max,
    /// Stands still; what was collected to be sent later is sent.
    Settle,
}

/// All exchanges together.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Look {
    /// Facts of the market, each of which is one frame for who subscribed to it.
    pub(super) made: u64,
    /// Frames sent.
    pub(super) sent: u64,
    /// Steps that are due and not made.
    pub(super) late: u64,
    /// Steps that never will be made.
    pub(super) skipped: u64,
    /// Times that a socket did not take everything.
    pub(super) blocked: u64,
}

/// The process, as it is seen from outside.
#[derive(Debug)]
pub(super) struct Generator {
    child: Child,
    pub(super) addresses: Vec<Address>,
}

impl Generator {
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(setup: &Setup, cores: &[usize]) -> Result<Self> {
        let (child, addresses) = Child::start(RoleArg::Generator, cores, setup)?;
        Ok(Self { child, addresses })
    }

    /// # Errors
    /// When it does not answer; likewise below.
    pub(super) fn look(&mut self) -> Result<Look> {
        self.child.ask(&Request::Look)
    }

    /// Goes on, at so many steps a second.
    pub(super) fn go(&mut self, steps_per_s: u64) -> Result<()> {
        self.child.ask(&Request::Pace(steps_per_s))
    }

    /// Goes on, as fast as its frames are taken.
    pub(super) fn go_at_most(&mut self) -> Result<()> {
        self.child.ask(&Request::Max)
    }

    /// Stands still; what was collected to be sent later is sent.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.child.ask(&Request::Settle)
    }
}

/// The process itself, until its input ends.
///
/// # Errors
/// When a server cannot be started, or nobody listens.
pub(super) fn play(mut asked: Asked) -> Result<()> {
    let setup: Setup = asked.next()?.context("nothing to set up")?;
    let servers: Result<Vec<Server>> =
        setup.symbols.iter().zip(1..).map(|(s, seed)| serve(s, seed, setup.tls)).collect();
    let servers = match servers {
        Ok(servers) => servers,
        Err(error) => return answer::<()>(Err(error)),
    };
    let address = |server: &Server| Address {
        ws: server.ws_url(""),
        rest: server.rest_url(),
        ca: server.ca_path().map(|path| path.display().to_string()),
    };
    answer(Ok(servers.iter().map(address).collect::<Vec<_>>()))?;
    while let Some(request) = asked.next()? {
        match request {
            Request::Look => {
                answer(Ok(look(&servers)))?;
                continue;
            }
            Request::Pace(steps) => go(&servers, Pace::PerSecond((steps / servers.len() as u64).max(1))),
            Request::Max => go(&servers, Pace::Max),
            Request::Settle => servers.iter().for_each(Server::settle_market),
        }
        answer(Ok(()))?;
    }
    Ok(())
}

fn serve(symbols: &[String], seed: u64, tls: bool) -> Result<Server> {
    let spec = |name: &String| SymbolSpec { name: name.clone(), price: 1_000_000, price_decimals: 4, size_decimals: 3 };
    let config = Config {
        tls,
        seed,
        symbols: symbols.iter().map(spec).collect(),
        pace: Pace::PerSecond(STEPS_AT_START),
        levels: LEVELS,
        limits: Limits::default(),
        queue_bytes_max: QUEUE_BYTES_MAX,
        ..Config::new(Venue::Binance)
    };
    Server::start(config).context("starting an exchange")
}

fn go(servers: &[Server], pace: Pace) {
    for server in servers {
        server.set_pace(pace);
        server.resume_market();
    }
}

fn look(servers: &[Server]) -> Look {
    let mut look = Look::default();
    for Summary { trades, quotes, depths, frames_sent, steps_late, steps_skipped, blocked, .. } in
        servers.iter().map(Server::summary)
    {
        look.made += trades + quotes + depths;
        look.sent += frames_sent;
        look.late += steps_late;
        look.skipped += steps_skipped;
        look.blocked += blocked;
    }
    look
}
