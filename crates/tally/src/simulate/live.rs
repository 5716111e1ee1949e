//! What a run has come to so far, for those who look on while it runs.

use std::sync::atomic::{AtomicU64, Ordering};

use super::ledger::Kind;

/// Counts that grow, and one that goes up and down.
#[derive(Debug, Default)]
pub struct Live {
    in_flight: AtomicU64,
    acknowledged: AtomicU64,
    listed: AtomicU64,
    failed: AtomicU64,
}

impl Live {
    /// Attempts that have been sent and not answered.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Commands acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Entries listed so far: that takes what other roles have heard of collection.
    pub fn listed(&self) -> u64 {
        self.listed.load(Ordering::SeqCst)
    }

    /// Attempts that were answered by a fault, or by nothing in time.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::SeqCst)
    }

    pub(super) fn acknowledge(&self, kind: Kind) {
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        let listed = u64::from(kind == Kind::List);
        self.listed.fetch_add(listed, Ordering::SeqCst);
    }

    pub(super) fn fail(&self) {
        self.failed.fetch_add(1, Ordering::SeqCst);
    }

    /// One more attempt is under way as long as what is returned lives.
    pub(super) fn attempt(&self) -> Attempt<'_> {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        Attempt(self)
    }
}

/// An attempt under way.
pub(super) struct Attempt<'a>(&'a Live);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}
