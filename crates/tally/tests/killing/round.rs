//! One life of the server process: clients on it, and when it is killed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use tally::client::Client;
use tally::data_dir::{DataDir, OPERATOR};
use tally::role::Role;
use tally_proto::tally::log::v1::GetHeadsRequest;
use tally_proto::tally::node::v1::GetStatusRequest;
use tally_rpc::FaultReport;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use uuid::Uuid;

use super::ledger::{Ledger, Sizes, was_there};
use super::request::{Reply, Who};
use crate::process::{Place, Server};

/// Logs that clients write to.
pub const LOGS: [&str; 4] = ["collection", "lists", "sanctions", "sanctions-access"];

/// Commands under way at once when unknown ones are retried.
const RETRIED_AT_ONCE: usize = 32;

/// How often a command that the mesh cannot take just now is sent again.
const TRIES_MAX: u32 = 50;

/// What is counted until the process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Commands sent.
    Sent,
    /// Commands acknowledged.
    Acknowledged,
}

/// Kills the process at a count, from within the task that reaches it.
pub struct Trigger {
    server: Mutex<Server>,
    counted: Counted,
    left: AtomicI64,
    killed: CancellationToken,
}

impl Trigger {
    /// After so many.
    pub fn new(server: Server, counted: Counted, after: u32) -> Self {
        Self {
            server: Mutex::new(server),
            counted,
            left: AtomicI64::new(i64::from(after)),
            killed: CancellationToken::new(),
        }
    }

    /// One more of what may be counted.
    pub fn count(&self, what: Counted) {
        if self.counted == what && self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.fire();
        }
    }

    /// Kills it now.
    pub fn fire(&self) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        // Said first: whoever loses its connection afterwards finds out why.
        self.killed.cancel();
        server.kill();
    }

    /// True once it is being killed.
    pub fn fired(&self) -> bool {
        self.killed.is_cancelled()
    }
}

/// One life of the process, as its clients see it.
pub struct Round {
    /// What the clients know.
    pub ledger: Arc<Ledger>,
    /// The operator.
    pub operator: Client,
    /// When it ends.
    pub trigger: Trigger,
    clients: HashMap<&'static str, Client>,
    before: Sizes,
    /// Retried commands that the log already had.
    pub found: AtomicU64,
    /// Retried commands that were applied by the retry.
    pub applied: AtomicU64,
}

impl Round {
    /// Connects to a server, and looks how far its logs are before any retry.
    pub async fn open(
        place: &Place,
        server: Server,
        ledger: Arc<Ledger>,
        counted: Counted,
        after: u32,
    ) -> Self {
        let dir = DataDir::new(place.data());
        let mut clients = HashMap::new();
        for who in Who::ALL {
            let name = certificate(who);
            if dir.client_tls(name).is_err() {
                place.issue(name, &who.urn());
            }
            let tls = dir.client_tls(name).expect("the certificate was issued");
            clients.insert(
                name,
                Client::connect(&server.endpoint, &tls)
                    .await
                    .expect("the mesh answers"),
            );
        }
        let tls = dir
            .client_tls(OPERATOR)
            .expect("the first start issues the operator's");
        let operator = Client::connect(&server.endpoint, &tls)
            .await
            .expect("the mesh answers");
        let before = sizes(&operator).await.expect("the mesh says how far it is");
        let trigger = Trigger::new(server, counted, after);
        Self {
            ledger,
            operator,
            trigger,
            clients,
            before,
            found: AtomicU64::new(0),
            applied: AtomicU64::new(0),
        }
    }

    /// The connection of a participant.
    pub fn client(&self, who: Who) -> &Client {
        &self.clients[certificate(who)]
    }

    /// Sends a command of the ledger and writes its answer down; nothing if
    /// the process died first.
    pub async fn perform(&self, id: Uuid) -> Option<Reply> {
        let line = self.ledger.line(id);
        for _ in 0..TRIES_MAX {
            self.trigger.count(Counted::Sent);
            match line.request.clone().send(self.client(line.who)).await {
                Ok(reply) => {
                    self.acknowledged(id, reply.clone());
                    return Some(reply);
                }
                Err(status) if self.again(id, &status) => {}
                Err(_) => return None,
            }
        }
        panic!(
            "{id} was not taken in {TRIES_MAX} tries: {:?}",
            line.request
        );
    }

