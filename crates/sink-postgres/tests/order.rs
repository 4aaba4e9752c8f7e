//! P2, its twin: a writer that stores the rows and moves the position in two transactions, as it is naively done, doubles or
//! loses rows when a connection is cut between them, and the judge finds it; the sink does neither at any of its messages.
//! Needs a server.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use common::{Store, trades};
use feedd_sink_postgres::Layout;
use feedd_testkit::promise::{self, Report};
use feedd_testkit::proxy::{At, Cut, Direction, How, Proxy};
use matrix::{BATCH, Delivery, Judged, Messages, boundaries, judge, open, proxy, with_tcp};
use std::pin::pin;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

mod common;
mod matrix;

/// What a naive writer does first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Rows,
    Position,
}

/// Stores rows that the sink has encoded before, and asks for the position after every failure, as delivery does.
struct Naive {
    first: First,
    runtime: Runtime,
    address: String,
    client: Option<Client>,
    /// One line a row, in the order of the sequence.
    rows: Vec<String>,
}

impl Naive {
    /// On the tables of `store`, which hold all the rows: takes them out.
    fn new(store: &Store, proxy: &Proxy, first: First) -> Self {
        let rows = store.sql("COPY (SELECT * FROM trade ORDER BY seq) TO STDOUT").lines().map(str::to_owned).collect();
        store.sql("TRUNCATE trade; UPDATE ledger SET stored_seq = 0");
        let address = format!(
            "host={} port={} user={} password={} dbname={}",
            proxy.address().ip(),
            proxy.address().port(),
            store.server.borrow().user(),
            store.server.borrow().password(),
            store.database
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { first, runtime, address, client: None, rows }
    }

    fn store_until(&mut self, end: usize) {
        for _ in 0..100 {
            let Ok(stored) = self.position() else { continue };
            if stored >= end || self.write(stored, end).is_ok() {
                return;
            }
            self.client = None;
        }
        panic!("it never works again");
    }

    fn position(&mut self) -> Result<usize, tokio_postgres::Error> {
        let client = self.client.take().filter(|client| !client.is_closed());
        let asked = self.runtime.block_on(async {
            let client = match client {
                Some(client) => client,
                None => {
                    let (client, connection) = tokio_postgres::connect(&self.address, NoTls).await?;
                    // How it ends is told by the calls on the client.
                    tokio::spawn(connection);
                    client
                }
            };
            let row = client.query_one("SELECT stored_seq FROM ledger", &[]).await?;
            Ok((client, row.get::<_, i64>(0)))
        });
        let (client, stored) = asked?;
        self.client = Some(client);
        Ok(usize::try_from(stored).unwrap())
    }

    fn write(&self, stored: usize, end: usize) -> Result<(), tokio_postgres::Error> {
        let client = self.client.as_ref().unwrap();
        self.runtime.block_on(async {
            if self.first == First::Position {
                Self::move_position(client, end).await?;
            }
            client.batch_execute("BEGIN").await?;
            let mut copy = pin!(client.copy_in("COPY trade FROM STDIN").await?);
            let lines = bytes::Bytes::from(self.rows[stored..end].join("\n") + "\n");
            futures_util::SinkExt::send(&mut copy, lines).await?;
            copy.finish().await?;
            client.batch_execute("COMMIT").await?;
            if self.first == First::Rows {
                Self::move_position(client, end).await?;
            }
            Ok(())
        })
    }

    async fn move_position(client: &Client, end: usize) -> Result<(), tokio_postgres::Error> {
        client.batch_execute(&format!("UPDATE ledger SET stored_seq = {end}")).await
    }
}

/// Messages of the second batch, then every boundary of one batch each, by FIN and by RST: how many were met.
fn cut_everywhere(proxy: &Proxy, mut store_until: impl FnMut(usize)) -> (usize, usize) {
    let count = |way| proxy.counters().messages_of(way);
    store_until(BATCH);
    let before = (count(Direction::ToServer), count(Direction::ToClient));
    store_until(2 * BATCH);
    let messages =
        Messages { to_server: count(Direction::ToServer) - before.0, to_client: count(Direction::ToClient) - before.1 };
    let mut cuts = boundaries(messages);
    cuts.extend([How::Fin, How::Rst].map(|how| Cut { at: At::CommitReply { nth: 1 }, how }));
    let mut met = 0;
    for (cut, batch) in cuts.iter().zip(3..) {
        proxy.arm(cut.clone());
        store_until(batch * BATCH);
        met += usize::from(proxy.disarm() == 0);
    }
    store_until((cuts.len() + 3) * BATCH);
    (met, (cuts.len() + 3) * BATCH)
}

#[test]
fn rows_and_position_in_two_transactions_double_or_lose_rows_and_in_one_they_do_not() {
    let Some(server) = with_tcp() else { return };
    let seed = promise::seed();
    let events = trades(200 * BATCH);
    let tell = |name: &str, met: usize, judged: &Judged| println!("{name}: {met} cuts, {judged:?}");

    let (store, through) = (Store::new(&server, Layout::Compact), proxy(&server));
    let mut delivery = Delivery::new(open(&store, &through), seed);
    let (met, stored) = cut_everywhere(&through, |end| delivery.store(&events, end));
    let judged = judge(&store, &events[..stored]);
    tell("in one transaction", met, &judged);
    Report::new("P2")
        .runs(met as u64)
        .faults(met as u64)
        .fault_kinds("every message of a batch of trades, both ways, FIN and RST")
        .lost(judged.lost)
        .duplicated(judged.duplicated)
        .demand(judged.altered == 0, "rows differ from what was offered")
        .seed(seed)
        .finish();

    for first in [First::Rows, First::Position] {
        let store = Store::new(&server, Layout::Compact);
        common::deliver(&mut store.recovered(), &events, 0..events.len());
        let through = proxy(&server);
        let mut naive = Naive::new(&store, &through, first);
        let (met, stored) = cut_everywhere(&through, |end| naive.store_until(end));
        let judged = judge(&store, &events[..stored]);
        tell(&format!("{first:?} first"), met, &judged);
        assert_eq!(judged.altered, 0, "{first:?}");
        match first {
            First::Rows => assert!(judged.duplicated > 0 && judged.lost == 0, "the cuts are blunt: {judged:?}"),
            First::Position => assert!(judged.lost > 0 && judged.duplicated == 0, "the cuts are blunt: {judged:?}"),
        }
    }
}
