//! The numbers of a mailbox: from 1 without a gap per shard, in the order of the
//! log. Pure.

use std::collections::BTreeMap;

/// Where a mailbox was read to, by shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Number and position of the last item.
    last: BTreeMap<u32, (u64, u64)>,
}

impl Numbers {
    /// Takes the next item of a shard.
    ///
    /// # Errors
    ///
    /// What does not follow from the item before, in words. The next one is held
    /// against this one all the same, so that one gap is one fault.
    pub fn take(&mut self, shard: u32, number: u64, position: u64) -> Result<(), String> {
        let before = self.last.insert(shard, (number, position));
        let expected = before.map_or(1, |(number, _)| number + 1);
        if number != expected {
            return Err(format!(
                "shard {shard} has number {number} where {expected} was expected"
            ));
        }
        match before {
            Some((_, earlier)) if position <= earlier => Err(format!(
                "shard {shard} has number {number} of position {position} after position {earlier}"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(items: &[(u32, u64, u64)]) -> usize {
        let mut numbers = Numbers::default();
        let taken = items.iter();
        taken
            .filter(|(shard, number, position)| numbers.take(*shard, *number, *position).is_err())
            .count()
    }

    #[test]
    fn numbers_go_on_by_one_in_each_shard() {
        assert_eq!(faults(&[(0, 1, 4), (1, 1, 2), (0, 2, 9), (1, 2, 3)]), 0);
    }

    #[test]
    fn a_gap_a_repetition_and_a_late_beginning_are_one_fault_each() {
        assert_eq!(faults(&[(0, 1, 4), (0, 3, 9), (0, 4, 10)]), 1);
        assert_eq!(faults(&[(0, 1, 4), (0, 2, 9), (0, 2, 9), (0, 3, 10)]), 1);
        assert_eq!(faults(&[(0, 2, 4), (0, 3, 9)]), 1);
    }

    #[test]
    fn positions_follow_the_log() {
        assert_eq!(faults(&[(0, 1, 9), (0, 2, 4)]), 1);
    }
}
