//! The calls of the catalogue.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tally_auth::Caller;
use tally_domain::fault::FieldFault;
use tally_domain::policy::PackMeta;
use tally_eventlog::append::CommandKey;
use tally_eventlog::execute::Task;
use tally_eventlog::merkle::Hash;
use tally_eventlog::pb::Receipt;
use tally_proto::tally::catalog::v1 as pb;
use tally_proto::tally::catalog::v1::catalog_service_server::{
    CatalogService, CatalogServiceServer,
};
use tally_proto::tally::catalog::v1::get_policy_pack_response::Part as Shown;
use tally_proto::tally::catalog::v1::load_policy_pack_request::Part;
use tally_rpc::{Fault, inbound};
use tally_service::catalogue::{
    assemble, item_from_proto, item_to_proto, meta_from_proto, meta_to_proto,
};
use tally_service::repeat::or_first;
use tally_service::{CommandScope, Deps, execute_fault, receipt};
use tonic::{Request, Response, Status, Streaming};

use crate::policy_pack::{Command, PolicyPack};

/// Items that a pack may have; bounds what a load holds in memory.
const ITEMS_MAX: usize = 20_000;

/// How long a load waits until this process follows the new pack.
const ACTIVATION_WAIT: Duration = Duration::from_secs(5);

/// The service over its log.
pub fn server(deps: Deps) -> CatalogServiceServer<impl CatalogService> {
    CatalogServiceServer::new(Service { deps })
}

struct Service {
    deps: Deps,
}

/// A pack as it came over the stream.
struct Incoming {
    command_id: String,
    meta: PackMeta,
    items: Vec<tally_domain::policy::PackItem>,
    digest: Vec<u8>,
    /// Hash of all that came but the command's id. It stands for the content
    /// before anything is judged; a pack names no persons.
    content: Hash,
}

impl Service {
    async fn load(
        &self,
        request: Request<Streaming<pb::LoadPolicyPackRequest>>,
    ) -> Result<pb::LoadPolicyPackResponse, Fault> {
        let caller = Caller::of(&request)?.clone();
        let incoming = receive(request.into_inner()).await?;
        let scope = CommandScope::new(&caller, &incoming.command_id, &*self.deps.clock)
            .map_err(|fault| Fault::invalid(vec![fault]))?;
        let key = scope.key(incoming.content);
        let (version, count) = (incoming.meta.version.clone(), incoming.items.len() as u32);
        let loaded = self.load_now(&scope, key.clone(), incoming).await;
        let log = self.deps.log;
        let receipt = or_first(&self.deps, log, Some(key), loaded, |first| {
            Ok(receipt(first))
        })
        .await?;
        if self
            .deps
            .catalogue
            .wait_for_version(&version, ACTIVATION_WAIT)
            .await
            .is_none()
        {
            return Err(Fault::internal(format!(
                "pack {version} is in the log but was not applied"
            )));
        }
        Ok(pb::LoadPolicyPackResponse {
            receipt: Some(receipt),
            items: count,
        })
    }

    async fn load_now(
        &self,
        scope: &CommandScope,
        key: CommandKey,
        incoming: Incoming,
    ) -> Result<Receipt, Fault> {
        let pack = assemble(incoming.meta, incoming.items, &incoming.digest)
            .map_err(|reason| invalid("items", "PACK_INCONSISTENT", reason))?;
        let version = pack.meta.version.clone();
        let task = Task::<PolicyPack> {
            stream_id: version.clone(),
            subject: String::new(),
            command: Command::Load {
                meta: pack.meta.clone(),
                items: pack.items(),
                digest: incoming.digest,
                at: self.deps.clock.now(),
            },
            key,
            context: scope.context(&version),
            note: bytes::Bytes::new(),
            fresh: false,
            guards: Vec::new(),
        };
        let appended = self
            .deps
            .executor
            .execute(self.deps.log, task)
            .await
            .map_err(|error| execute_fault(error, Fault::from))?;
        Ok(receipt(&appended))
    }

    fn show(&self) -> Result<BoxStream<'static, Result<pb::GetPolicyPackResponse, Status>>, Fault> {
        let policy = self.deps.catalogue.active()?;
        let pack = Arc::clone(&policy.pack);
        let head = Shown::Meta(meta_to_proto(&pack.meta));
        let tail = Shown::Digest(pack.digest().to_vec().into());
        let items = pack
            .items()
            .into_iter()
            .map(|item| Shown::Item(item_to_proto(&item)));
        let parts: Vec<Shown> = std::iter::once(head).chain(items).chain([tail]).collect();
        let messages = parts
            .into_iter()
            .map(|part| Ok(pb::GetPolicyPackResponse { part: Some(part) }));
        Ok(stream::iter(messages).boxed())
    }
}

#[tonic::async_trait]
impl CatalogService for Service {
    async fn load_policy_pack(
        &self,
        request: Request<Streaming<pb::LoadPolicyPackRequest>>,
    ) -> Result<Response<pb::LoadPolicyPackResponse>, Status> {
        Ok(Response::new(self.load(request).await?))
    }

    type GetPolicyPackStream = BoxStream<'static, Result<pb::GetPolicyPackResponse, Status>>;

    async fn get_policy_pack(
        &self,
        _request: Request<pb::GetPolicyPackRequest>,
    ) -> Result<Response<Self::GetPolicyPackStream>, Status> {
        Ok(Response::new(self.show()?))
    }
}

async fn receive(mut stream: Streaming<pb::LoadPolicyPackRequest>) -> Result<Incoming, Fault> {
    let mut start = None;
    let mut items = Vec::new();
    let mut content = Sha256::new_with_prefix(b"catalog.load\0");
    while let Some(message) = stream.message().await.map_err(inbound::fault)? {
        match (message.part, start.take()) {
            (Some(Part::Start(first)), None) if items.is_empty() => {
                content.update(
                    first
                        .meta
                        .clone()
                        .unwrap_or_default()
                        .encode_length_delimited_to_vec(),
                );
                start = Some(first);
            }
            (Some(Part::Item(item)), Some(first)) => {
                start = Some(first);
                if items.len() == ITEMS_MAX {
                    return Err(invalid(
                        "item",
                        "PACK_TOO_LARGE",
                        format!("a pack has at most {ITEMS_MAX} items"),
                    ));
                }
                content.update(item.encode_length_delimited_to_vec());
                items.push(
                    item_from_proto(item)
                        .map_err(|reason| invalid("item.kind", "ITEM_KIND_UNKNOWN", reason))?,
                );
            }
            (Some(Part::Digest(digest)), Some(first)) => {
                content.update(&digest);
                return Ok(Incoming {
                    command_id: first.command_id,
                    meta: meta_from_proto(first.meta.unwrap_or_default()),
                    items,
                    digest: digest.to_vec(),
                    content: content.finalize().into(),
                });
            }
            _ => return Err(out_of_order()),
        }
    }
    Err(out_of_order())
}

fn out_of_order() -> Fault {
    invalid(
        "part",
        "PACK_OUT_OF_ORDER",
        "send `start` first, then each `item`, then `digest`, once each",
    )
}

fn invalid(field: &str, reason: &'static str, message: impl Into<String>) -> Fault {
    Fault::invalid(vec![FieldFault::new(field, reason, message)])
}
