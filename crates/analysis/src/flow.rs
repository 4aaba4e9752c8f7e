//! What goes from stage to stage: blocks to the processor, items to the engine, derived records back to storage.

use feedd_core::Block;
use feedd_model::{Bar, Derived};
use std::sync::Arc;

/// What the processor hands to the engine. An analysis *cycle* is one [`Item::Bar`].
///
/// The engine sees events and bars in the order of the record: before a bar, the events of its block up to `upto`; after the
/// last bar of a block, [`Item::BlockEnd`] brings the rest.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "an item is moved once, and a box would be an allocation")]
pub enum Item {
    /// A finished (symbol, interval) cycle.
    Bar {
        /// The bar.
        bar: Bar,
        /// Shared, not copied.
        block: Arc<Block>,
        /// Events of the block that happened before the bar came out.
        upto: u32,
    },
    /// No more bars in this block. Sent when somebody looks at single events (a strategy on trades or quotes, a paper book).
    BlockEnd {
        /// Shared, not copied.
        block: Arc<Block>,
    },
    /// The lane skipped events before what follows: bars are partial, indicators start again.
    Skipped {
        /// How many events.
        events: u64,
    },
}

/// Where the processor puts what the engine is to see: in a run the link to the engine, in tests a list.
pub trait Items {
    /// Takes one item. May wait for room; never drops.
    fn put(&mut self, item: Item);
}

impl Items for Vec<Item> {
    fn put(&mut self, item: Item) {
        self.push(item);
    }
}

/// Where a stage puts the records it makes: in a run the ring that leads back to storage, in tests a list.
pub trait Records {
    /// Takes one record. May wait for room; never drops.
    fn put(&mut self, record: &Derived);

    /// What was put since the last call is all for now: the records of a block, or those of an item.
    fn end(&mut self) {}
}

impl Records for Vec<Derived> {
    fn put(&mut self, record: &Derived) {
        self.push(*record);
    }
}
