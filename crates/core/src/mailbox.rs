//! Telling a source that runs what is to change. The word is put into the mailbox of its thread, which looks there once a turn:
//! one load of a line that hardly ever changes, nothing for an event.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The mailbox of one source's thread.
#[derive(Debug)]
pub struct Mailbox<C> {
    source: String,
    is_there: AtomicBool,
    changes: Mutex<Vec<C>>,
}

/// The mailboxes of all sources of one kind. Cheap to clone.
#[derive(Debug)]
pub struct Mailboxes<C>(Arc<Mutex<Vec<Arc<Mailbox<C>>>>>);

impl<C> Clone for Mailboxes<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> Default for Mailboxes<C> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<C> Mailboxes<C> {
    /// One more source.
    pub fn add(&self, mailbox: Arc<Mailbox<C>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(mailbox);
    }

    /// Tells the thread of this name; false when there is none.
    #[must_use]
    pub fn tell(&self, source: &str, change: C) -> bool {
        let mailboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = mailboxes.iter().find(|mailbox| mailbox.source == source);
        found.map(|mailbox| mailbox.put(change)).is_some()
    }
}

impl<C> Mailbox<C> {
    /// Empty, of the source with this name.
    #[must_use]
    pub fn new(source: &str) -> Self {
        Self { source: source.to_owned(), is_there: AtomicBool::new(false), changes: Mutex::new(Vec::new()) }
    }

    fn put(&self, change: C) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.push(change);
        // Within the lock, as it is taken back: a change is never left unseen. The lock orders what it protects.
        self.is_there.store(true, Ordering::Relaxed);
    }

    /// Whether something is to change.
    #[inline]
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }

    /// What is to change, in order. While somebody is putting something there, it is left for the next turn.
    #[cold]
    #[must_use]
    pub fn take(&self) -> Vec<C> {
        let Ok(mut changes) = self.changes.try_lock() else { return Vec::new() };
        self.is_there.store(false, Ordering::Relaxed);
        std::mem::take(&mut *changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_once_by_whom_it_is_for() {
        let (mailboxes, kraken) = (Mailboxes::default(), Arc::new(Mailbox::new("kraken")));
        mailboxes.add(Arc::new(Mailbox::new("okx")));
        mailboxes.add(kraken.clone());
        assert!(!mailboxes.tell("kraken.2", 'A'), "nobody is called so");
        assert!(!kraken.is_there());
        assert!(mailboxes.tell("kraken", 'A') && mailboxes.tell("kraken", 'B'));
        assert!(kraken.is_there());
        assert_eq!(kraken.take(), ['A', 'B']);
        assert!(!kraken.is_there());
        assert_eq!(kraken.take(), []);
    }
}
