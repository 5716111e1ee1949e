//! A check that was answered, as the log has it.

use tally_eventlog::consumer::Poison;
use tally_eventlog::consumer::ReactError;
use tally_eventlog::event::{DecodeError, Recorded, StreamName};
use tally_eventlog::store::{EventStore, StoreError};
use tally_proto::tally::sanctions::v1 as pb;
use tally_rpc::Fault;
use tally_service::{logs, store_fault};

use crate::engine::{CHECK_CATEGORY, check_stream};

/// A check and its answer.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The record of it.
    pub recorded: Recorded,
    /// The answer.
    pub answer: pb::CheckAnswered,
}

/// A check could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    /// The store cannot be read: retry.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record cannot be read: verify the log.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl Answered {
    /// The check of a department under that id. Another department's is none of
    /// its checks, whatever its id.
    ///
    /// # Errors
    ///
    /// [`LookUpError`]; each says what to do.
    pub async fn find(
        store: &dyn EventStore,
        department: &str,
        check_id: &str,
    ) -> Result<Option<Self>, LookUpError> {
        let stream = check_stream(department, check_id).to_string();
        let stream = StreamName::new(CHECK_CATEGORY, stream);
        let found = store
            .read_streams(logs::SANCTIONS_ACCESS, &[stream])
            .await?;
        let Some(record) = found.iter().flatten().next() else {
            return Ok(None);
        };
        let recorded = Recorded::decode(logs::SANCTIONS_ACCESS, record)?;
        let answer = recorded.payload()?;
        Ok(Some(Self { recorded, answer }))
    }
}

impl From<LookUpError> for ReactError {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Store(error) => error.into(),
            LookUpError::Decode(error) => Poison::from(error).into(),
        }
    }
}

impl From<LookUpError> for Fault {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Store(error) => store_fault(error),
            LookUpError::Decode(error) => Fault::internal(error),
        }
    }
}
