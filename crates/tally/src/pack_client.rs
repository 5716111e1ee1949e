//! Policy packs through the catalogue's calls.

use tally_domain::policy::Pack;
use tally_proto::tally::catalog::v1::load_policy_pack_request::Part;
use tally_proto::tally::catalog::v1::{
    GetPolicyPackRequest, LoadPolicyPackRequest, LoadPolicyPackStart, get_policy_pack_response,
};
use tally_service::catalogue::{item_from_proto, item_to_proto, meta_from_proto, meta_to_proto};
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

/// The active pack, put together and held against its digest.
///
/// # Errors
///
/// What the catalogue refuses, or `DATA_LOSS` where what came is not a whole pack.
pub async fn active_pack(client: &Client) -> Result<Pack, Status> {
    use get_policy_pack_response::Part;
    let mut catalog = client.catalog();
    let parts = catalog.get_policy_pack(GetPolicyPackRequest {}).await?;
    let mut parts = parts.into_inner();
    let (mut meta, mut items, mut digest) = (None, Vec::new(), None);
    while let Some(message) = parts.message().await? {
        match message.part {
            Some(Part::Meta(part)) => meta = Some(meta_from_proto(part)),
            Some(Part::Item(part)) => items.push(item_from_proto(part).map_err(Status::data_loss)?),
            Some(Part::Digest(part)) => digest = Some(part),
            None => {}
        }
    }
    let (Some(meta), Some(digest)) = (meta, digest) else {
        return Err(Status::data_loss("the pack ended early; ask again"));
    };
    let lines = |faults: Vec<_>| faults.iter().map(ToString::to_string).collect::<Vec<_>>();
    let pack = Pack::from_items(meta, items);
    let pack = pack.map_err(|faults| Status::data_loss(lines(faults).join("; ")))?;
    if pack.digest() != *digest {
        return Err(Status::data_loss(
            "the digest is not that of the items; ask again",
        ));
    }
    Ok(pack)
}
