//! Shards and log names.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Shards of a store that is created without another wish.
pub const SHARDS_DEFAULT: u16 = 16;

/// Name of a log, for example `collection` or `sanctions-access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogName(pub &'static str);

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One shard of a log, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(pub u16);

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Number of shards of a store; fixed when the store is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardCount(u16);

impl ShardCount {
    /// A count of shards, 1 to 1024.
    ///
    /// # Errors
    ///
    /// The count itself where it is out of range: choose another.
    pub fn new(count: u16) -> Result<Self, u16> {
        if (1..=1024).contains(&count) {
            Ok(Self(count))
        } else {
            Err(count)
        }
    }

    /// The count.
    pub fn get(self) -> u16 {
        self.0
    }

    /// The shard of a key: a subject's text, or a stream's own id where it is
    /// about no subject. The same key is on the same shard in every service.
    pub fn of(self, key: &str) -> Shard {
        let hash = Sha256::digest(key.as_bytes());
        let word = u64::from_be_bytes(hash[..8].try_into().expect("a SHA-256 has 32 bytes"));
        Shard((word % u64::from(self.0)) as u16)
    }

    /// All shards, in order.
    pub fn all(self) -> impl Iterator<Item = Shard> {
        (0..self.0).map(Shard)
    }
}

impl Default for ShardCount {
    fn default() -> Self {
        Self(SHARDS_DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_on_its_shard() {
        // Golden: a store whose subjects moved would be a store without order.
        let shards = ShardCount::default();
        assert_eq!(
            shards.of("cn-uscc:9152000071430580XT"),
            shards.of("cn-uscc:9152000071430580XT")
        );
        let used: std::collections::BTreeSet<_> =
            (0..1_000).map(|n| shards.of(&n.to_string())).collect();
        assert_eq!(used.len(), 16);
    }
}
