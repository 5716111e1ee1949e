//! A province's window: a department that licenses, another, and their questions.

use std::collections::BTreeMap;

use tally::client::Client;
use tally_catalog::pack::BuiltIn;
use tally_domain::policy::Pack;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_proto::tally::sanctions::v1::DecisionVerdict as Verdict;
use tally_tests::harness::*;
use tally_tests::records::minimal;

/// Market supervision of the province: licenses food trade, and lists on food safety.
pub const PROVINCE: &str = "11990000MB00010701";
/// Market supervision of the city: licenses too.
pub const CITY: &str = "11990100MB00020309";
pub const TODAY: &str = "2026-03-02";

/// A mesh with the province's pack, a department that licenses, and another.
pub struct Window {
    pub mesh: Harness,
    pub pack: Pack,
    pub province: Client,
    pub city: Client,
}

impl Window {
    pub async fn open() -> Self {
        let mesh = Harness::province("2026-03-02T01:00:00Z").await;
        Self {
            province: mesh.system(PROVINCE).await,
            city: mesh.system(CITY).await,
            pack: BuiltIn::Province.load().expect("the pack is consistent"),
            mesh,
        }
    }

    /// Lists the company on food safety, and gives the entry.
    pub async fn list(&self) -> String {
        let record_type = self.pack.record_type("administrative-penalty");
        let penalty = minimal(
            record_type.expect("an item"),
            COMPANY,
            "penalty 1",
            "2026-03-01",
        );
        let (ground, _) = push(&self.province, penalty).await;
        let listing = BlackListing {
            list_type: "food-safety".to_owned(),
            basis: "tally-food-rules/33".to_owned(),
            ..BlackListing::today(COMPANY, &ground, "2027-03-01")
        };
        let first = self.mesh.officer(PROVINCE, "1").await;
        let second = self.mesh.officer(PROVINCE, "2").await;
        let (entry, _) = list_black(&first, &second, &listing).await;
        self.mesh.settle().await;
        entry
    }

    pub fn licence(
        &self,
        subject: &str,
        number: &str,
        decided_on: &str,
        check_id: &str,
    ) -> collection::RecordContent {
        let record_type = self.pack.record_type("administrative-licence");
        collection::RecordContent {
            check_id: check_id.to_owned(),
            ..minimal(record_type.expect("an item"), subject, number, decided_on)
        }
    }

    /// Pushes a licence of today by the province, and gives its id.
    pub async fn licensed(&self, subject: &str, number: &str, check_id: &str) -> String {
        let licence = self.licence(subject, number, TODAY, check_id);
        push(&self.province, licence).await.0
    }

    /// What is reported of the province's decisions, by record.
    pub async fn reported(&self) -> BTreeMap<String, sanctions::Decision> {
        self.mesh.settle().await;
        let decisions = decisions(&self.province, sanctions::ListDecisionsRequest::default());
        let decisions = decisions.await.into_iter();
        decisions
            .map(|decision| (decision.record_id.clone(), decision))
            .collect()
    }

    pub async fn verdict(&self, record_id: &str) -> Verdict {
        self.reported().await[record_id].verdict()
    }
}

/// Asks for a purpose, and gives the id of the check with the answer.
pub async fn checked(client: &Client, subject: &str, purpose: &str) -> sanctions::CheckResponse {
    let request = sanctions::CheckRequest {
        purpose: purpose.to_owned(),
        ..question(subject)
    };
    check(client, request).await
}

/// All pages of a report.
pub async fn decisions(
    client: &Client,
    mut request: sanctions::ListDecisionsRequest,
) -> Vec<sanctions::Decision> {
    let mut decisions = Vec::new();
    loop {
        let page = client.sanctions().list_decisions(request.clone()).await;
        let page = page.expect("listed").into_inner();
        decisions.extend(page.decisions);
        if page.next_page_token.is_empty() {
            return decisions;
        }
        request.page_token = page.next_page_token;
    }
}
