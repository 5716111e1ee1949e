//! Commands against events: each acknowledged one is there once, where and as it
//! was acknowledged; none is there twice; no refused one is there. Pure.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use uuid::Uuid;

use super::faults::{FaultKind, Faults, NAMED_MAX};

/// Something that is known of a command.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CommandRow {
    /// Its id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// What is known.
    #[prost(enumeration = "Known", tag = "2")]
    pub known: i32,
    /// What it does, the type of the event, or why it was given up; else empty.
    #[prost(string, tag = "3")]
    pub what: String,
    /// Log.
    #[prost(string, tag = "4")]
    pub log: String,
    /// Shard.
    #[prost(uint32, tag = "5")]
    pub shard: u32,
    /// Position.
    #[prost(uint64, tag = "6")]
    pub position: u64,
    /// Leaf hash.
    #[prost(bytes = "bytes", tag = "7")]
    pub leaf: Bytes,
}

/// What is known of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Known {
    /// It was sent.
    Sent = 0,
    /// It was acknowledged, there.
    Acknowledged = 1,
    /// It was refused for good.
    Refused = 2,
    /// It was given up.
    Unknown = 3,
    /// An event of it is there.
    Found = 4,
}

impl fmt::Display for CommandRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.log, self.shard, self.position)?;
        match self.what.as_str() {
            "" => Ok(()),
            what => write!(f, " ({what})"),
        }
    }
}

/// How many commands came to what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    /// Acknowledged, and looked for.
    pub acknowledged: u64,
    /// Refused.
    pub refused: u64,
    /// Never answered, and there.
    pub unknown_found: u64,
    /// Never answered, and not there.
    pub unknown_absent: u64,
    /// The first never answered, in words.
    pub unknown: Vec<String>,
}

#[derive(Default)]
struct Account {
    what: String,
    sent: bool,
    acknowledged: Option<CommandRow>,
    refused: bool,
    given_up: Option<String>,
    found: Vec<CommandRow>,
}

/// Judges all that is known of some commands. Events of commands that the ledger
/// does not have are somebody else's.
pub fn judge(
    rows: impl IntoIterator<Item = CommandRow>,
    counts: &mut Commands,
    faults: &mut Faults,
) {
    let mut accounts: HashMap<Bytes, Account> = HashMap::new();
    // In the order of the ledger, so that what is named first came first.
    let mut order = Vec::new();
    for row in rows {
        let account = accounts.entry(row.id.clone()).or_insert_with(|| {
            order.push(row.id.clone());
            Account::default()
        });
        match row.known() {
            Known::Sent => {
                account.sent = true;
                account.what = row.what;
            }
            Known::Acknowledged => account.acknowledged = Some(row),
            Known::Refused => account.refused = true,
            Known::Unknown => account.given_up = Some(row.what),
            Known::Found => account.found.push(row),
        }
    }
    for id in order {
        let account = accounts.remove(&id).unwrap_or_default();
        let id = Uuid::from_slice(&id).unwrap_or_default();
        settle(id, &account, counts, faults);
    }
}

