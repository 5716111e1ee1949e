//! Where relays begin that there were none of.

use std::collections::{BTreeMap, BTreeSet};

use tally_eventlog::append::Checkpoint;
use tally_eventlog::archive::{
    Archive, ArchiveError, ArchiveParts, CheckpointPart, Part, Parts, Recovered,
};
use tally_eventlog::shard::Shard;

use crate::role::Role;

/// Fresh topics hold nothing, and a reader gets from the owner what its topic does not
/// have. So a relay begins where the last of the readers is that follow its log in
/// other processes: nothing is sent that all of them have, and nothing is left to be
/// asked of the owner one by one. Where nobody keeps a place, it begins at the start.
pub(super) fn begin_relays(
    archives: &BTreeMap<Role, &Archive>,
) -> Result<BTreeMap<Role, Vec<CheckpointPart>>, ArchiveError> {
    let mut readers: Vec<(Role, CheckpointPart)> = Vec::new();
    for (role, archive) in archives {
        let checkpoints = archive.checkpoints()?.into_iter();
        readers.extend(checkpoints.map(|checkpoint| (*role, checkpoint)));
    }
    let mut begun = BTreeMap::new();
    for (role, archive) in archives {
        let mut relays = Vec::new();
        for (log, relay) in role.relays() {
            let entry = archive
                .manifest
                .logs
                .iter()
                .find(|entry| entry.name == log.0);
            let Some(entry) = entry else { continue };
            let theirs = readers
                .iter()
                .filter(|(of, one)| of != role && one.checkpoint.log_id.to_string() == entry.id);
            let theirs: Vec<&CheckpointPart> = theirs.map(|(_, one)| one).collect();
            relays.extend(last_places(relay, &theirs, archive.manifest.shards));
        }
        begun.insert(*role, relays);
    }
    Ok(begun)
}

/// On each shard, the place of the reader that is the furthest behind; nothing where
/// one has not begun.
fn last_places(relay: &str, readers: &[&CheckpointPart], shards: u16) -> Vec<CheckpointPart> {
    let names: BTreeSet<&str> = readers.iter().map(|one| one.consumer.as_str()).collect();
    let mut places = Vec::new();
    for shard in (0..shards).map(Shard) {
        let of_shard: Vec<_> = readers.iter().filter(|one| one.shard == shard).collect();
        if of_shard.len() < names.len() {
            continue;
        }
        if let Some(last) = of_shard.iter().min_by_key(|one| one.checkpoint.next) {
            let checkpoint = Checkpoint {
                hint: None,
                ..last.checkpoint.clone()
            };
            places.push(CheckpointPart::new(relay, shard, checkpoint));
        }
    }
    places
}

/// The parts of an archive, and checkpoints that it does not have.
pub(super) struct With {
    pub(super) parts: Recovered<ArchiveParts>,
    pub(super) more: Option<Part>,
}

impl Parts for With {
    fn next(&mut self) -> Result<Option<Part>, ArchiveError> {
        let part = self.parts.next()?;
        Ok(part.or_else(|| self.more.take()))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn place(consumer: &str, shard: u16, next: u64) -> CheckpointPart {
        let checkpoint = Checkpoint {
            next,
            log_id: Uuid::from_u128(1),
            leaf: [next as u8; 32],
            seen_at: Timestamp::UNIX_EPOCH,
            epoch: 3,
            hint: Some(4),
        };
        CheckpointPart::new(consumer, Shard(shard), checkpoint)
    }

    #[test]
    fn a_relay_begins_where_the_last_reader_is() {
        let readers = [
            place("sanctions.lists", 0, 7),
            place("sanctions.lists", 1, 9),
            place("sanctions.lists", 2, 4),
            place("audit.lists", 0, 5),
            place("audit.lists", 1, 9),
        ];
        let readers: Vec<&CheckpointPart> = readers.iter().collect();
        let places = last_places("relay.lists", &readers, 4);
        let told: Vec<_> = places
            .iter()
            .map(|at| {
                (
                    at.consumer.as_str(),
                    at.shard.0,
                    at.checkpoint.next,
                    at.checkpoint.leaf[0],
                )
            })
            .collect();
        // One of them has not begun on shard 2, and nobody on shard 3.
        assert_eq!(told, [("relay.lists", 0, 5, 5), ("relay.lists", 1, 9, 9)]);
        assert!(places.iter().all(|at| at.checkpoint.hint.is_none()));
        assert_eq!(last_places("relay.catalog", &[], 4), []);
    }
}
