//! The mesh with a process for each role, on Postgres and Kafka.

use std::time::Duration;

use tally::client::Client;
use tally::role::Role;
use tally_proto::tally::log::v1::GetHeadsRequest;
use tally_proto::tally::node::v1::GetStatusRequest;
use tally_service::logs;
use tally_tests::harness::Harness;
use tally_tests::processes::prefix;

use crate::distributed::schema::Schema;
use crate::load;
use crate::meter::{Others, parent_of};
use crate::ours::{START, client_tls, issue};
use crate::world::SMALL;

/// As a mesh is by default, and not as tests want it.
const SETTINGS: [&str; 5] = [
    "shards=16",
    "store.lease=5",
    "publish.feedback=false",
    "publish.list_changes=false",
    "publish.registrations_to=",
];

/// How often a process is asked how far it is.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The longest that a reader may take to catch up.
const CATCH_UP_MAX: Duration = Duration::from_secs(300);

/// A mesh whose roles have a process each.
pub struct Roles {
    /// The mesh.
    pub harness: Harness,
    operator: Client,
}

impl Roles {
    /// Starts all roles with the small pack.
    pub async fn start() -> Self {
        let harness = Harness::in_processes_with(START, &SETTINGS).await;
        issue(harness.dir.path(), &SMALL);
        let operator = harness.operator().await;
        Self { harness, operator }
    }

    /// Starts one role alone, with the catalogue that it follows: the others have
    /// machines of their own where there is much to do.
    pub async fn only(role: Role) -> Self {
        let mut roles = Self::start().await;
        let others = Role::ALL.into_iter();
        for other in others.filter(|other| ![Role::Catalog, role].contains(other)) {
            roles.harness.processes().kill(other);
        }
        roles
    }

    /// The schema of a role.
    pub fn schema(&self, role: Role) -> Schema {
        Schema::of(format!("{}_{role}", prefix(self.harness.dir.path())))
    }

    /// The schema of the key ring.
    pub fn keyring(&self) -> Schema {
        Schema::of(format!("{}_keyring", prefix(self.harness.dir.path())))
    }

    /// Connections of their own to a role.
    pub async fn connect(&self, role: Role, count: usize) -> Vec<Client> {
        let tls = client_tls(self.harness.dir.path());
        load::connect(&self.harness.endpoint(role), &tls, count).await
    }

    /// Waits until a reader or relay of `collection` has all of the role's log.
    ///
    /// # Panics
    ///
    /// If it takes too long.
    pub async fn has_all(&self, consumer: &str) {
        let role = Role::Collection;
        let caught_up = async {
            let log = logs::COLLECTION.to_string();
            let request = GetHeadsRequest { log };
            let heads = self.operator.log(role).get_heads(request).await;
            let heads = heads.expect("the owner answers").into_inner().heads;
            while !self.has(role, consumer, |shard| heads[shard].size).await {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let waited = tokio::time::timeout(CATCH_UP_MAX, caught_up).await;
        assert!(waited.is_ok(), "{consumer} has not caught up");
    }

    async fn has(&self, role: Role, consumer: &str, size: impl Fn(usize) -> u64) -> bool {
        let request = GetStatusRequest {};
        let status = self.operator.node(role).get_status(request).await;
        let readers = status.expect("a status").into_inner().readers;
        let reader = readers.into_iter().find(|found| found.consumer == consumer);
        let reader = reader.expect("the role has the reader");
        assert_eq!(reader.stopped, "", "{consumer} goes on");
        let mut applied = reader.applied.iter().enumerate();
        applied.all(|(shard, applied)| *applied >= size(shard))
    }

    /// What works beside this process: a role, and Postgres if it is on this machine.
    pub async fn beside(&mut self, role: Role) -> Others {
        Others {
            mesh: vec![self.harness.processes().pid(role)],
            ..postgres().await
        }
    }
}

/// Postgres, if it is on this machine.
pub async fn postgres() -> Others {
    let connection = &mut Schema::of("public".to_owned()).connect().await;
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(connection)
        .await
        .expect("the server answers");
    Others {
        mesh: Vec::new(),
        database: parent_of(backend.cast_unsigned()),
    }
}
