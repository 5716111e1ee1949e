//! How an answered check is recorded, and what its caller is told.

use bytes::Bytes;
use prost::Message as _;
use tally_domain::policy::MeasurePolarity;
use tally_eventlog::append::{Append, Appended, ExpectedVersion, Guard, StreamAppend};
use tally_eventlog::event::{NewEvent, StreamName};
use tally_eventlog::ids::named_id;
use tally_eventlog::shard::Shard;
use tally_proto::tally::sanctions::v1 as pb;
use tally_service::{Deps, logs, receipt};
use uuid::{Builder, Uuid};

use super::{CHECK_CATEGORY, Decided};
use crate::basis::ListsBasis;
use crate::check::Verdict;
use crate::codec::event_type;
use crate::consumer;
use crate::question::Question;

/// What is recorded of an answer.
pub(super) fn answered(
    question: &Question,
    verdict: &Verdict,
    basis: pb::ConsistencyToken,
) -> pb::CheckAnswered {
    let entries = &verdict.entries;
    pb::CheckAnswered {
        check_id: question.check_id.clone(),
        purpose: question.purpose.clone(),
        case_number: question.case_number.clone(),
        outcome: verdict.outcome.into(),
        entry_ids: entries.iter().map(|entry| entry.entry_id.clone()).collect(),
        basis: Some(basis),
        on: question.today.to_string(),
        entry_subjects: entries.iter().map(|entry| entry.subject.clone()).collect(),
        said: entries
            .iter()
            .map(|entry| said_of(question, entry))
            .collect(),
        linked: verdict.linked.clone(),
    }
}

/// The record of an answer, which commits only while the reader of `lists`
/// stands where the answer looked.
pub(super) fn append_of(deps: &Deps, question: &Question, decided: &Decided) -> Append {
    let now = deps.clock.now();
    let stream = check_stream(question.department.as_str(), &question.check_id);
    let event = NewEvent {
        event_id: event_id(now, stream),
        event_type: event_type::CHECK_ANSWERED,
        subject: question.subject.clone(),
        payload: decided.answered.encode_to_vec().into(),
        effective_at: now,
        context: question.context.clone(),
        legal_basis: Some(question.legal_basis.clone()),
    };
    let guard = |(shard, lists): &(Shard, ListsBasis)| Guard {
        consumer: consumer::LISTS,
        shard: *shard,
        next: lists.records,
    };
    Append {
        command: Some(question.key.clone()),
        note: Bytes::new(),
        streams: vec![StreamAppend {
            stream: StreamName::new(CHECK_CATEGORY, stream.to_string()),
            expected: ExpectedVersion::NewByCommand,
            events: vec![event],
        }],
        guards: decided.verdict.shards.iter().map(guard).collect(),
        ..Append::to(
            logs::SANCTIONS_ACCESS,
            deps.store.shards().of(&question.subject),
        )
    }
}

/// What is kept of an entry's answer. A measure that the pack no longer has
/// cannot be in force.
fn said_of(question: &Question, entry: &pb::EntryInForce) -> pb::EntrySaid {
    let mut said = pb::EntrySaid {
        list_type: entry.list_type.clone(),
        ..Default::default()
    };
    for applied in &entry.measures {
        let measure = question.policy.pack.measure(&applied.measure);
        match measure.map(|measure| measure.polarity) {
            Some(MeasurePolarity::Sanction) => said.sanctions.push(applied.measure.clone()),
            Some(MeasurePolarity::Incentive) => said.incentives.push(applied.measure.clone()),
            None => {}
        }
    }
    said
}

/// Stream of a check.
pub fn check_stream(department: &str, check_id: &str) -> Uuid {
    named_id("check", &[department, check_id])
}

/// A UUIDv7 whose random part is of the check, which has one event.
fn event_id(now: jiff::Timestamp, stream: Uuid) -> Uuid {
    let random: [u8; 10] = stream.as_bytes()[6..].try_into().expect("10 of 16 bytes");
    let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
}

/// What the caller of an answered check is told.
pub(super) fn response(decided: Decided, appended: &Appended) -> pb::CheckResponse {
    let Decided { verdict, answered } = decided;
    pb::CheckResponse {
        check_id: answered.check_id,
        outcome: answered.outcome,
        entries: verdict.entries,
        when_undetermined: verdict.when_undetermined,
        undetermined_reason: verdict.undetermined_reason.to_owned(),
        basis: answered.basis,
        receipt: Some(receipt(appended)),
        on: answered.on,
    }
}
