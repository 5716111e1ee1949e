//! What of a store is whose: all roles may share one.

use std::collections::BTreeMap;

use tally_eventlog::archive::{ArchiveError, CheckpointPart, Part, RowPart, Sink};
use tally_eventlog::sequence::{CommandRef, Remembered};
use tally_eventlog::shard::LogName;

use crate::role::Role;

/// Faults that are named; more would not help.
const FAULTS_MAX: usize = 20;

/// Hands each part to the sink of its role. What is of a role that has no sink is
/// passed over; what is of no role at all is a fault.
pub(super) struct Split<S> {
    sinks: BTreeMap<Role, S>,
    faults: Vec<String>,
}

impl<S: Sink> Split<S> {
    pub(super) fn new(sinks: impl IntoIterator<Item = (Role, S)>) -> Self {
        Self {
            sinks: sinks.into_iter().collect(),
            faults: Vec::new(),
        }
    }

    /// The sinks with what they took.
    pub(super) fn finish(self) -> Result<BTreeMap<Role, S>, ArchiveError> {
        let what = "something in the store belongs to no role of this version";
        ArchiveError::unless_none(what, self.faults)?;
        Ok(self.sinks)
    }

    fn each<T: Clone>(
        &mut self,
        all: &[T],
        owner: impl Fn(&T) -> Option<Role>,
        name: impl Fn(&T) -> String,
        part: impl Fn(Vec<T>) -> Part,
    ) -> Result<(), ArchiveError> {
        let mut of_roles: BTreeMap<Role, Vec<T>> = BTreeMap::new();
        for one in all {
            match owner(one) {
                Some(role) => of_roles.entry(role).or_default().push(one.clone()),
                None => self.astray(name(one)),
            }
        }
        for (role, of_role) in of_roles {
            self.give(Some(role), &part(of_role))?;
        }
        Ok(())
    }

    fn give(&mut self, role: Option<Role>, part: &Part) -> Result<(), ArchiveError> {
        match role.and_then(|role| self.sinks.get_mut(&role)) {
            Some(sink) => sink.put(part),
            None => Ok(()),
        }
    }

    fn astray(&mut self, what: String) {
        if self.faults.len() < FAULTS_MAX && !self.faults.contains(&what) {
            self.faults.push(what);
        }
    }
}

impl<S: Sink> Sink for Split<S> {
    fn put(&mut self, part: &Part) -> Result<(), ArchiveError> {
        match part {
            Part::Store(_) => self.sinks.values_mut().try_for_each(|sink| sink.put(part)),
            Part::Log(log) => self.give(Some(Role::owner_of(log.name)), part),
            Part::Records(log, _) => self.give(Some(Role::owner_of(*log)), part),
            Part::Commands(commands) => self.each(
                commands,
                |((log, ..), _): &(CommandRef, Remembered)| Some(Role::owner_of(*log)),
                |((_, _, id), _)| format!("command {id}"),
                Part::Commands,
            ),
            Part::Checkpoints(checkpoints) => self.each(
                checkpoints,
                |one: &CheckpointPart| Role::of_consumer(&one.consumer),
                |one| format!("checkpoints of {}", one.consumer),
                Part::Checkpoints,
            ),
            Part::Rows(rows) => self.each(
                rows,
                |row: &RowPart| Role::of_row(&row.view, &row.key),
                |row| format!("rows of view {}", row.view),
                Part::Rows,
            ),
        }
    }

    fn wants(&self, log: LogName) -> bool {
        self.sinks.contains_key(&Role::owner_of(log))
    }
}
