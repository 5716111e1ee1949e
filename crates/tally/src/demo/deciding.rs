//! After step 4: departments decide. Some decisions cite the check
//! made before, some cite none, and what the mesh says of each is compared with
//! what the departments know they did. One check is taken home as a receipt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tally_proto::tally::collection::v1::{PushRecordRequest, RecordContent};
use tally_proto::tally::sanctions::v1::{
    DecisionVerdict as Verdict, GetDecisionCountsRequest, GetReceiptKeysRequest,
    GetSignedReceiptRequest,
};
use tally_service::jws::{JwkSet, JwsError};

use super::content::{LISTED, decision_of};
use super::error::Answered as _;
use super::summary::{Grid, Section};
use super::texts::{self, Phrase, Text};
use super::world::Dept;
use super::{Demo, DemoError};
use crate::client::command_id;

/// The verdicts that occur, as columns.
const COLUMNS: [(Verdict, Text); 5] = [
    (Verdict::CheckedClear, texts::CHECKED_CLEAR),
    (Verdict::NotChecked, texts::NOT_CHECKED),
    (Verdict::CheckOtherSubject, texts::CHECK_OTHER_SUBJECT),
    (Verdict::MeasureInForce, texts::MEASURE_IN_FORCE),
    (Verdict::Withdrawn, texts::WITHDRAWN),
];

/// Decisions by department and verdict.
type Counts = BTreeMap<(Dept, Verdict), u64>;

/// A kind of decision that a department takes.
struct Deciding {
    dept: Dept,
    record_type: String,
    purpose: String,
}

