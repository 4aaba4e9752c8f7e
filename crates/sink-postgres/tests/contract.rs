//! The PostgreSQL sink passes the contract of every sink, in both layouts, read back through the views.

use common::{Store, read_all};
use feedd_core::Sink;
use feedd_core::contract::sink::{SinkHarness, Stored, sink_contract};
use feedd_sink_postgres::Layout;

mod common;

struct Harness(Store);

impl SinkHarness for Harness {
    fn open(&mut self) -> Box<dyn Sink> {
        Box::new(self.0.sink())
    }

    fn stored(&mut self) -> Stored {
        Stored::Events(read_all(&self.0))
    }
}

fn run(layout: Layout) {
    let Some(server) = common::server() else { return };
    sink_contract(&mut || Box::new(Harness(Store::new(&server, layout))));
}

#[test]
fn on_a_server_in_the_compact_layout() {
    run(Layout::Compact);
}

#[test]
fn on_a_server_in_the_readable_layout() {
    run(Layout::Readable);
}