    /// Writes an answer down.
    pub fn acknowledged(&self, id: Uuid, reply: Reply) {
        self.ledger.acknowledge(id, reply);
        self.trigger.count(Counted::Acknowledged);
    }

    /// True if the mesh asks for another try; false if the process is gone.
    ///
    /// # Panics
    ///
    /// If it is neither: the load has no command that may be refused.
    fn again(&self, id: Uuid, status: &Status) -> bool {
        if self.lost(status) {
            return false;
        }
        let report = FaultReport::from(status);
        let busy =
            [Code::Unavailable, Code::Aborted, Code::ResourceExhausted].contains(&report.code);
        // The record was pushed just now, and lists may be behind.
        let behind = report.reason == "GROUND_UNKNOWN";
        assert!(
            busy || behind,
            "{id} is refused: {report}; {:?}",
            self.ledger.line(id)
        );
        true
    }

    /// True if a status says that the connection is gone, which it may only be
    /// after the kill.
    pub fn lost(&self, status: &Status) -> bool {
        let unexplained = FaultReport::from(status).reason == tally_rpc::fault::reason::UNEXPLAINED;
        assert!(
            !unexplained || self.trigger.fired(),
            "lost before the kill: {status:?}"
        );
        unexplained
    }

    /// Retries every unknown command under its id. What the log held before is
    /// found there; what it did not hold is applied now.
    pub async fn retry_unknown(self: &Arc<Self>) {
        let retries = self.ledger.unknown().into_iter().map(|id| {
            let round = self.clone();
            async move {
                let Some(reply) = round.perform(id).await else {
                    return;
                };
                let there = was_there(&reply.receipt, &round.before);
                assert_eq!(
                    reply.receipt.repeated,
                    there,
                    "{id}: {:?}",
                    round.ledger.line(id)
                );
                let counter = if there { &round.found } else { &round.applied };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        futures::stream::iter(retries)
            .buffer_unordered(RETRIED_AT_ONCE)
            .collect::<()>()
            .await;
    }

    /// Waits until the mesh has drawn all consequences.
    pub async fn settle(&self) {
        let settled = async {
            let mut before = sizes(&self.operator)
                .await
                .expect("the mesh says how far it is");
            loop {
                let status = self
                    .operator
                    .node(Role::Catalog)
                    .get_status(GetStatusRequest {})
                    .await
                    .expect("a status");
                let readers = status.into_inner().readers;
                for reader in &readers {
                    assert_eq!(
                        (reader.stopped.as_str(), reader.parked),
                        ("", 0),
                        "{}",
                        reader.consumer
                    );
                }
                let after = sizes(&self.operator)
                    .await
                    .expect("the mesh says how far it is");
                if after == before && readers.iter().all(|reader| reader.lag == 0) {
                    return;
                }
                before = after;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), settled)
            .await
            .expect("the mesh settles within a minute");
    }
}

/// Sizes of all logs, of every shard.
pub async fn sizes(operator: &Client) -> Result<Sizes, Status> {
    let mut sizes = Sizes::new();
    for log in LOGS.into_iter().chain(["catalog", "feedback"]) {
        let heads = operator
            .log(Role::Catalog)
            .get_heads(GetHeadsRequest {
                log: log.to_owned(),
            })
            .await?
            .into_inner();
        sizes.extend(
            heads
                .heads
                .iter()
                .map(|head| ((log.to_owned(), head.shard), head.size)),
        );
    }
    Ok(sizes)
}

fn certificate(who: Who) -> &'static str {
    match who {
        Who::MarketSystem => "market-system",
        Who::MarketFirst => "market-first",
        Who::MarketSecond => "market-second",
        Who::TaxSystem => "tax-system",
        Who::TaxOfficer => "tax-officer",
        Who::ResourcesSystem => "resources-system",
        Who::ResourcesOfficer => "resources-officer",
    }
}
