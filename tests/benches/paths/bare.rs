//! The bare servers: the contracts' messages in and out, and in between nothing
//! but the insert.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::collection::v1::collection_service_server as collection_server;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_proto::tally::sanctions::v1::sanctions_service_server as sanctions_server;
use tally_rpc::ServerTls;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::distributed::schema::Schema;
use crate::insert::{InsertTask, Inserts};
use crate::load::KINDS;
use crate::material::{Counts, Material};

/// Messages of a stream that are inserted together.
const CHUNK: usize = 512;

/// Chunks of a stream that wait for their commits.
const CHUNKS_UNDER_WAY: usize = 4;

/// A bare server under load.
pub struct Bare {
    /// Where it listens.
    pub endpoint: String,
    dir: Place,
    stop: CancellationToken,
    server: JoinHandle<()>,
    inserts: Vec<InsertTask>,
    material: Arc<Material>,
}

/// Where a bare server has its files.
pub enum Place {
    /// Fresh ones in a directory that goes with it.
    Fresh(TempDir),
    /// Those that are there, which stay.
    Filled(PathBuf),
    /// Fresh schemas that go with it.
    Postgres {
        /// Of the event store.
        store: Schema,
        /// Of the key ring.
        keyring: Schema,
    },
}

impl Place {
    /// A fresh one.
    pub fn fresh() -> Self {
        Self::Fresh(TempDir::new().expect("a temporary directory"))
    }

    async fn store_inserts(&self, material: Arc<Material>) -> (Inserts, InsertTask) {
        match self {
            Self::Fresh(dir) => Inserts::into_store(&store_in(dir.path()), material).await,
            Self::Filled(path) => Inserts::into_store(&store_in(path), material).await,
            Self::Postgres { store, .. } => Inserts::into_schema(store, material).await,
        }
    }

    async fn keyring_inserts(&self, material: Arc<Material>) -> (Inserts, InsertTask) {
        match self {
            Self::Fresh(dir) => Inserts::into_keyring(&keyring_in(dir.path()), material).await,
            Self::Filled(path) => Inserts::into_keyring(&keyring_in(path), material).await,
            Self::Postgres { keyring, .. } => Inserts::into_keyring_schema(keyring, material).await,
        }
    }

    /// Rows that it has.
    async fn counts(&self) -> Counts {
        match self {
            Self::Fresh(dir) => Counts::read(&store_in(dir.path())).await,
            Self::Filled(path) => Counts::read(&store_in(path)).await,
            Self::Postgres { store, .. } => Counts::read_schema(store).await,
        }
    }
}

/// The bare event store in a directory.
pub fn store_in(dir: &Path) -> PathBuf {
    dir.join("bare.db")
}

/// The bare key ring in a directory.
pub fn keyring_in(dir: &Path) -> PathBuf {
    dir.join("keyring.db")
}

/// Answers as ours gave them, one of each kind.
pub struct Answers<R> {
    taker: Taker,
    samples: [Option<R>; KINDS],
}

/// Takes the next rows and inserts them.
struct Taker {
    next: AtomicUsize,
    material: Arc<Material>,
    store: Inserts,
    /// Only where there are keys: they are durable before what they seal.
    keyring: Option<Inserts>,
}

impl<R: Clone> Answers<R> {
    /// Inserts the next `count` rows, and returns their answers.
    async fn next(&self, count: usize) -> Vec<R> {
        let from = self.taker.next.fetch_add(count, Ordering::Relaxed);
        let places = from..from + count;
        if let Some(keyring) = &self.taker.keyring {
            keyring.insert(places.clone()).await;
        }
        self.taker.store.insert(places.clone()).await;
        let kinds = self.taker.material.items[places]
            .iter()
            .map(|item| item.kind);
        kinds
            .map(|kind| {
                self.samples[kind]
                    .clone()
                    .expect("ours gave an answer of each kind")
            })
            .collect()
    }
}

impl Bare {
    /// Serves pushes.
    pub async fn collection(
        place: Place,
        tls: &ServerTls,
        material: Material,
        samples: [Option<collection::PushRecordsResponse>; KINDS],
    ) -> Self {
        let service = |taker| {
            let service = Collection(Arc::new(Answers { taker, samples }));
            Routes::new(collection_server::CollectionServiceServer::new(service))
        };
        Self::start(place, tls, material, service).await
    }

    /// Serves checks, unary and streamed.
    pub async fn sanctions(
        place: Place,
        tls: &ServerTls,
        material: Material,
        samples: [Option<sanctions::CheckResponse>; KINDS],
    ) -> Self {
        let service = |taker| {
            let service = Sanctions(Arc::new(Answers { taker, samples }));
            Routes::new(sanctions_server::SanctionsServiceServer::new(service))
        };
        Self::start(place, tls, material, service).await
    }

