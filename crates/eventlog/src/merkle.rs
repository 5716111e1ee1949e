//! Merkle tree over the records of a shard, hashed as RFC 6962 (section 2.1) says.

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Hash of a leaf: `SHA-256(0x00 || record)`.
pub fn leaf_hash(record: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0u8]);
    hasher.update(record);
    hasher.finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1u8]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// The right edge of a tree: what is needed to append leaves and to know the
/// root, in space logarithmic in the size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of the perfect subtrees, largest first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        // Each trailing one-bit of the old size is a perfect subtree that the
        // new leaf completes into the next larger one.
        let mut bits = self.size;
        while bits & 1 == 1 {
            let left = self.peaks.pop().expect("one peak per one-bit of the size");
            node = node_hash(&left, &node);
            bits >>= 1;
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// Root of the tree; of an empty one, the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else {
            return Sha256::digest([]).into();
        };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }

    /// The peaks, one after the other, for storage beside the size.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    /// Reads what [`Frontier::to_bytes`] wrote.
    ///
    /// Returns nothing if the bytes are not those of a tree of that size.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != size.count_ones() as usize * 32 {
            return None;
        }
        let peaks = bytes
            .chunks_exact(32)
            .map(|chunk| chunk.try_into().expect("chunks of 32 bytes"))
            .collect();
        Some(Self { size, peaks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962, section 2.1, taken literally.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                let k = if k == leaves.len() { k / 2 } else { k };
                node_hash(
                    &root_by_definition(&leaves[..k]),
                    &root_by_definition(&leaves[k..]),
                )
            }
        }
    }

    #[test]
    fn frontier_agrees_with_the_definition() {
        let mut frontier = Frontier::default();
        let mut leaves = Vec::new();
        for n in 0u32..130 {
            assert_eq!(frontier.root(), root_by_definition(&leaves), "size {n}");
            let again = Frontier::from_bytes(frontier.size(), &frontier.to_bytes());
            assert_eq!(again.as_ref(), Some(&frontier));
            let leaf = leaf_hash(&n.to_be_bytes());
            leaves.push(leaf);
            frontier.push(leaf);
        }
    }

    #[test]
    fn a_known_tree() {
        // Published test vector of certificate transparency: one empty leaf.
        let mut frontier = Frontier::default();
        frontier.push(leaf_hash(&[]));
        let hex: String = frontier
            .root()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    #[test]
    fn bytes_of_another_size_are_refused() {
        assert_eq!(Frontier::from_bytes(3, &[0; 32]), None);
    }
}
