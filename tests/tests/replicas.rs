//! Two processes of a role, on Postgres and Kafka: each takes commands and
//! questions, and what one of them leaves undone the other does, once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tally::client::Client;
use tally::data_dir::{DataDir, OPERATOR};
use tally::role::Role;
use tally_proto::tally::log::v1::Receipt;
use tally_proto::tally::node::v1::{GetStatusRequest, ReaderStatus};
use tally_proto::tally::sanctions::v1::CheckOutcome;
use tally_service::logs;
use tally_tests::harness::{Harness, MARKET, TAX};
use tally_tests::organisations::subjects;
use tally_tests::steps::{BlackListing, check_after, list_black, penalty, push};

/// Pause between two looks from outside at what several processes do.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Within this, others have taken over. No claim about speed: that they do so when the
/// term is over is held where the clock can be moved.
const TAKEN_OVER: Duration = Duration::from_secs(60);

/// Where to call one of the replicas, as each of the people.
struct Way {
    operator: Client,
    system: Client,
    first: Client,
    second: Client,
    responder: Client,
}

impl Way {
    fn new(dir: &DataDir, endpoint: impl Fn(Role) -> String) -> Self {
        let client = |name: &str| {
            let tls = dir.client_tls(name).expect("issued");
            Client::of_roles(&endpoint, &tls).expect("an address and a certificate")
        };
        Self {
            operator: client(OPERATOR),
            system: client(&format!("system-{MARKET}")),
            first: client(&format!("officer-{MARKET}-1")),
            second: client(&format!("officer-{MARKET}-2")),
            responder: client(&format!("system-{TAX}")),
        }
    }

    /// Lists a subject, and asks `other` about it, who must have seen that.
    async fn list(&self, other: &Self, subject: &str) {
        let receipt = self.list_only(subject).await;
        other.knows(subject, &receipt).await;
    }

    async fn list_only(&self, subject: &str) -> Receipt {
        let number = format!("penalty of {subject}");
        let (record, _) = push(&self.system, penalty(subject, &number, "2026-03-01")).await;
        let listing = BlackListing::today(subject, &record, "2027-03-01");
        list_black(&self.first, &self.second, &listing).await.1
    }

    /// Asks about a subject, having seen that it was listed.
    async fn knows(&self, subject: &str, receipt: &Receipt) {
        let answer = check_after(&self.responder, subject, receipt).await;
        assert_eq!(
            answer.outcome(),
            CheckOutcome::InForce,
            "{}",
            answer.undetermined_reason
        );
    }

    /// Lists subjects, while or after it takes over the shards of a role.
    async fn list_meanwhile(&self, subjects: &[String], role: Role) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        // A listing rests on what lists knows of the records.
        if role == Role::Lists {
            self.runs(role, 4, TAKEN_OVER).await;
        }
        for subject in subjects {
            receipts.push(self.list_only(subject).await);
        }
        self.runs(role, 4, TAKEN_OVER).await;
        receipts
    }

    async fn readers(&self, role: Role) -> Vec<ReaderStatus> {
        let mut node = self.operator.node(role);
        let status = node.get_status(GetStatusRequest {}).await;
        status.expect("a status").into_inner().readers
    }

    /// Waits until it runs so many shards of each reader of a role.
    async fn runs(&self, role: Role, shards: usize, within: Duration) {
        let waiting = async {
            loop {
                let readers = self.readers(role).await;
                if readers.iter().all(|reader| reader.held.len() == shards) {
                    return;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let waited = tokio::time::timeout(within, waiting).await;
        if waited.is_err() {
            panic!("{role}: {:?}", self.readers(role).await);
        }
    }
}

/// Number of records of each log that only commands and effects write.
async fn totals(mesh: &Harness) -> BTreeMap<String, u64> {
    let sizes = mesh.sizes().await.into_iter();
    let effects = sizes.filter(|(log, _)| log != logs::SANCTIONS_ACCESS.0);
    effects
        .map(|(log, sizes)| (log, sizes.iter().sum()))
        .collect()
}

#[tokio::test]
async fn what_a_replica_leaves_undone_another_does_once() {
    let mut mesh = Harness::in_processes("2026-03-02T01:00:00Z").await;
    for officer in ["1", "2"] {
        mesh.officer(MARKET, officer).await;
    }
    for department in [MARKET, TAX] {
        mesh.system(department).await;
    }
    let dir = DataDir::new(mesh.dir.path());
    let processes = mesh.processes();
    let lists = processes.replica(Role::Lists).await;
    let sanctions = processes.replica(Role::Sanctions).await;
    let first: Vec<String> = Role::ALL.map(|role| processes.endpoint(role)).into();
    let a = Way::new(&dir, |role| first[role as usize].clone());
    let b = Way::new(&dir, |role| match role {
        Role::Lists => lists.clone(),
        Role::Sanctions => sanctions.clone(),
        role => first[role as usize].clone(),
    });
    for role in [Role::Lists, Role::Sanctions] {
        for way in [&a, &b] {
            way.runs(role, 2, TAKEN_OVER).await;
        }
        for (of_a, of_b) in a.readers(role).await.iter().zip(b.readers(role).await) {
            let all: BTreeSet<u32> = of_a.held.iter().chain(&of_b.held).copied().collect();
            assert_eq!(all, (0..4).collect(), "{of_a:?} {of_b:?}");
        }
    }

    // Either takes commands and answers, also what the other has just been told.
    let subjects = subjects(18);
    let (one, rest) = subjects.split_at(1);
    mesh.settle().await;
    let before = totals(&mesh).await;
    a.list(&b, &one[0]).await;
    mesh.settle().await;
    let per_listing: BTreeMap<String, u64> = totals(&mesh)
        .await
        .into_iter()
        .map(|(log, size)| (log.clone(), size - before[&log]))
        .collect();
    assert!(per_listing["sanctions"] > 0, "{per_listing:?}");
    let (first_half, rest) = rest.split_at(5);
    for (n, subject) in first_half.iter().enumerate() {
        match n % 2 {
            0 => a.list(&b, subject).await,
            _ => b.list(&a, subject).await,
        }
    }

    // A process is killed; the other takes everything over.
    let (dead, rest) = rest.split_at(6);
    for (role, subjects) in [Role::Sanctions, Role::Lists]
        .into_iter()
        .zip(dead.chunks(3))
    {
        mesh.processes().kill(role);
        let receipts = b.list_meanwhile(subjects, role).await;
        mesh.processes().revive(role).await;
        a.runs(role, 2, TAKEN_OVER).await;
        for (subject, receipt) in subjects.iter().zip(&receipts) {
            a.knows(subject, receipt).await;
            b.knows(subject, receipt).await;
        }
    }

    // One stands still past its term, and wakes up as a zombie.
    for (role, subjects) in [Role::Sanctions, Role::Lists]
        .into_iter()
        .zip(rest.chunks(3))
    {
        mesh.processes().stand_still(role);
        let receipts = b.list_meanwhile(subjects, role).await;
        mesh.processes().go_on(role);
        for way in [&a, &b] {
            way.runs(role, 2, TAKEN_OVER).await;
        }
        for (subject, receipt) in subjects.iter().zip(&receipts) {
            a.knows(subject, receipt).await;
            b.knows(subject, receipt).await;
        }
    }

    mesh.settle().await;
    let after = totals(&mesh).await;
    for (log, size) in &before {
        let listings = subjects.len() as u64;
        assert_eq!(
            after[log] - size,
            per_listing[log] * listings,
            "{log}: what was acknowledged, each once"
        );
    }
    mesh.stop().await;
}
