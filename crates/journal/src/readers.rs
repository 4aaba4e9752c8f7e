//! Readers for whoever comes later: while the writer works in its own thread.

use crate::cursor::Cursor;
use crate::disk::Disk;
use crate::tail::Tail;
use std::sync::Arc;

/// Makes readers of a journal. Cheap to clone; lives longer than the journal.
#[derive(Clone, Debug)]
pub struct Readers {
    disk: Arc<dyn Disk>,
    tail: Arc<Tail>,
}

impl Readers {
    pub(crate) fn new(disk: Arc<dyn Disk>, tail: Arc<Tail>) -> Self {
        Self { disk, tail }
    }

    /// A reader from the oldest frame on. It holds nothing back.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.disk.clone(), self.tail.clone())
    }

    /// What readers wait on.
    #[must_use]
    pub fn tail(&self) -> Arc<Tail> {
        self.tail.clone()
    }
}
