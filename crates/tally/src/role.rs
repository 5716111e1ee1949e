//! The roles of the mesh: which logs each owns and which it reads.

use std::fmt;
use std::str::FromStr;

use tally_eventlog::consumer::consumer_of_row;
use tally_eventlog::shard::LogName;
use tally_service::logs;

/// A role of the mesh: a service with its log, its views and its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Policy packs.
    Catalog,
    /// Records.
    Collection,
    /// Red and black lists.
    Lists,
    /// Directives and checks.
    Sanctions,
    /// What was done.
    Feedback,
    /// Replay, as-of, proofs.
    Audit,
}

/// No role has that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role; there are catalog, collection, lists, sanctions, feedback, audit")]
pub struct UnknownRole(pub String);

impl Role {
    /// All of them, each after those whose logs it reads.
    pub const ALL: [Self; 6] = [
        Self::Catalog,
        Self::Collection,
        Self::Lists,
        Self::Sanctions,
        Self::Feedback,
        Self::Audit,
    ];

    /// Its name, as in commands, configuration and certificates.
    pub fn name(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Collection => "collection",
            Self::Lists => "lists",
            Self::Sanctions => "sanctions",
            Self::Feedback => "feedback",
            Self::Audit => "audit",
        }
    }

    /// The logs that it owns.
    pub fn logs(self) -> &'static [LogName] {
        match self {
            Self::Catalog => &[logs::CATALOG],
            Self::Collection => &[logs::COLLECTION, logs::COLLECTION_ACCESS],
            Self::Lists => &[logs::LISTS],
            Self::Sanctions => &[logs::SANCTIONS, logs::SANCTIONS_ACCESS],
            Self::Feedback => &[logs::FEEDBACK],
            Self::Audit => &[],
        }
    }

    /// The logs of other roles that it reads.
    pub fn reads(self) -> &'static [LogName] {
        match self {
            Self::Catalog => &[],
            Self::Collection => &[logs::CATALOG],
            Self::Lists => &[logs::CATALOG, logs::COLLECTION],
            Self::Sanctions => &[logs::CATALOG, logs::COLLECTION, logs::LISTS],
            Self::Feedback => &[logs::CATALOG, logs::SANCTIONS],
            Self::Audit => &logs::ALL,
        }
    }

    /// Those of its logs that other roles follow, with the name of the relay
    /// that hands each to them. Audit reads from the owners when it is asked.
    pub fn relays(self) -> impl Iterator<Item = (LogName, &'static str)> {
        const RELAYS: [(LogName, &str); 4] = [
            (logs::CATALOG, "relay.catalog"),
            (logs::COLLECTION, "relay.collection"),
            (logs::LISTS, "relay.lists"),
            (logs::SANCTIONS, "relay.sanctions"),
        ];
        let own = move |(log, _): &(LogName, &str)| self.logs().contains(log);
        RELAYS.into_iter().filter(own)
    }

    /// The role that a consumer, or a relay, of this name belongs to: the one whose
    /// name it begins with, or whose log it relays.
    pub fn of_consumer(name: &str) -> Option<Self> {
        const OUTWARD: [(&str, Role); 3] = [
            ("relay.published.feedback", Role::Feedback),
            ("relay.published.list-changes", Role::Lists),
            ("relay.published.registrations", Role::Collection),
        ];
        if let Some((_, role)) = OUTWARD.into_iter().find(|(relay, _)| *relay == name) {
            return Some(role);
        }
        let relays = |role: &Self| role.relays().any(|(_, relay)| relay == name);
        let relaying = Self::ALL.into_iter().find(relays);
        relaying.or_else(|| name.split_once('.')?.0.parse().ok())
    }

    /// The role that a row of a view belongs to.
    pub fn of_row(view: &str, key: &[u8]) -> Option<Self> {
        Self::of_consumer(consumer_of_row(view, key).unwrap_or(view))
    }

    /// The role that serves a contract, by its full name, for example
    /// `tally.lists.v1.ListsService`; nothing where every process serves it.
    pub fn of_contract(name: &str) -> Option<Self> {
        let package = name.strip_prefix("tally.")?.split_once('.')?.0;
        package.parse().ok()
    }

    /// The role that owns a log of the mesh.
    ///
    /// # Panics
    ///
    /// If it is no log of the mesh.
    pub fn owner_of(log: LogName) -> Self {
        let owner = Self::ALL
            .into_iter()
            .find(|role| role.logs().contains(&log));
        owner.unwrap_or_else(|| panic!("log `{log}` is none of the mesh"))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let role = Self::ALL.into_iter().find(|role| role.name() == text);
        role.ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_log_has_one_owner_and_roles_start_after_those_they_read() {
        for log in logs::ALL {
            let owners = Role::ALL
                .into_iter()
                .filter(|role| role.logs().contains(&log));
            assert_eq!(owners.count(), 1, "{log}");
        }
        for (place, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role.name().parse(), Ok(role));
            for log in role.reads() {
                assert!(
                    Role::ALL[..place].contains(&Role::owner_of(*log)),
                    "{role} reads {log}"
                );
            }
        }
        let relayed = |log| {
            Role::ALL
                .into_iter()
                .any(|role| role.relays().any(|(one, _)| one == log))
        };
        for log in logs::ALL {
            let mut readers = Role::ALL
                .into_iter()
                .filter(|role| role.reads().contains(&log));
            assert_eq!(
                readers.any(|role| role != Role::Audit),
                relayed(log),
                "{log}"
            );
        }
        assert!("list".parse::<Role>().is_err());
        assert_eq!(
            Role::of_contract("tally.lists.v1.ListsService.List"),
            Some(Role::Lists)
        );
        assert_eq!(Role::of_contract("tally.node.v1.NodeService"), None);
    }
}
