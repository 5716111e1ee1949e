//! Command ids: their window, and ids derived from a cause.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use crate::shard::{LogName, Shard};

/// How long a command id is remembered; an older one is refused.
pub const REMEMBERED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How far ahead of the wall clock a caller's clock may be.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(24);

/// Why a command id is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdFault {
    /// Not a UUID, or one without a time in it.
    #[error("the command id must be a UUIDv7, which has its time in it")]
    NotV7,
    /// Older than what is remembered: whether it was applied can no longer be said.
    #[error(
        "the command id is from {at}, more than 30 days ago; look up whether it was applied, then use a new id"
    )]
    TooOld {
        /// Time in the id.
        at: Timestamp,
    },
    /// The caller's clock is wrong.
    #[error("the command id is from {at}, more than a day ahead; set the clock and use a new id")]
    InFuture {
        /// Time in the id.
        at: Timestamp,
    },
}

impl IdFault {
    /// Stable reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotV7 => "COMMAND_ID_INVALID",
            Self::TooOld { .. } => "COMMAND_ID_TOO_OLD",
            Self::InFuture { .. } => "COMMAND_ID_IN_FUTURE",
        }
    }
}

/// A caller's command id, if it is a UUIDv7 within the window of `wall`.
///
/// # Errors
///
/// [`IdFault`]; it says what to do.
pub fn parse_command_id(text: &str, wall: Timestamp) -> Result<Uuid, IdFault> {
    let id = Uuid::try_parse(text).map_err(|_| IdFault::NotV7)?;
    if id.get_version_num() != 7 {
        return Err(IdFault::NotV7);
    }
    let at = time_of(id).ok_or(IdFault::NotV7)?;
    if wall.duration_since(at) > REMEMBERED {
        return Err(IdFault::TooOld { at });
    }
    if at.duration_since(wall) > AHEAD_MAX {
        return Err(IdFault::InFuture { at });
    }
    Ok(id)
}

/// The time in the first 48 bits of a UUIDv7, or of a derived id.
fn time_of(id: Uuid) -> Option<Timestamp> {
    let milliseconds = u64::from_be_bytes(id.as_bytes()[..8].try_into().ok()?) >> 16;
    Timestamp::from_millisecond(i64::try_from(milliseconds).ok()?).ok()
}

/// The smallest id that is not older than `at`: all below it can be forgotten.
pub fn first_at(at: Timestamp) -> Uuid {
    let milliseconds = u64::try_from(at.as_millisecond()).unwrap_or(0);
    let mut bytes = [0u8; 16];
    bytes[..8].copy_from_slice(&(milliseconds << 16).to_be_bytes());
    Uuid::from_bytes(bytes)
}

/// Where an effect comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// When the cause was recorded.
    pub at: Timestamp,
    /// Log of the cause.
    pub log: LogName,
    /// Its shard.
    pub shard: Shard,
    /// Its position.
    pub position: u64,
    /// Name of the handler that draws the effect from it.
    pub handler: &'static str,
}

impl Cause {
    /// Id of the n-th effect of this cause: a UUIDv8 of the cause's time and a
    /// hash of the rest, so that drawing the effect again gives the same id.
    pub fn derived_id(&self, n: u32) -> Uuid {
        let mut hasher = Sha256::new();
        for part in [self.log.0.as_bytes(), self.handler.as_bytes()] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.update(self.shard.0.to_be_bytes());
        hasher.update(self.position.to_be_bytes());
        hasher.update(n.to_be_bytes());
        derived(self.at, hasher)
    }
}

/// Id of what a timer fires: a UUIDv8 of the due time and a hash of the row that
/// is due, so that firing a row again gives the same id.
pub fn timer_id(due_at: Timestamp, view: &str, key: &[u8]) -> Uuid {
    let mut hasher = Sha256::new();
    for part in [b"timer".as_slice(), view.as_bytes(), key] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    derived(due_at, hasher)
}

