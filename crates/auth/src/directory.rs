//! From an officer's number to the random id that stands for it everywhere else.

use async_trait::async_trait;
use tally_domain::department::{DepartmentId, OfficerId};
use tally_rpc::BoxError;

/// Knows officers by number; the key ring is one.
///
/// The number is personal: an implementation neither logs it nor stores it
/// unsealed, nor puts it into its errors.
#[async_trait]
pub trait OfficerDirectory: Send + Sync + 'static {
    /// The id of the officer with `number` in `department`; a new one if there was
    /// none. Asked twice at the same time, it gives the same id twice.
    ///
    /// # Errors
    ///
    /// The directory could not be reached; the call is refused and may be retried.
    async fn officer_id(
        &self,
        department: &DepartmentId,
        number: &str,
    ) -> Result<OfficerId, BoxError>;
}