    async fn start(
        dir: Place,
        tls: &ServerTls,
        material: Material,
        service: impl FnOnce(Taker) -> Routes,
    ) -> Self {
        let material = Arc::new(material);
        let (store, task) = dir.store_inserts(material.clone()).await;
        let mut inserts = vec![task];
        let mut keyring = None;
        if material.items.iter().any(|item| item.key.is_some()) {
            let (keys, task) = dir.keyring_inserts(material.clone()).await;
            inserts.push(task);
            keyring = Some(keys);
        }
        let routes = service(Taker {
            next: AtomicUsize::new(0),
            material: material.clone(),
            store,
            keyring,
        });
        let stop = CancellationToken::new();
        let (address, server) = serve(tls, routes, stop.clone()).await;
        Self {
            endpoint: format!("https://{address}"),
            dir,
            stop,
            server,
            inserts,
            material,
        }
    }

    /// Stops, and sees to it that it inserted what ours had.
    pub async fn stop(self) {
        self.stop.cancel();
        self.server.await.expect("the server does not panic");
        for task in self.inserts {
            task.await.expect("inserting does not panic");
        }
        let (items, views) = (self.material.items.len(), self.material.view_rows());
        let found = self.dir.counts().await;
        let before = match self.dir {
            Place::Filled(_) => self.material.before,
            Place::Fresh(_) | Place::Postgres { .. } => Counts::default(),
        };
        // Rows of no single request may have been there before, and are changed.
        let shared = 0..=self.material.views.len() as i64;
        assert!(
            found.events - before.events == items as i64
                && found.commands - before.commands == items as i64
                && shared.contains(&(found.views - before.views - views as i64)),
            "bare inserts the rows of ours: {before:?}, then {found:?}"
        );
    }
}

async fn serve(
    tls: &ServerTls,
    routes: Routes,
    stop: CancellationToken,
) -> (SocketAddr, JoinHandle<()>) {
    let config = ServerTlsConfig::new()
        .identity(Identity::from_pem(&tls.certificate_pem, &tls.key_pem))
        .client_ca_root(Certificate::from_pem(&tls.client_ca_pem));
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = Server::builder()
        .tls_config(config)
        .expect("the certificates are those of ours")
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .add_routes(routes);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let task = tokio::spawn(async move {
        let served = server
            .serve_with_incoming_shutdown(incoming, stop.cancelled())
            .await;
        served.expect("the bare server serves");
    });
    (address, task)
}

struct Collection(Arc<Answers<collection::PushRecordsResponse>>);

#[tonic::async_trait]
impl collection_server::CollectionService for Collection {
    type PushRecordsStream = BoxStream<'static, Result<collection::PushRecordsResponse, Status>>;
    type FollowRegistrationsStream =
        BoxStream<'static, Result<collection::FollowRegistrationsResponse, Status>>;
    type FollowPublicationsStream =
        BoxStream<'static, Result<collection::FollowPublicationsResponse, Status>>;

    async fn push_records(
        &self,
        request: Request<Streaming<collection::PushRecordsRequest>>,
    ) -> Result<Response<Self::PushRecordsStream>, Status> {
        let answers = self.0.clone();
        let chunks = request.into_inner().ready_chunks(CHUNK).map(move |chunk| {
            let answers = answers.clone();
            async move {
                let next = answers.next(chunk.len()).await;
                chunk.into_iter().zip(next).map(|(request, mut answer)| {
                    answer.command_id = request?.command_id;
                    Ok(answer)
                })
            }
        });
        Ok(Response::new(
            chunks
                .buffered(CHUNKS_UNDER_WAY)
                .flat_map(stream::iter)
                .boxed(),
        ))
    }

    async fn push_record(
        &self,
        _: Request<collection::PushRecordRequest>,
    ) -> Result<Response<collection::PushRecordResponse>, Status> {
        Err(not_measured())
    }

    async fn correct_record(
        &self,
        _: Request<collection::CorrectRecordRequest>,
    ) -> Result<Response<collection::CorrectRecordResponse>, Status> {
        Err(not_measured())
    }

    async fn withdraw_record(
        &self,
        _: Request<collection::WithdrawRecordRequest>,
    ) -> Result<Response<collection::WithdrawRecordResponse>, Status> {
        Err(not_measured())
    }

    async fn get_record(
        &self,
        _: Request<collection::GetRecordRequest>,
    ) -> Result<Response<collection::GetRecordResponse>, Status> {
        Err(not_measured())
    }

    async fn get_timeliness(
        &self,
        _: Request<collection::GetTimelinessRequest>,
    ) -> Result<Response<collection::GetTimelinessResponse>, Status> {
        Err(not_measured())
    }

    async fn get_counts(
        &self,
        _: Request<collection::GetCountsRequest>,
    ) -> Result<Response<collection::GetCountsResponse>, Status> {
        Err(not_measured())
    }

    async fn list_quarantine(
        &self,
        _: Request<collection::ListQuarantineRequest>,
    ) -> Result<Response<collection::ListQuarantineResponse>, Status> {
        Err(not_measured())
    }

    async fn get_quarantined(
        &self,
        _: Request<collection::GetQuarantinedRequest>,
    ) -> Result<Response<collection::GetQuarantinedResponse>, Status> {
        Err(not_measured())
    }

