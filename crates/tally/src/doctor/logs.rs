//! Whether readers have applied more than a log has: then it was restored or
//! replaced behind their backs.

use tally_eventlog::shard::LogName;
use tally_service::logs;

use super::Finding;
use super::processes::Process;
use super::readers::diverged;

/// One finding for each log that is read.
pub(super) fn judge(processes: &[Process]) -> Vec<Finding> {
    logs::ALL
        .into_iter()
        .filter_map(|log| of(log, processes))
        .collect()
}

fn of(log: LogName, processes: &[Process]) -> Option<Finding> {
    let answers = processes
        .iter()
        .filter_map(|process| process.answer.as_ref().ok());
    let readers: Vec<_> = answers
        .flat_map(|answer| &answer.status.readers)
        .filter(|reader| reader.source == log.0)
        .collect();
    let what = format!("log {log}");
    let mut of_owner = processes
        .iter()
        .flat_map(|process| &process.heads)
        .filter(|(name, _)| *name == log)
        .map(|(_, heads)| heads);
    let heads = match of_owner.next() {
        Some(Ok(heads)) => heads,
        Some(Err(reason)) => {
            let detail = format!("its owner does not say how far it reaches: {reason}");
            return Some(Finding::fault(what, detail, "look at the owner's log"));
        }
        // That the owner says nothing has been told.
        None if readers.is_empty() => return None,
        None => {
            let detail = "not compared with its readers: the owner says nothing";
            let remedy = "see to the owner, and ask again";
            return Some(Finding::warning(what, detail, remedy));
        }
    };
    let mut ahead = Vec::new();
    for reader in &readers {
        for (shard, applied) in reader.applied.iter().enumerate() {
            // A shard that the log lacks is told of with the numbers of shards.
            let size = heads.get(shard).copied().unwrap_or_default();
            if *applied > size {
                ahead.push(format!(
                    "{} has applied {applied} of shard {shard}, which has {size}",
                    reader.consumer
                ));
            }
        }
    }
    if !ahead.is_empty() {
        let detail = format!(
            "the log of {log} was restored or replaced: {}",
            ahead.join("; ")
        );
        return Some(Finding::fault(what, detail, diverged(log.0)));
    }
    let size: u64 = heads.iter().sum();
    let detail = match readers.len() {
        0 => format!("{size} records, read by nobody"),
        count => format!("{size} records, none of its {count} readers is ahead of it"),
    };
    Some(Finding::ok(what, detail))
}

#[cfg(test)]
mod tests {
    use tally_proto::tally::node::v1::ReaderStatus;

    use super::super::Level;
    use super::super::processes::Silence;
    use super::super::processes::tests::mesh;
    use super::*;
    use crate::role::Role;

    fn mesh_with_reader(applied: [u64; 2]) -> Vec<Process> {
        let mut mesh = mesh();
        mesh[Role::Sanctions as usize].status_mut().readers = vec![ReaderStatus {
            consumer: "sanctions.lists".to_owned(),
            source: "lists".to_owned(),
            applied: applied.to_vec(),
            ..Default::default()
        }];
        mesh
    }

    fn of_lists(mesh: &[Process]) -> Finding {
        of(logs::LISTS, mesh).expect("it is read")
    }

    #[test]
    fn a_reader_ahead_of_any_shard_means_another_log() {
        // The heads of the two shards are 4 and 6.
        assert_eq!(of_lists(&mesh_with_reader([4, 6])).level, Level::Ok);
        let ahead = of_lists(&mesh_with_reader([4, 7]));
        assert_eq!(ahead.level, Level::Fault);
        assert!(
            ahead
                .detail
                .contains("sanctions.lists has applied 7 of shard 1, which has 6"),
            "{ahead:?}"
        );
        assert!(ahead.remedy.contains("tally reconcile"), "{ahead:?}");
        let all = judge(&mesh_with_reader([4, 7]));
        assert_eq!(all.len(), logs::ALL.len());
    }

    #[test]
    fn nothing_is_claimed_of_a_log_whose_owner_is_away() {
        let mut mesh = mesh_with_reader([4, 6]);
        let owner = &mut mesh[Role::Lists as usize];
        owner.answer = Err(Silence::Hangs);
        owner.heads.clear();
        assert_eq!(of_lists(&mesh).level, Level::Warning);
        let feedback = &mut mesh[Role::Feedback as usize];
        feedback.heads.clear();
        assert_eq!(of(logs::FEEDBACK, &mesh), None);
    }
}
