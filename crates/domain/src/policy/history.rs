//! The packs loaded so far.

use std::sync::Arc;

use super::Pack;

/// Every pack loaded so far in order; the newest is active, the others answer for what was judged by them.
#[derive(Debug, Clone, Default)]
pub struct PolicyHistory {
    packs: Vec<Arc<Pack>>,
}

/// Why a pack cannot join the history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryFault {
    /// Events already cite that version with other content; publish the pack under a new version.
    #[error("pack version `{version}` was already loaded with other content")]
    VersionTaken {
        /// The version in question.
        version: String,
    },
}

impl PolicyHistory {
    /// Adds a pack and makes it active. Returns whether anything changed: a repeat of a loaded pack changes nothing.
    ///
    /// # Errors
    ///
    /// [`HistoryFault::VersionTaken`]: publish the pack under a new version.
    pub fn load(&mut self, pack: Arc<Pack>) -> Result<bool, HistoryFault> {
        let version = &pack.meta.version;
        match self.get(version) {
            None => {
                self.packs.push(pack);
                Ok(true)
            }
            Some(known) if **known == *pack => Ok(false),
            Some(_) => Err(HistoryFault::VersionTaken {
                version: version.clone(),
            }),
        }
    }

    /// The pack by which decisions are judged now; `None` before the first is loaded.
    pub fn active(&self) -> Option<&Arc<Pack>> {
        self.packs.last()
    }

    /// The pack of that version, by which an earlier decision was judged.
    pub fn get(&self, version: &str) -> Option<&Arc<Pack>> {
        self.packs.iter().find(|pack| pack.meta.version == version)
    }

    /// All packs, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Pack>> {
        self.packs.iter()
    }
}
