//! Loading a policy pack through the catalogue's call.

use tally_domain::policy::Pack;
use tally_proto::tally::catalog::v1::load_policy_pack_request::Part;
use tally_proto::tally::catalog::v1::{LoadPolicyPackRequest, LoadPolicyPackStart};
use tally_service::catalogue::{item_to_proto, meta_to_proto};
use tonic::Status;

use crate::client::{Client, command_id};

/// Loads `pack` as the operator, and returns its number of items once it is active.
///
/// # Errors
///
/// What the catalogue refuses: its message says what to correct. A pack of the
/// same version and content is not refused.
pub async fn load_pack(client: &Client, pack: &Pack) -> Result<u32, Status> {
    let start = Part::Start(LoadPolicyPackStart {
        command_id: command_id(),
        meta: Some(meta_to_proto(&pack.meta)),
    });
    let items = pack
        .items()
        .iter()
        .map(item_to_proto)
        .map(Part::Item)
        .collect::<Vec<_>>();
    let digest = Part::Digest(pack.digest().to_vec().into());
    let parts = std::iter::once(start).chain(items).chain([digest]);
    let messages: Vec<_> = parts
        .map(|part| LoadPolicyPackRequest { part: Some(part) })
        .collect();
    let loaded = client
        .catalog()
        .load_policy_pack(futures::stream::iter(messages))
        .await?;
    Ok(loaded.into_inner().items)
}
