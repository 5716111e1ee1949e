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
use tally_eventlog::aggregate::Codec;
use tally_eventlog::append::CommandKey;
use tally_eventlog::execute::Task;
use tally_eventlog::merkle::Hash;
use tally_eventlog::pb::Receipt;
use tally_eventlog::sealing::KeyRing;
use tally_proto::tally::collection::v1 as pb;
use tally_rpc::Fault;
use tally_service::repeat::or_first;
use tally_service::{CommandScope, Deps, execute_fault, logs, receipt};

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

/// The receipt of one command that came under an id. A repeat is answered with
/// the first receipt, also where `now` would refuse it.
///
/// # Errors
///
/// What `now` says, or that the store cannot be read.
pub(crate) async fn once<R: Message, F: Future<Output = Result<Receipt, Fault>>>(
    deps: &Deps,
    caller: &Caller,
    kind: &'static str,
    command_id: &str,
    request: R,
    now: impl FnOnce(Result<Named, FieldFault>, R) -> F,
) -> Result<Receipt, Fault> {
    let content = Hasher::new(deps, kind).hash(&request);
    let command = named(deps, caller, command_id, content);
    let key = command.as_ref().ok().map(|command| command.key.clone());
    let outcome = now(command, request).await;
    or_first(deps, logs::COLLECTION, key, outcome, |first| {
        Ok(receipt(first))
    })
    .await
}

/// Executes a command.
///
/// # Errors
///
/// The rejection, or that the log did not take it.
pub(crate) async fn execute<A: Codec>(deps: &Deps, task: Task<A>) -> Result<Receipt, Fault>
where
    Fault: From<A::Rejection>,
{
    let executed = deps.executor.execute(logs::COLLECTION, task).await;
    let appended = executed.map_err(|error| execute_fault(error, Fault::from))?;
    Ok(receipt(&appended))
}
