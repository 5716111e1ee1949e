//! The people of the main job.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tally::client::Client;
use tally::data_dir::DataDir;
use tally::mesh::MeshOptions;
use tally_proto::tally::log::v1::Receipt;
use tally_proto::tally::sanctions::v1 as sanctions;
use tempfile::TempDir;

use crate::harness::{Harness, MARKET, TAX};
use crate::steps::{
    BlackListing, check, check_after, check_once, list_black, penalty, push, question,
};

/// When it begins.
const START: &str = "2026-03-02T01:00:00Z";

/// The people of the main job: a system and officers of the department that
/// lists, and a department that responds.
pub struct Scene {
    /// The mesh.
    pub mesh: Harness,
    /// System of the listing department.
    pub system: Client,
    /// Its first officer: nominates.
    pub first: Client,
    /// Its second officer: lists.
    pub second: Client,
    /// Its third officer: had no part in a listing.
    pub third: Client,
    /// System of the responding department.
    pub responder: Client,
}

impl Scene {
    /// A mesh on 2026-03-02, 09:00 in the pack's time zone, and its people.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn start() -> Self {
        Self::on(Harness::start(START).await).await
    }

    /// The same in one process with all roles, whatever the environment says.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn whole() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let options = MeshOptions {
            test_clock: Some(START.parse().expect("a timestamp")),
            ..MeshOptions::in_dir(DataDir::new(dir.path()))
        };
        Self::on(Harness::with(options, dir).await).await
    }

    /// The same people on a mesh.
    ///
    /// # Panics
    ///
    /// If anything fails: it is a test.
    pub async fn on(mesh: Harness) -> Self {
        Self {
            system: mesh.system(MARKET).await,
            first: mesh.officer(MARKET, "1").await,
            second: mesh.officer(MARKET, "2").await,
            third: mesh.officer(MARKET, "3").await,
            responder: mesh.system(TAX).await,
            mesh,
        }
    }

    /// Pushes a record about a subject and lists the subject on it, from today
    /// for a year.
    ///
    /// # Panics
    ///
    /// If a step is refused.
    pub async fn listed(&self, subject: &str) -> (String, Receipt) {
        self.listed_until(subject, "2027-03-01").await
    }

    /// The same with another last day.
    ///
    /// # Panics
    ///
    /// If a step is refused.
    pub async fn listed_until(&self, subject: &str, until: &str) -> (String, Receipt) {
        let number = format!("penalty of {subject}");
        let (record, _) = push(&self.system, penalty(subject, &number, "2026-03-01")).await;
        list_black(
            &self.first,
            &self.second,
            &BlackListing::today(subject, &record, until),
        )
        .await
    }

    /// Asks as the responding department, until what is known is not too old.
    ///
    /// # Panics
    ///
    /// If it is refused, or stays so.
    pub async fn check(&self, subject: &str) -> sanctions::CheckResponse {
        check(&self.responder, question(subject)).await
    }

    /// The same once, whatever comes of it.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn check_once(&self, subject: &str) -> sanctions::CheckResponse {
        check_once(&self.responder, question(subject)).await
    }

    /// Asks until a subject whose entry was suspended at `since` is in force no more, and
    /// gives the checks that still said so.
    ///
    /// # Panics
    ///
    /// If one that was asked for after the bound still says so.
    pub async fn stale_checks(
        &self,
        subject: &str,
        since: Instant,
        bound: Duration,
    ) -> BTreeSet<String> {
        let mut stale = BTreeSet::new();
        loop {
            let asked = since.elapsed();
            let answer = self.check_once(subject).await;
            if answer.outcome() != sanctions::CheckOutcome::InForce {
                return stale;
            }
            stale.insert(answer.check_id);
            assert!(asked < bound, "still in force after {asked:?}");
        }
    }

    /// Asks as the responding department, having seen at least a receipt of `lists`.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn check_after(&self, subject: &str, receipt: &Receipt) -> sanctions::CheckResponse {
        check_after(&self.responder, subject, receipt).await
    }
}
