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

use super::content::Special;
use super::error::Answered as _;
use super::ledger::Listing;
use super::sealed::Secrets;
use super::texts::Text;
use super::{Demo, DemoError, texts, wait};

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
        self.summary.section(&texts::REPLAY);
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
            let name = texts::CHECK_REPLAY_LOG.with(&[log]);
            self.summary.equal(&name, &size, &found);
        }
        self.summary.line(&texts::REPLAYED.with(&[&total]));
        self.summary
            .equal(&texts::CHECK_REPLAY_ROOTS, &roots, &equal);
        self.summary
            .equal(&texts::CHECK_REPLAY_PLACE, &0, &replayed.wrong);
        self.summary
            .equal(&texts::CHECK_REPLAY_JSON, &0, &replayed.unreadable);
        self.summary
            .equal(&texts::CHECK_REPLAY_SECRETS, &0, &replayed.secrets);
        self.summary.count("events", total);
        Ok(())
    }

    pub(super) async fn ask_as_of(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::AS_OF);
        let Special {
            removed,
            wrong,
            upheld,
            short,
            ..
        } = self.ledger.special;
        let corrected = self.ledger.corrected_at.during("correct out")?;
        let before = corrected.checked_sub(1.second()).unwrap_or(corrected);
        let days = self.schedule.clone();
        let nominated = self.ledger.nominated_at.during("nominate")?;
        let (first, second) = (days.first, days.second);
        // What the log knew before the correction, of the day on which all were listed.
        for (when, on, known_at, ended) in [
            (texts::BEFORE_IT, second, Some(before), vec![]),
            (texts::AT_IT, second, Some(corrected), vec![wrong]),
            (texts::NOW, second, None, vec![wrong]),
            // On that day one was suspended, on the next it was listed again and another removed.
            (texts::NOW, days.objection, None, vec![wrong, upheld]),
            (texts::NOW, days.decision, None, vec![wrong, removed]),
            (texts::NOW, days.short_until, None, vec![wrong, removed]),
            (texts::NOW, days.expiry, None, vec![wrong, removed, short]),
            (texts::NOW, first, None, vec![wrong]),
        ] {
            let held = |listing: &Listing| !ended.contains(&listing.index);
            self.compare_as_of(when, on, known_at, held).await?;
        }
        let nobody = |_: &Listing| false;
        self.compare_as_of(texts::BEFORE_ANYONE, first, Some(nominated), nobody)
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
        when: Text,
        on: Date,
        known_at: Option<Timestamp>,
        held: impl Fn(&Listing) -> bool,
    ) -> Result<(), DemoError> {
        let answer = self.as_of(on, known_at, "").await?;
        let listings = self.ledger.listings.iter();
        let listings = listings.filter(|listing| listing.holds_on(on) && held(listing));
        let expected: BTreeSet<&str> = listings.map(|listing| listing.entry_id.as_str()).collect();
        let found: BTreeSet<&str> = answer.entries.iter().map(|e| e.entry_id.as_str()).collect();
        let surplus = found.difference(&expected).count();
        let text = texts::COUNT_IN_FORCE.with(&[&expected.len()]);
        let found = match surplus {
            0 => texts::COUNT_IN_FORCE.with(&[&found.len()]),
            _ => texts::COUNT_AND_OTHERS.with(&[&(found.len() - surplus), &surplus]),
        };
        let name = texts::CHECK_AS_OF.with(&[&on, &when]);
        self.summary.equal(&name, &text, &found);
        if known_at.is_some() {
            let name = texts::CHECK_CLOSED.with(&[&on, &when]);
            self.summary.equal(&name, &true, &answer.closed);
        }
        Ok(())
    }

    async fn ask_about_the_wrong_one(&mut self, before: Timestamp) -> Result<(), DemoError> {
        let wrong = &self.ledger.listings[self.ledger.special.wrong];
        let (on, subject) = (self.schedule.second, wrong.subject.clone());
        let then = self.as_of(on, Some(before), &subject).await?.entries.len();
        let now = self.as_of(on, None, &subject).await?.entries.len();
        let found = format!("{then}, {now}");
        self.summary
            .equal(&texts::CHECK_AS_OF_WRONG, &"1, 0", &found);
        Ok(())
    }

    pub(super) async fn rebuild_and_verify(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::REBUILD);
        let stream = self.cast.operator.audit().rebuild(RebuildRequest {}).await;
        let mut stream = stream.during("rebuild")?.into_inner();
        let (mut rows, mut differences, mut consumers) = (0, 0, Vec::new());
        while let Some(result) = stream.message().await.during("rebuild")? {
            rows += result.rows;
            differences += result.differences_total;
            consumers.push(result.consumer);
        }
        self.summary
            .line(&texts::REBUILT.with(&[&rows, &consumers.len()]));
        self.summary.equal(&texts::CHECK_REBUILD, &0, &differences);
        self.summary
            .holds(&texts::CHECK_REBUILD_ROWS, &texts::SOME, &rows, rows > 0);
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
        self.summary.equal(&texts::CHECK_VERIFY, &0, &faults);
        self.summary
            .equal(&texts::CHECK_VERIFY_HEADS, &known.len(), &shards);
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