fn settle(id: Uuid, account: &Account, counts: &mut Commands, faults: &mut Faults) {
    let Account { what, found, .. } = account;
    let ours = account.sent || account.acknowledged.is_some();
    if !ours && !account.refused && account.given_up.is_none() {
        return;
    }
    let places = || {
        let places: Vec<String> = found.iter().map(ToString::to_string).collect();
        places.join(", ")
    };
    if found.len() > 1 {
        faults.add(FaultKind::Twice, || {
            format!("{what} {id} is at {}", places())
        });
    }
    if let Some(at) = &account.acknowledged {
        counts.acknowledged += 1;
        let same = |event: &&CommandRow| {
            (&event.log, event.shard, event.position) == (&at.log, at.shard, at.position)
        };
        match found.iter().find(same) {
            None if found.is_empty() => faults.add(FaultKind::Lost, || {
                format!("{what} {id} was acknowledged at {at} and is nowhere")
            }),
            None => faults.add(FaultKind::Lost, || {
                format!(
                    "{what} {id} was acknowledged at {at} and is at {}",
                    places()
                )
            }),
            Some(event) if event.leaf != at.leaf => faults.add(FaultKind::Lost, || {
                format!("{what} {id} was acknowledged with another leaf hash than {event} has")
            }),
            Some(_) => {}
        }
        return;
    }
    if account.refused {
        counts.refused += 1;
        if !found.is_empty() {
            faults.add(FaultKind::Refused, || {
                format!("{what} {id} was refused and is at {}", places())
            });
        }
        return;
    }
    let there = match found.as_slice() {
        [] => {
            counts.unknown_absent += 1;
            "is not there".to_owned()
        }
        [..] => {
            counts.unknown_found += 1;
            format!("is at {}", places())
        }
    };
    if counts.unknown.len() < NAMED_MAX {
        // A killed run has not noted why.
        let why = account.given_up.as_deref().unwrap_or("the run ended");
        counts.unknown.push(format!("{what} {id} ({why}) {there}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: u128 = 7;

    fn row(known: Known, position: u64) -> CommandRow {
        CommandRow {
            id: Bytes::copy_from_slice(Uuid::from_u128(COMMAND).as_bytes()),
            known: known.into(),
            what: if known == Known::Sent {
                "push".to_owned()
            } else {
                String::new()
            },
            log: "collection".to_owned(),
            shard: 1,
            position,
            leaf: Bytes::from_static(b"leaf"),
        }
    }

    fn judged(rows: Vec<CommandRow>) -> (Commands, Faults) {
        let (mut counts, mut faults) = (Commands::default(), Faults::default());
        judge(rows, &mut counts, &mut faults);
        (counts, faults)
    }

    fn only(kind: FaultKind, rows: Vec<CommandRow>) -> String {
        let (_, faults) = judged(rows);
        assert_eq!((faults.of(kind), faults.total()), (1, 1), "{faults:?}");
        faults.named()[0].clone()
    }

    use Known::{Acknowledged, Found, Refused, Sent, Unknown};

    #[test]
    fn acknowledged_and_there_is_well() {
        let rows = vec![row(Sent, 0), row(Acknowledged, 5), row(Found, 5)];
        let (counts, faults) = judged(rows);
        assert_eq!((counts.acknowledged, faults.total()), (1, 0));
    }

    #[test]
    fn acknowledged_and_not_there_is_lost() {
        let named = only(FaultKind::Lost, vec![row(Sent, 0), row(Acknowledged, 5)]);
        assert!(
            named.contains("push") && named.contains("collection/1/5"),
            "{named}"
        );
        // Also without the line that it was sent: nothing may be dropped from a ledger.
        only(FaultKind::Lost, vec![row(Acknowledged, 5)]);
    }

    #[test]
    fn acknowledged_elsewhere_or_with_another_hash_is_lost() {
        only(
            FaultKind::Lost,
            vec![row(Sent, 0), row(Acknowledged, 5), row(Found, 6)],
        );
        let other = CommandRow {
            leaf: Bytes::from_static(b"other"),
            ..row(Found, 5)
        };
        only(
            FaultKind::Lost,
            vec![row(Sent, 0), row(Acknowledged, 5), other],
        );
    }

    #[test]
    fn there_twice_is_a_fault_whatever_was_answered() {
        let twice = || vec![row(Found, 5), row(Found, 9)];
        for answer in [Some(row(Acknowledged, 5)), Some(row(Unknown, 0)), None] {
            let rows = [row(Sent, 0)].into_iter().chain(answer).chain(twice());
            let named = only(FaultKind::Twice, rows.collect());
            assert!(named.contains("collection/1/9"), "{named}");
        }
    }

    #[test]
    fn refused_and_there_is_a_fault() {
        only(
            FaultKind::Refused,
            vec![row(Sent, 0), row(Refused, 0), row(Found, 5)],
        );
        let (counts, faults) = judged(vec![row(Sent, 0), row(Refused, 0)]);
        assert_eq!((counts.refused, faults.total()), (1, 0));
    }

    #[test]
    fn what_was_never_answered_may_be_there_or_not() {
        let (counts, faults) = judged(vec![row(Sent, 0), row(Unknown, 0), row(Found, 5)]);
        assert_eq!(
            (counts.unknown_found, counts.unknown.len(), faults.total()),
            (1, 1, 0)
        );
        // A killed run has not even noted that it gave up.
        let (counts, faults) = judged(vec![row(Sent, 0)]);
        assert_eq!((counts.unknown_absent, faults.total()), (1, 0));
    }

    #[test]
    fn events_of_others_are_theirs() {
        let (counts, faults) = judged(vec![row(Found, 5), row(Found, 6)]);
        assert_eq!((counts, faults.total()), (Commands::default(), 0));
    }
}
