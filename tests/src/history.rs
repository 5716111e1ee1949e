//! What the mesh says of its history.

use std::collections::BTreeSet;

use tally_proto::tally::audit::v1 as audit;

use crate::harness::Harness;

impl Harness {
    /// Asks what was in force at the end of a day, as known at a time.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn as_of(
        &self,
        on: &str,
        known_at: Option<prost_types::Timestamp>,
        subject: &str,
    ) -> audit::AsOfResponse {
        let request = audit::AsOfRequest {
            on: on.to_owned(),
            known_at,
            subject: subject.to_owned(),
            list_type: String::new(),
        };
        self.operator()
            .await
            .audit()
            .as_of(request)
            .await
            .expect("answered")
            .into_inner()
    }

    /// All lines of the history that a request asks for.
    ///
    /// # Panics
    ///
    /// If the stream fails.
    pub async fn replay(&self, request: audit::ReplayRequest) -> Vec<String> {
        let mut records = self
            .operator()
            .await
            .audit()
            .replay(request)
            .await
            .expect("replays")
            .into_inner();
        let mut lines = Vec::new();
        while let Some(record) = records.message().await.expect("the stream goes on") {
            lines.push(record.json);
        }
        lines
    }

    /// The checks that corrections were opened of.
    ///
    /// # Panics
    ///
    /// If the history cannot be read.
    pub async fn corrected_checks(&self) -> BTreeSet<String> {
        let request = audit::ReplayRequest {
            log: "sanctions".to_owned(),
            ..Default::default()
        };
        let history = self.replay(request).await;
        let corrected = |line: &String| {
            let event: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            let opened = event["event_type"] == "tally.sanctions.v1.CorrectionOpened";
            let check = event["payload"]["checkId"].as_str().map(str::to_owned);
            opened.then(|| check.expect("of a check"))
        };
        history.iter().filter_map(corrected).collect()
    }

    /// Everything that `verify` finds: log, shard, position, reason.
    ///
    /// # Panics
    ///
    /// If the stream fails, or there was nothing to verify.
    pub async fn faults(&self) -> Vec<(String, u32, Option<u64>, String)> {
        let operator = self.operator().await;
        let mut faults = Vec::new();
        let mut records = 0;
        for role in operator.processes() {
            let request = audit::VerifyRequest {};
            let verified = operator.audit_of(*role).verify(request).await;
            let mut shards = verified.expect("verifies").into_inner();
            while let Some(result) = shards.message().await.expect("the stream goes on") {
                let head = result.head.unwrap_or_default();
                records += head.size;
                let found = result.faults.into_iter();
                faults.extend(
                    found.map(|fault| {
                        (result.log.clone(), head.shard, fault.position, fault.reason)
                    }),
                );
            }
        }
        assert!(records > 0, "there was nothing to verify");
        faults
    }

    /// Views that are not what their log makes them.
    ///
    /// # Panics
    ///
    /// If the stream fails, or there was nothing to compare.
    pub async fn differing_views(&self) -> BTreeSet<String> {
        let operator = self.operator().await;
        let mut views = BTreeSet::new();
        let mut rows = 0;
        for role in operator.processes() {
            let request = audit::RebuildRequest {};
            let rebuilt = operator.audit_of(*role).rebuild(request).await;
            let mut rebuilt = rebuilt.expect("rebuilds").into_inner();
            while let Some(result) = rebuilt.message().await.expect("the stream goes on") {
                rows += result.rows;
                assert_eq!(result.differences.is_empty(), result.differences_total == 0);
                views.extend(
                    result
                        .differences
                        .into_iter()
                        .map(|difference| difference.view),
                );
            }
        }
        assert!(rows > 0, "there was nothing to compare");
        views
    }

    /// The history verifies, and every view is what the logs make it.
    ///
    /// # Panics
    ///
    /// If not.
    pub async fn assert_history_holds(&self) {
        assert_eq!(self.faults().await, []);
        assert_eq!(self.differing_views().await, BTreeSet::new());
    }
}
