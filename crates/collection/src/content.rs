//! What stands for the content of a command: with it a repeat is told from
//! another command under the same id.
//!
//! It is taken of the request as it came, before anything is judged, so that a
//! repeat is known also where it would now be refused. Requests hold names and
//! numbers of persons in clear, so that the hash is keyed: a plain one could be
//! found by trying names.

use prost::Message;
use tally_auth::Caller;
use tally_domain::fault::FieldFault;
use tally_eventlog::append::CommandKey;
use tally_eventlog::merkle::Hash;
use tally_eventlog::sealing::KeyRing;
use tally_proto::tally::collection::v1 as pb;
use tally_service::{CommandScope, Deps};

/// A command under its id, before it is judged.
pub(crate) struct Named {
    /// Who, and under which id.
    pub scope: CommandScope,
    /// The id with what stands for the content.
    pub key: CommandKey,
}

/// Hashes contents, in one buffer.
pub(crate) struct Hasher<'a> {
    keyring: &'a KeyRing,
    kind: &'static str,
    buffer: Vec<u8>,
}

impl<'a> Hasher<'a> {
    /// For commands of one kind.
    pub fn new(deps: &'a Deps, kind: &'static str) -> Self {
        Self {
            keyring: &deps.keyring,
            kind,
            buffer: Vec::new(),
        }
    }

    /// Hash of a content.
    pub fn hash(&mut self, content: &impl Message) -> Hash {
        self.buffer.clear();
        content
            .encode(&mut self.buffer)
            .expect("a vector grows as needed");
        self.keyring
            .fingerprint(&[self.kind.as_bytes(), b"\0", &self.buffer])
    }

    /// The hash of a record that is pushed, and of where it is handed in again
    /// from; no record is not an empty one.
    pub fn record(&mut self, record: Option<&pb::RecordContent>, quarantine_id: &str) -> Hash {
        let hash = match record {
            Some(record) => self.hash(record),
            None => self.keyring.fingerprint(&[self.kind.as_bytes()]),
        };
        if quarantine_id.is_empty() {
            return hash;
        }
        self.keyring.fingerprint(&[&hash, quarantine_id.as_bytes()])
    }

    /// The content that was hashed last, encoded.
    pub fn encoded(&self) -> &[u8] {
        &self.buffer
    }
}

/// Names a command by the id it came with and its content.
///
/// # Errors
///
/// The fault of the field `command_id`.
pub(crate) fn named(
    deps: &Deps,
    caller: &Caller,
    command_id: &str,
    content: Hash,
) -> Result<Named, FieldFault> {
    let scope = CommandScope::new(caller, command_id, &*deps.clock)?;
    let key = scope.key(content);
    Ok(Named { scope, key })
}
