//! Records pushed to a `collection` process, then to a bare server that inserts the rows that
//! the first has made.

use tally::role::Role;
use tally_eventlog::shard::ShardCount;
use tally_proto::tally::collection::v1::PushRecordsResponse;
use tally_service::logs;
use tokio::runtime::{Builder, Runtime};

use super::kafka::Producing;
use super::roles::{Roles, postgres};
use super::schema::Schema;
use crate::bare::{Bare, Place};
use crate::content;
use crate::load::{self, KINDS, PLAIN};
use crate::material::Material;
use crate::meter::Meter;
use crate::ours::{client_tls, server_tls};
use crate::paths::{CLIENTS, describe};
use crate::report::{Report, Turn};
use crate::world::SMALL;

/// What is pushed, and what happens beside it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Records without personal fields; the relay is held.
    Plain,
    /// One in ten with personal fields; the relay is held.
    Personal,
    /// As the first, and the relay works beside it: bare has a producer beside it.
    Relayed,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Plain => "4a Postgres: ingest",
            Self::Personal => "4b Postgres: ingest, one in ten personal",
            Self::Relayed => "4c Postgres and Kafka: ingest and relay",
        }
    }
}

/// A log that was filled while its relay was held.
pub struct Filled {
    /// The mesh: `collection` and the catalogue.
    pub roles: Roles,
    /// Records.
    pub records: usize,
    /// Those of them that the relay still has to do.
    pub held: usize,
    /// Bytes of one, on average.
    pub bytes: usize,
    /// Shards of the log.
    pub shards: ShardCount,
}

impl Filled {
    /// Fills one; the relay has done the first few, so that it has its producer.
    pub async fn fill(count: usize) -> Self {
        let held = count;
        let records = count + WARM_UP;
        let mut requests = content::records(&SMALL, 0..records, None);
        let roles = Roles::only(Role::Collection).await;
        let clients = roles.connect(Role::Collection, CLIENTS).await;
        let rest = requests.split_off(WARM_UP);
        load::push(&clients, requests).await;
        roles.has_all(RELAY).await;
        roles.harness.hold(RELAY, true).await;
        let kept = load::push(&clients, rest).await;
        assert_eq!(kept.counts[PLAIN], held, "every record is accepted");
        roles.has_all(READER).await;
        let connection = &mut roles.schema(Role::Collection).connect().await;
        let (bytes, shards): (i64, i64) = sqlx::query_as(
            "SELECT avg(length(record))::bigint, (SELECT count(DISTINCT shard) FROM shard_head) \
             FROM event",
        )
        .fetch_one(connection)
        .await
        .expect("the tables are there");
        Self {
            roles,
            records,
            held,
            bytes: bytes as usize,
            shards: ShardCount::new(shards as u16).expect("in range"),
        }
    }

    /// Waits until all is relayed.
    pub async fn relayed(&self) {
        self.roles.has_all(RELAY).await;
    }

    /// Lets the relay go on.
    pub async fn release(&self) {
        self.roles.harness.hold(RELAY, false).await;
    }
}

/// Records that the relay does before it is held.
const WARM_UP: usize = 1_000;

/// The reader of the records in their own role.
const READER: &str = "collection.self";
/// The relay of the records.
const RELAY: &str = "relay.collection";

/// Pushes `count` records until the last receipt is there, the views have caught up, and what
/// is relayed has been delivered.
pub async fn ingest(kind: Kind, count: usize, report: &mut Report) {
    let personal_every = (kind == Kind::Personal).then_some(10);
    let requests = content::records(&SMALL, 0..count, personal_every);
    let mut roles = Roles::only(Role::Collection).await;
    if kind != Kind::Relayed {
        roles.harness.hold(RELAY, true).await;
    }
    let clients = roles.connect(Role::Collection, CLIENTS).await;
    let ours_requests = requests.clone();
    let meter = Meter::with(roles.beside(Role::Collection).await);
    let kept = load::push(&clients, ours_requests).await;
    let mut notes = vec![("last receipt", meter.read().elapsed)];
    roles.has_all(READER).await;
    notes.push(("views caught up", meter.read().elapsed));
    if kind == Kind::Relayed {
        roles.has_all(RELAY).await;
        notes.push(("all relayed", meter.read().elapsed));
    }
    let settled = meter.read();
    assert_eq!(kept.counts[PLAIN], count, "every record is accepted");
    drop(clients);

    let store = roles.schema(Role::Collection);
    let material = Material::read_schema(&store, &roles.keyring(), logs::COLLECTION, count).await;
    describe(&material);
    let shards = u16::try_from(material.heads.len()).map(ShardCount::new);
    let shards = shards.expect("few").expect("in range");
    let bare = BareRole::start(material, shards, &roles, kept.samples).await;
    let producing = match kind {
        Kind::Relayed => Some(Producing::prepare(&store, shards).await),
        Kind::Plain | Kind::Personal => None,
    };
    let tls = client_tls(roles.harness.dir.path());
    let clients = load::connect(&bare.server.endpoint, &tls, CLIENTS).await;
    let meter = Meter::with(postgres().await);
    let produced = producing.map(Producing::start);
    let kept = load::push(&clients, requests).await;
    if let Some(produced) = produced {
        let topic = produced.await.expect("the producer does not panic");
        topic.delete().await;
    }
    let bare_took = meter.read();
    assert_eq!(kept.counts[PLAIN], count);
    drop(clients);
    bare.stop().await;
    let turn = Turn {
        count,
        ours: settled,
        bare: bare_took,
        notes,
        gated: true,
    };
    report.add(kind.path(), turn);
}

/// A bare server on threads of its own, as ours has a process of its own.
struct BareRole {
    server: Bare,
    runtime: Runtime,
}

impl BareRole {
    async fn start(
        material: Material,
        shards: ShardCount,
        roles: &Roles,
        samples: [Option<PushRecordsResponse>; KINDS],
    ) -> Self {
        let place = Place::Postgres {
            store: Schema::store(Role::Collection.logs(), shards).await,
            keyring: Schema::keyring().await,
        };
        let runtime = Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("threads are all it takes");
        let tls = server_tls(roles.harness.dir.path());
        let starting =
            runtime.spawn(async move { Bare::collection(place, &tls, material, samples).await });
        Self {
            server: starting.await.expect("it starts"),
            runtime,
        }
    }

    async fn stop(self) {
        let stopping = self.runtime.spawn(self.server.stop());
        stopping.await.expect("it stops");
        self.runtime.shutdown_background();
    }
}
