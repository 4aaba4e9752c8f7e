//! A PostgreSQL server behind a proxy, that can be dead in several ways.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use super::common::pg;
use feedd_testkit::postgres::Server;
use feedd_testkit::proxy::{Faults, How, Plan, Proxy, Sides, Target};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Connections are cut, new ones refused.
    Refuse,
    /// Nothing is answered.
    Hang,
    /// One byte a second.
    Crawl,
    /// The server answers every batch with "disk full".
    Raise,
}

impl Fault {
    pub(crate) const ALL: [Self; 4] = [Self::Refuse, Self::Hang, Self::Crawl, Self::Raise];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refused connections",
            Self::Hang => "hanging connections",
            Self::Crawl => "one byte a second",
            Self::Raise => "an error for every batch",
        }
    }

    const fn on_the_wire(self) -> Faults {
        let none = Sides { to_server: false, to_client: false };
        Faults {
            refuse: matches!(self, Self::Refuse),
            stall: if matches!(self, Self::Hang) { Sides::BOTH } else { none },
            swallow: none,
            delay: Duration::ZERO,
            piece_bytes_max: 0,
            bytes_per_second_max: if matches!(self, Self::Crawl) { 1 } else { 0 },
        }
    }
}

/// A server behind a proxy.
pub(crate) struct Store {
    pub(crate) server: Server,
    pub(crate) database: String,
    proxy: Proxy,
}

impl Store {
    pub(crate) fn new() -> Option<Self> {
        let server = Server::start()?;
        let database = server.create_database();
        let proxy = Proxy::start(Target::Unix(server.socket()), Plan::default());
        Some(Self { server, database, proxy })
    }

    pub(crate) fn settings(&self) -> Vec<String> {
        pg::settings("127.0.0.1", self.proxy.address().port(), &self.database)
    }

    pub(crate) fn confirmed(&self, epoch: u32) -> u64 {
        pg::confirmed(&self.server, &self.database, epoch)
    }

    /// From here on the store is at fault.
    pub(crate) fn spoil(&self, fault: Fault) {
        self.proxy.set(fault.on_the_wire());
        match fault {
            Fault::Refuse => self.proxy.cut_now(How::Rst),
            Fault::Raise => drop(self.sql(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
                 $$BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END$$;
                 CREATE TRIGGER full_disk BEFORE INSERT ON trade FOR EACH ROW EXECUTE FUNCTION full_disk();",
            )),
            Fault::Hang | Fault::Crawl => {}
        }
    }

    pub(crate) fn heal(&self, fault: Fault) {
        self.proxy.set(Faults::default());
        if matches!(fault, Fault::Raise) {
            self.sql("DROP FUNCTION full_disk CASCADE");
        }
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        // Not for longer than a batch can hold the table.
        self.server.psql(&self.database, &format!("SET client_min_messages = error; SET lock_timeout = '60s'; {sql}"))
    }
}

/// What a sink has stored by the last health line.
pub(crate) fn stored(said: &str, sink: &str) -> u64 {
    let Some((_, last)) = said.rsplit_once(&format!("| Stored {sink}: ")) else { return 0 };
    // The end of the text may cut a number off: one counts with what follows it.
    last.split_once(' ').and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}