impl Demo {
    /// Every department takes each of its decisions about two who are on no
    /// list, and about one against whom it has a sanction in force.
    pub(super) async fn decide(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::DECISIONS);
        let plan = Arc::clone(&self.plan);
        let coded = |at: &usize| {
            let organisation = &plan.organisations[*at];
            !organisation.government && organisation.subject.starts_with("cn-uscc:")
        };
        let mut others = (LISTED..plan.organisations.len()).filter(coded);
        let asked = others.next().during("find who is on no list")?;
        let unasked = others.next().during("find who is on no list")?;
        let mut receipt_of = None;
        for deciding in self.deciding() {
            let check_id = self.ask_before(&deciding, asked).await?;
            self.take(&deciding, asked, &check_id, Verdict::CheckedClear)
                .await?;
            self.take(&deciding, unasked, "", Verdict::NotChecked)
                .await?;
            // The check that was made is about somebody else.
            self.take(&deciding, unasked, &check_id, Verdict::CheckOtherSubject)
                .await?;
            if let Some(sanctioned) = self.sanctioned(&deciding) {
                let check_id = self.ask_before(&deciding, sanctioned).await?;
                self.take(&deciding, sanctioned, &check_id, Verdict::MeasureInForce)
                    .await?;
            }
            receipt_of.get_or_insert((deciding.dept, check_id));
        }
        self.quiet().await?;
        let (dept, check_id) = receipt_of.during("find a decision")?;
        self.verify_receipt(dept, &check_id).await
    }

    fn deciding(&self) -> Vec<Deciding> {
        let mut all = Vec::new();
        for decision in self.world.pack.decisions.values() {
            let depts = decision.departments.iter();
            let depts = depts.filter_map(|id| self.world.by_id(id.as_str()));
            let purpose = decision.purposes.first();
            all.extend(
                depts
                    .zip(purpose.into_iter().cycle())
                    .map(|(dept, purpose)| Deciding {
                        dept,
                        record_type: decision.record_type.clone(),
                        purpose: purpose.clone(),
                    }),
            );
        }
        all
    }

    /// Who is on a black list and for whom the department has a sanction to apply.
    fn sanctioned(&self, deciding: &Deciding) -> Option<usize> {
        let mut listings = self.ledger.listings.iter();
        let found = listings.find(|listing| {
            let applies = |due: super::world::Due| {
                let mut measures = self.world.pack.measures_at(&deciding.purpose);
                due.dept == deciding.dept && measures.any(|measure| measure.id == due.measure)
            };
            let due = self.world.directives_due(&listing.list_type, self.today);
            !listing.red && listing.in_force_on(self.today) && due.into_iter().any(applies)
        });
        found.map(|listing| listing.index)
    }

    async fn ask_before(&mut self, deciding: &Deciding, about: usize) -> Result<String, DemoError> {
        let subject = &self.plan.organisations[about].subject;
        let question = self.question(deciding.dept, subject, &deciding.purpose);
        Ok(self.ask(deciding.dept, question).await?.check_id)
    }

    /// Takes a decision and reports it.
    async fn take(
        &mut self,
        deciding: &Deciding,
        about: usize,
        check_id: &str,
        verdict: Verdict,
    ) -> Result<(), DemoError> {
        let dept = deciding.dept;
        let taken: u64 = self.ledger.decisions.values().sum();
        let record = RecordContent {
            document_number: format!("示决〔2026〕{taken}号"),
            check_id: check_id.to_owned(),
            ..decision_of(
                &self.world,
                dept,
                &deciding.record_type,
                self.today,
                &self.plan.organisations,
                about,
            )
        };
        let request = PushRecordRequest {
            command_id: command_id(),
            record: Some(record.clone()),
            ..Default::default()
        };
        let mut collection = self.cast.desk(dept).system.collection();
        collection
            .push_record(request)
            .await
            .during("report a decision")?;
        let timing = self.world.timing_of(&record, self.today);
        self.ledger
            .records_of(dept, &record.record_type)
            .accept(timing);
        *self.ledger.decisions_of(dept, verdict) += 1;
        Ok(())
    }

    /// The receipt of a check is verified with nothing but the public keys.
    async fn verify_receipt(&mut self, dept: Dept, check_id: &str) -> Result<(), DemoError> {
        let mut sanctions = self.cast.desk(dept).system.sanctions();
        let request = GetSignedReceiptRequest {
            check_id: check_id.to_owned(),
        };
        let answer = sanctions.get_signed_receipt(request).await;
        let jws = answer.during("get a signed receipt")?.into_inner().jws;
        let keys = sanctions.get_receipt_keys(GetReceiptKeysRequest {}).await;
        let keys = keys.during("get the keys of receipts")?.into_inner();
        let verify = |jws: &str| JwkSet::parse(&keys.jwk_set).and_then(|keys| keys.verify(jws));
        let verified = verify(&jws);
        let holds = verified.is_ok_and(|verified| verified.payload["jti"] == check_id);
        self.summary
            .holds(&texts::CHECK_RECEIPT, &texts::HOLDS, &held(holds), holds);
        // The same statement under the signature of no statement at all.
        let altered = jws.rsplit_once('.').map(|(signed, _)| format!("{signed}."));
        let altered = verify(&altered.during("take a receipt apart")?);
        let refused = matches!(altered, Err(JwsError::SignatureInvalid));
        self.summary.holds(
            &texts::CHECK_RECEIPT_ALTERED,
            &texts::HOLDS_NOT,
            &held(!refused),
            refused,
        );
        Ok(())
    }

    pub(super) async fn compare_decisions(&mut self) -> Result<(), DemoError> {
        let request = GetDecisionCountsRequest::default();
        let mut sanctions = self.cast.operator.sanctions();
        let answer = sanctions.get_decision_counts(request).await;
        let mut found = Counts::new();
        for count in answer
            .during("get the counts of decisions")?
            .into_inner()
            .counts
        {
            let dept = self.world.by_id(&count.department);
            let dept = dept.during("find a department in the pack")?;
            *found.entry((dept, count.verdict())).or_default() += count.count;
        }
        found.retain(|_, count| *count > 0);
        let known = &mut self.ledger.decisions;
        known.retain(|_, count| *count > 0);
        let keys: BTreeSet<_> = known.keys().chain(found.keys()).collect();
        let differ = keys.iter().filter(|key| known.get(key) != found.get(key));
        let differ = differ.count();
        let of = |counts: &Counts, verdict: Verdict| -> u64 {
            let counts = counts.iter().filter(|((_, of), _)| *of == verdict);
            counts.map(|(_, count)| count).sum()
        };
        for (verdict, name) in COLUMNS {
            let (known, found) = (of(&self.ledger.decisions, verdict), of(&found, verdict));
            let name = texts::CHECK_DECISIONS.with(&[&name]);
            self.summary.equal(&name, &known, &found);
        }
        self.summary
            .equal(&texts::CHECK_DECISIONS_DIFFER, &0, &differ);
        self.show_decisions(&found);
        Ok(())
    }

    fn show_decisions(&mut self, found: &Counts) {
        let row = |wanted: &dyn Fn(Dept) -> bool| -> Vec<u64> {
            let of = |(verdict, _): (Verdict, Text)| {
                let counts = found.iter();
                let counts = counts.filter(|((dept, of), _)| wanted(*dept) && *of == verdict);
                counts.map(|(_, count)| count).sum()
            };
            COLUMNS.map(of).to_vec()
        };
        let mut rows: Vec<(Phrase, Vec<u64>)> = self
            .world
            .depts()
            .map(|dept| (self.world.name(dept), row(&|of| of == dept)))
            .filter(|(_, row)| row.iter().any(|count| *count > 0))
            .collect();
        rows.push((Phrase::of(&texts::TOTAL), row(&|_| true)));
        let verdicts = COLUMNS.iter().map(|(_, name)| name);
        let headings = std::iter::once(&texts::DEPARTMENT).chain(verdicts);
        self.summary.table(Grid {
            title: Phrase::of(&texts::TABLE_DECISIONS),
            headings: headings.map(Phrase::of).collect(),
            sections: vec![Section {
                title: Phrase::default(),
                rows,
            }],
        });
    }
}

fn held(holds: bool) -> Text {
    match holds {
        true => texts::HOLDS,
        false => texts::HOLDS_NOT,
    }
}
