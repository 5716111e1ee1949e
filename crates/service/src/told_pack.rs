//! Which policy pack a follower was last told of.

use std::sync::Arc;

use tokio::sync::watch;

use crate::catalogue::Catalogue;

/// Tells when the active pack is another than the one that a follower was told
/// of: nothing has to be recorded about a subject for less of it to be public.
#[derive(Debug)]
pub struct ToldPack {
    catalogue: Arc<Catalogue>,
    changes: watch::Receiver<String>,
    told: Option<String>,
}

impl ToldPack {
    /// For a follower that was told of none: it may come from an older one.
    pub fn new(catalogue: &Arc<Catalogue>) -> Self {
        Self {
            catalogue: catalogue.clone(),
            changes: catalogue.changes(),
            told: None,
        }
    }

    /// Notes what an item says that is the active pack's version, and gives it.
    pub fn tell(&mut self, version: &str) -> String {
        self.told.insert(version.to_owned()).clone()
    }

    /// Version of the active pack; empty without one.
    pub fn active(&self) -> String {
        let active = self.catalogue.try_active();
        active.map_or_else(String::new, |policy| policy.version().to_owned())
    }

    /// Waits until the active pack is another than the follower was told.
    pub async fn outdated(&mut self) {
        loop {
            self.changes.borrow_and_update();
            if self.told.as_ref() != Some(&self.active()) {
                return;
            }
            if self.changes.changed().await.is_err() {
                // No pack comes any more.
                return std::future::pending().await;
            }
        }
    }
}