/// Id of what else a caller's command does in the log, besides what is under its
/// own id: a UUIDv8 of the command's time and a hash of the command and of what
/// it is, so that it is remembered for as long, and the same again is the same.
pub fn follow_up_id(command_id: Uuid, content: &[u8]) -> Uuid {
    let mut hasher = Sha256::new();
    for part in [b"follow-up".as_slice(), command_id.as_bytes(), content] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    derived(time_of(command_id).unwrap_or(Timestamp::UNIX_EPOCH), hasher)
}

/// An id that is always the same for the same names, for streams whose
/// identity is a natural key. UUIDv8 without a time.
pub fn named_id(kind: &str, names: &[&str]) -> Uuid {
    let mut hasher = Sha256::new();
    for part in std::iter::once(&kind).chain(names) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let hash: [u8; 32] = hasher.finalize().into();
    Builder::from_custom_bytes(hash[..16].try_into().expect("16 of 32 bytes")).into_uuid()
}

fn derived(at: Timestamp, hasher: Sha256) -> Uuid {
    let hash: [u8; 32] = hasher.finalize().into();
    let mut bytes: [u8; 16] = hash[..16].try_into().expect("16 of 32 bytes");
    let milliseconds = u64::try_from(at.as_millisecond()).unwrap_or(0);
    bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause() -> Cause {
        Cause {
            at: "2026-01-02T03:04:05Z".parse().expect("a timestamp"),
            log: LogName("lists"),
            shard: Shard(3),
            position: 9,
            handler: "sanctions.lists",
        }
    }

    #[test]
    fn a_derived_id_is_the_same_again_and_differs_by_each_part() {
        let id = cause().derived_id(0);
        assert_eq!(id, cause().derived_id(0));
        assert_eq!(id.get_version_num(), 8);
        assert_eq!(time_of(id), Some(cause().at));
        for other in [
            cause().derived_id(1),
            Cause {
                position: 10,
                ..cause()
            }
            .derived_id(0),
            Cause {
                shard: Shard(4),
                ..cause()
            }
            .derived_id(0),
            Cause {
                handler: "other",
                ..cause()
            }
            .derived_id(0),
            Cause {
                log: LogName("list"),
                ..cause()
            }
            .derived_id(0),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn a_timers_id_is_the_same_again_and_differs_by_each_part() {
        let id = timer_id(cause().at, "lists.timer", b"a");
        assert_eq!(id, timer_id(cause().at, "lists.timer", b"a"));
        assert_eq!(time_of(id), Some(cause().at));
        assert_ne!(id, timer_id(cause().at, "lists.timer", b"b"));
        assert_ne!(id, timer_id(cause().at, "other.timer", b"a"));
    }

    #[test]
    fn a_follow_up_has_its_commands_time_and_differs_by_each_part() {
        let command = timer_id(cause().at, "a", b"a");
        let id = follow_up_id(command, b"a");
        assert_eq!(id, follow_up_id(command, b"a"));
        assert_eq!(time_of(id), Some(cause().at));
        assert_ne!(id, follow_up_id(command, b"b"));
        assert_ne!(id, follow_up_id(timer_id(cause().at, "b", b"a"), b"a"));
    }

    #[test]
    fn the_window_of_command_ids() {
        let wall: Timestamp = "2026-03-01T00:00:00Z".parse().expect("a timestamp");
        let at = |text: &str| {
            let at: Timestamp = text.parse().expect("a timestamp");
            let seconds = u64::try_from(at.as_second()).expect("after 1970");
            Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0)).to_string()
        };
        assert!(parse_command_id(&at("2026-02-28T00:00:00Z"), wall).is_ok());
        assert!(matches!(
            parse_command_id(&at("2026-01-01T00:00:00Z"), wall),
            Err(IdFault::TooOld { .. })
        ));
        assert!(matches!(
            parse_command_id(&at("2026-04-01T00:00:00Z"), wall),
            Err(IdFault::InFuture { .. })
        ));
        assert_eq!(parse_command_id("x", wall), Err(IdFault::NotV7));
        assert_eq!(
            parse_command_id(&Uuid::new_v4().to_string(), wall),
            Err(IdFault::NotV7)
        );
    }
}