    async fn discard_quarantined(
        &self,
        _: Request<collection::DiscardQuarantinedRequest>,
    ) -> Result<Response<collection::DiscardQuarantinedResponse>, Status> {
        Err(not_measured())
    }

    async fn get_quarantine_counts(
        &self,
        _: Request<collection::GetQuarantineCountsRequest>,
    ) -> Result<Response<collection::GetQuarantineCountsResponse>, Status> {
        Err(not_measured())
    }

    async fn follow_registrations(
        &self,
        _: Request<collection::FollowRegistrationsRequest>,
    ) -> Result<Response<Self::FollowRegistrationsStream>, Status> {
        Err(not_measured())
    }

    async fn follow_publications(
        &self,
        _: Request<collection::FollowPublicationsRequest>,
    ) -> Result<Response<Self::FollowPublicationsStream>, Status> {
        Err(not_measured())
    }
}

struct Sanctions(Arc<Answers<sanctions::CheckResponse>>);

#[tonic::async_trait]
impl sanctions_server::SanctionsService for Sanctions {
    type SubscribeStream = BoxStream<'static, Result<sanctions::SubscribeResponse, Status>>;
    type CheckManyStream = BoxStream<'static, Result<sanctions::CheckManyResponse, Status>>;

    async fn check(
        &self,
        request: Request<sanctions::CheckRequest>,
    ) -> Result<Response<sanctions::CheckResponse>, Status> {
        let mut answer = self.0.next(1).await.remove(0);
        answer.check_id = request.into_inner().check_id;
        Ok(Response::new(answer))
    }

    async fn list_corrections(
        &self,
        _: Request<sanctions::ListCorrectionsRequest>,
    ) -> Result<Response<sanctions::ListCorrectionsResponse>, Status> {
        Err(not_measured())
    }

    async fn get_signed_receipt(
        &self,
        _: Request<sanctions::GetSignedReceiptRequest>,
    ) -> Result<Response<sanctions::GetSignedReceiptResponse>, Status> {
        Err(not_measured())
    }

    async fn get_receipt_keys(
        &self,
        _: Request<sanctions::GetReceiptKeysRequest>,
    ) -> Result<Response<sanctions::GetReceiptKeysResponse>, Status> {
        Err(not_measured())
    }

    async fn list_decisions(
        &self,
        _: Request<sanctions::ListDecisionsRequest>,
    ) -> Result<Response<sanctions::ListDecisionsResponse>, Status> {
        Err(not_measured())
    }

    async fn get_decision_counts(
        &self,
        _: Request<sanctions::GetDecisionCountsRequest>,
    ) -> Result<Response<sanctions::GetDecisionCountsResponse>, Status> {
        Err(not_measured())
    }

    async fn check_many(
        &self,
        request: Request<Streaming<sanctions::CheckManyRequest>>,
    ) -> Result<Response<Self::CheckManyStream>, Status> {
        let answers = self.0.clone();
        let chunks = request.into_inner().ready_chunks(CHUNK).map(move |chunk| {
            let answers = answers.clone();
            async move {
                let next = answers.next(chunk.len()).await;
                chunk.into_iter().zip(next).map(|(request, mut answer)| {
                    let check_id = request?.check.unwrap_or_default().check_id;
                    answer.check_id.clone_from(&check_id);
                    let outcome = Some(sanctions::check_many_response::Outcome::Answer(answer));
                    Ok(sanctions::CheckManyResponse { check_id, outcome })
                })
            }
        });
        Ok(Response::new(
            chunks
                .buffered(CHUNKS_UNDER_WAY)
                .flat_map(stream::iter)
                .boxed(),
        ))
    }

    async fn subscribe(
        &self,
        _: Request<sanctions::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        Err(not_measured())
    }

    async fn acknowledge(
        &self,
        _: Request<sanctions::AcknowledgeRequest>,
    ) -> Result<Response<sanctions::AcknowledgeResponse>, Status> {
        Err(not_measured())
    }

    async fn start(
        &self,
        _: Request<sanctions::StartRequest>,
    ) -> Result<Response<sanctions::StartResponse>, Status> {
        Err(not_measured())
    }

    async fn execute(
        &self,
        _: Request<sanctions::ExecuteRequest>,
    ) -> Result<Response<sanctions::ExecuteResponse>, Status> {
        Err(not_measured())
    }

    async fn decline(
        &self,
        _: Request<sanctions::DeclineRequest>,
    ) -> Result<Response<sanctions::DeclineResponse>, Status> {
        Err(not_measured())
    }

    async fn confirm_lift(
        &self,
        _: Request<sanctions::ConfirmLiftRequest>,
    ) -> Result<Response<sanctions::ConfirmLiftResponse>, Status> {
        Err(not_measured())
    }

    async fn get_directive(
        &self,
        _: Request<sanctions::GetDirectiveRequest>,
    ) -> Result<Response<sanctions::GetDirectiveResponse>, Status> {
        Err(not_measured())
    }
}

fn not_measured() -> Status {
    Status::unimplemented("this call is not measured")
}
