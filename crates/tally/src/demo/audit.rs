//! Step 8: the operator replays, asks as-of on both sides of what changed,
//! rebuilds, verifies, and the counts are compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use tally_eventlog::event::to_proto_time;
use tally_eventlog::merkle::{Frontier, leaf_hash};
use tally_proto::tally::audit::v1::{
    AsOfRequest, AsOfResponse, RebuildRequest, ReplayRequest, VerifyRequest,
};
use tally_proto::tally::collection::v1::GetCountsRequest;

use super::error::Answered as _;
use super::ledger::{Listing, REMOVED, RecordCounts, SHORT, UPHELD, WRONG};
use super::sealed::Secrets;
use super::{Demo, DemoError, wait};

/// Sums over a replay.
#[derive(Default)]
struct Replayed {
    records: BTreeMap<String, u64>,
    trees: HashMap<(String, u32), Frontier>,
    /// Records whose bytes have another hash, or are not the next of their shard.
    wrong: u64,
    /// Lines that are not one JSON object.
    unreadable: u64,
    secrets: u64,
}

impl Demo {
    pub(super) async fn replay(&mut self) -> Result<(), DemoError> {
        self.summary.section("the operator replays everything");
        let heads = wait::heads(&self.cast.operator).await?;
        let size =
            |heads: &[tally_proto::tally::log::v1::ShardHead]| heads.iter().map(|h| h.size).sum();
        let sizes: Vec<u64> = heads.iter().map(|(_, head)| size(&head.heads)).collect();
        let total: u64 = sizes.iter().sum();
        let bar = self.bar(total, "replay");
        let request = ReplayRequest::default();
        let stream = self
            .cast
            .operator
            .audit()
            .replay(request)
            .await
            .during("replay")?;
        let mut stream = stream.into_inner();
        let secrets = Secrets::new(&self.plan.secrets);
        let mut replayed = Replayed::default();
        while let Some(item) = stream.message().await.during("replay")? {
            replayed.take(&item.log, &item.record, &item.leaf_hash)?;
            let object =
                serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&item.json);
            replayed.unreadable += u64::from(object.is_err());
            replayed.secrets += secrets.count_in(item.json.as_bytes());
            bar.inc(1);
        }
        bar.finish_and_clear();
        let mut roots = 0;
        let mut equal = 0;
        for (log, head) in &heads {
            for shard in &head.heads {
                let tree = replayed.trees.get(&((*log).to_owned(), shard.shard));
                let root = tree.map_or_else(|| Frontier::default().root(), Frontier::root);
                roots += 1;
                equal += usize::from(root[..] == shard.root[..]);
            }
        }
        for ((log, _), size) in heads.iter().zip(sizes) {
            let found = replayed.records.get(*log).copied().unwrap_or(0);
            self.summary
                .equal(format!("replay: records of {log}"), size, found);
        }
        self.summary.line(format!("{total} records replayed"));
        self.summary
            .equal("replay: roots recomputed from the bytes", roots, equal);
        self.summary
            .equal("replay: records out of place or altered", 0, replayed.wrong);
        self.summary.equal(
            "replay: lines that are not one JSON object",
            0,
            replayed.unreadable,
        );
        self.summary
            .equal("replay: personal values in clear", 0, replayed.secrets);
        self.summary.count("events", total);
        Ok(())
    }

    pub(super) async fn ask_as_of(&mut self) -> Result<(), DemoError> {
        self.summary
            .section("the operator asks what was in force, as known when");
        let corrected = self.ledger.corrected_at.during("correct out")?;
        let before = corrected.checked_sub(1.second()).unwrap_or(corrected);
        let days = self.schedule.clone();
        // What the log knew before the correction, of the day on which all were listed.
        self.compare_as_of("before the correction", days.second, Some(before), |_| true)
            .await?;
        let at_correction = Some(corrected);
        self.compare_as_of("at the correction", days.second, at_correction, |l| {
            l.index != WRONG
        })
        .await?;
        self.compare_as_of("now", days.second, None, |l| l.index != WRONG)
            .await?;
        // On that day one was suspended, on the next it was listed again and another removed.
        let on_objection = |l: &Listing| ![WRONG, UPHELD].contains(&l.index);
        self.compare_as_of("now", days.objection, None, on_objection)
            .await?;
        let on_decision = |l: &Listing| ![WRONG, REMOVED].contains(&l.index);
        self.compare_as_of("now", days.decision, None, on_decision)
            .await?;
        self.compare_as_of("now", days.short_until, None, on_decision)
            .await?;
        let after_expiry = |l: &Listing| ![WRONG, REMOVED, SHORT].contains(&l.index);
        self.compare_as_of("now", days.expiry, None, after_expiry)
            .await?;
        let on_first = |l: &Listing| l.index != WRONG;
        self.compare_as_of("now", days.first, None, on_first)
            .await?;
        let nominated = self.ledger.nominated_at.during("nominate")?;
        self.compare_as_of(
            "before anyone was listed",
            days.first,
            Some(nominated),
            |_| false,
        )
        .await?;
        self.ask_about_the_wrong_one(before).await
    }

    async fn as_of(
        &self,
        on: Date,
        known_at: Option<Timestamp>,
        subject: &str,
    ) -> Result<AsOfResponse, DemoError> {
        let request = AsOfRequest {
            on: on.to_string(),
            known_at: known_at.map(to_proto_time),
            subject: subject.to_owned(),
            list_type: String::new(),
        };
        let answer = self.cast.operator.audit().as_of(request).await;
        Ok(answer.during("ask as-of")?.into_inner())
    }

    /// In force must be whoever `held` keeps, within the term.
    async fn compare_as_of(
        &mut self,
        when: &str,
        on: Date,
        known_at: Option<Timestamp>,
        held: impl Fn(&Listing) -> bool,
    ) -> Result<(), DemoError> {
        let answer = self.as_of(on, known_at, "").await?;
        let within = |listing: &&Listing| {
            listing.term_from <= on && listing.term_until.is_none_or(|until| on <= until)
        };
        let listings = self
            .ledger
            .listings
            .iter()
            .filter(within)
            .filter(|listing| held(listing));
        let expected: BTreeSet<&str> = listings.map(|listing| listing.entry_id.as_str()).collect();
        let found: BTreeSet<&str> = answer.entries.iter().map(|e| e.entry_id.as_str()).collect();
        let name = format!("as-of {on}, as known {when}");
        let text = format!("{} in force", expected.len());
        let surplus = found.difference(&expected).count();
        let found = format!("{} in force", found.len() - surplus)
            + &if surplus == 0 {
                String::new()
            } else {
                format!(" and {surplus} others")
            };
        self.summary.equal(name, text, found);
        if known_at.is_some() {
            self.summary.equal(
                format!("as-of {on}, as known {when}: closed"),
                true,
                answer.closed,
            );
        }
        Ok(())
    }

    async fn ask_about_the_wrong_one(&mut self, before: Timestamp) -> Result<(), DemoError> {
        let (on, subject) = (
            self.schedule.second,
            self.ledger.listings[WRONG].subject.clone(),
        );
        let then = self.as_of(on, Some(before), &subject).await?.entries.len();
        let now = self.as_of(on, None, &subject).await?.entries.len();
        self.summary.equal(
            "as-of: the wrong one, before and after its correction",
            "1, 0",
            format!("{then}, {now}"),
        );
        Ok(())
    }

    pub(super) async fn rebuild_and_verify(&mut self) -> Result<(), DemoError> {
        self.summary
            .section("the operator rebuilds the views and verifies the logs");
        let stream = self.cast.operator.audit().rebuild(RebuildRequest {}).await;
        let mut stream = stream.during("rebuild")?.into_inner();
        let (mut rows, mut differences, mut consumers) = (0, 0, Vec::new());
        while let Some(result) = stream.message().await.during("rebuild")? {
            rows += result.rows;
            differences += result.differences_total;
            consumers.push(result.consumer);
        }
        self.summary.line(format!(
            "{rows} rows of {} readers rebuilt and compared",
            consumers.len()
        ));
        self.summary
            .equal("rebuild: rows that differ", 0, differences);
        self.summary
            .holds("rebuild: rows compared", "some", rows, rows > 0);
        self.verify().await
    }

    async fn verify(&mut self) -> Result<(), DemoError> {
        let heads = wait::heads(&self.cast.operator).await?;
        let known: BTreeMap<(String, u32), (u64, bytes::Bytes)> = heads
            .into_iter()
            .flat_map(|(log, head)| {
                head.heads
                    .into_iter()
                    .map(move |shard| (log.to_owned(), shard))
            })
            .map(|(log, shard)| ((log, shard.shard), (shard.size, shard.root)))
            .collect();
        let stream = self.cast.operator.audit().verify(VerifyRequest {}).await;
        let mut stream = stream.during("verify")?.into_inner();
        let (mut faults, mut shards) = (0, 0);
        while let Some(result) = stream.message().await.during("verify")? {
            faults += result.faults.len();
            let head = result.head.during("verify")?;
            let same = known.get(&(result.log, head.shard)) == Some(&(head.size, head.root));
            shards += usize::from(same);
        }
        self.summary.equal("verify: faults", 0, faults);
        self.summary.equal(
            "verify: shards with the size and root of their head",
            known.len(),
            shards,
        );
        Ok(())
    }

    pub(super) async fn compare_counts(&mut self) -> Result<(), DemoError> {
        self.summary.section("the counts of collection");
        let request = GetCountsRequest {
            department: String::new(),
        };
        let answer = self.cast.operator.collection().get_counts(request).await;
        let counts = answer.during("get the counts")?.into_inner().counts;
        let known = self.ledger.records.clone();
        let mut found = BTreeMap::new();
        for count in counts {
            let counts = RecordCounts {
                accepted: count.accepted,
                corrected: count.corrected,
                withdrawn: count.withdrawn,
            };
            found.insert((count.department, count.record_type), counts);
        }
        let keys: BTreeSet<_> = known.keys().chain(found.keys()).cloned().collect();
        for key in keys {
            let text = |counts: Option<&RecordCounts>| {
                let RecordCounts {
                    accepted,
                    corrected,
                    withdrawn,
                } = counts.copied().unwrap_or_default();
                format!("{accepted} accepted, {corrected} corrected, {withdrawn} withdrawn")
            };
            let name = format!("counts: {} of {}", key.1, key.0);
            self.summary
                .equal(name, text(known.get(&key)), text(found.get(&key)));
        }
        let accepted = known.values().map(|counts| counts.accepted).sum();
        self.summary.count("records", accepted);
        let checks = self.ledger.checks;
        self.summary.count("checks", checks);
        Ok(())
    }
}

impl Replayed {
    fn take(&mut self, log: &str, record: &[u8], leaf: &[u8]) -> Result<(), DemoError> {
        let decoded: tally_proto::tally::log::v1::Record =
            prost::Message::decode(record).map_err(|_| DemoError::Incomplete {
                step: "replay",
                what: "a readable record",
            })?;
        *self.records.entry(log.to_owned()).or_default() += 1;
        let tree = self
            .trees
            .entry((log.to_owned(), decoded.shard))
            .or_default();
        let hash = leaf_hash(record);
        self.wrong += u64::from(hash[..] != *leaf || tree.size() != decoded.position);
        tree.push(hash);
        Ok(())
    }
}
