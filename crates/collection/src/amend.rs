//! Corrections and withdrawals: only by the department that pushed the record.

use std::sync::Arc;

use bytes::Bytes;
use tally_auth::Caller;
use tally_domain::fault::FieldFault;
use tally_eventlog::execute::Task;
use tally_eventlog::pb::Receipt;
use tally_proto::tally::collection::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::reply::{keyring_fault, load_fault};
use tally_service::{Deps, logs, subject};
use uuid::Uuid;

use crate::content::{self, Named, once};
use crate::draft::Judge;
use crate::intake::sealing_stream;
use crate::record::{Command, Corrected, Record, Rejection};

/// The right to correct, as the contract names it.
pub(crate) const RIGHT_CORRECT: &str = "collection.correct";
/// The right to withdraw, as the contract names it.
pub(crate) const RIGHT_WITHDRAW: &str = "collection.withdraw";

/// Characters that a reason may have, as the longest remarks of departments' forms.
pub(crate) const REASON_CHARS_MAX: usize = 2_000;

/// Reads the id of a record.
///
/// # Errors
///
/// The fault of `record_id`.
pub(crate) fn parse_record_id(text: &str) -> Result<Uuid, FieldFault> {
    Uuid::try_parse(text).map_err(|_| {
        FieldFault::new(
            "record_id",
            "RECORD_ID_INVALID",
            "a record's id is the UUID that its receipt named",
        )
    })
}

/// Loads the state of a record.
///
/// # Errors
///
/// It cannot be read.
pub(crate) async fn load(deps: &Deps, record_id: Uuid) -> Result<Record, Fault> {
    let id = record_id.to_string();
    let loaded = deps
        .executor
        .load::<Record>(logs::COLLECTION, &[&id])
        .await
        .map_err(load_fault)?;
    Ok(loaded
        .into_iter()
        .next()
        .map(|loaded| loaded.state)
        .unwrap_or_default())
}

/// Corrects a record. A repeat is answered with the first receipt, also where
/// it would now be refused.
///
/// # Errors
///
/// Every fault of the message, or the rejection.
pub(crate) async fn correct(
    deps: &Deps,
    caller: &Caller,
    mut request: pb::CorrectRecordRequest,
) -> Result<pb::CorrectRecordResponse, Fault> {
    let id = std::mem::take(&mut request.command_id);
    let receipt = once(
        deps,
        caller,
        RIGHT_CORRECT,
        &id,
        request,
        |command, request| correct_now(deps, caller, command, request),
    );
    Ok(pb::CorrectRecordResponse {
        receipt: Some(receipt.await?),
    })
}

async fn correct_now(
    deps: &Deps,
    caller: &Caller,
    command: Result<Named, FieldFault>,
    request: pb::CorrectRecordRequest,
) -> Result<Receipt, Fault> {
    let department = caller.department()?;
    let policy = deps.catalogue.active()?;
    let mut faults = Faults::default();
    let named = faults.keep(command);
    let record_id = faults.keep(parse_record_id(&request.record_id));
    let reason = faults.text("reason", &request.reason, REASON_CHARS_MAX);
    let held = match record_id {
        Some(record_id) => load(deps, record_id).await?,
        None => Record::default(),
    };
    if record_id.is_some() {
        held.seen_by(&policy.pack, department)?;
        held.owned_by(department.as_str(), RIGHT_CORRECT)?;
    }
    let today = policy.today(deps.clock.now());
    let judge = Judge {
        policy: &policy,
        today,
        department,
        held_basis: held.legal_basis(),
    };
    let judged = judge.judge(request.record, &mut faults);
    let (Some(named), Some(record_id), Some(reason), Some((subject, draft))) =
        (named, record_id, reason, judged)
    else {
        return Err(Fault::invalid(faults.into_vec()));
    };
    let subject = subject::resolve(subject, &deps.keyring)
        .await
        .map_err(keyring_fault)?;
    let sealer = if draft.is_personal() {
        let stream = sealing_stream(record_id);
        deps.keyring
            .sealers(&[&stream])
            .await
            .map_err(keyring_fault)?
            .pop()
    } else {
        None
    };
    let (legal_basis, effective_at) = (draft.legal_basis.clone(), draft.effective_at);
    let body = pb::RecordCorrected {
        content: Some(draft.seal(sealer.as_ref())),
        reason,
        corrected_on: today.to_string(),
    };
    let command = Command::Correct(Arc::new(Corrected {
        department: department.to_string(),
        subject: subject.to_string(),
        legal_basis,
        effective_at,
        body,
    }));
    execute(deps, named, policy.version(), record_id, &held, command).await
}

/// Withdraws a record. A repeat is answered with the first receipt, also where
/// it would now be refused.
///
/// # Errors
///
/// Every fault of the message, or the rejection.
pub(crate) async fn withdraw(
    deps: &Deps,
    caller: &Caller,
    mut request: pb::WithdrawRecordRequest,
) -> Result<pb::WithdrawRecordResponse, Fault> {
    let id = std::mem::take(&mut request.command_id);
    let receipt = once(
        deps,
        caller,
        RIGHT_WITHDRAW,
        &id,
        request,
        |command, request| withdraw_now(deps, caller, command, request),
    );
    Ok(pb::WithdrawRecordResponse {
        receipt: Some(receipt.await?),
    })
}

async fn withdraw_now(
    deps: &Deps,
    caller: &Caller,
    command: Result<Named, FieldFault>,
    request: pb::WithdrawRecordRequest,
) -> Result<Receipt, Fault> {
    let department = caller.department()?;
    let policy = deps.catalogue.active()?;
    let mut faults = Faults::default();
    let named = faults.keep(command);
    let record_id = faults.keep(parse_record_id(&request.record_id));
    let reason = faults.text("reason", &request.reason, REASON_CHARS_MAX);
    let document = faults.document("document", request.document.as_ref());
    let (Some(named), Some(record_id), Some(reason), Some(document)) =
        (named, record_id, reason, document)
    else {
        return Err(Fault::invalid(faults.into_vec()));
    };
    let held = load(deps, record_id).await?;
    held.seen_by(&policy.pack, department)?;
    held.owned_by(department.as_str(), RIGHT_WITHDRAW)?;
    let now = deps.clock.now();
    let command = Command::Withdraw {
        department: department.to_string(),
        at: now,
        on: policy.today(now),
        reason,
        document,
    };
    execute(deps, named, policy.version(), record_id, &held, command).await
}

async fn execute(
    deps: &Deps,
    named: Named,
    pack_version: &str,
    record_id: Uuid,
    held: &Record,
    command: Command,
) -> Result<Receipt, Fault> {
    // The record's subject, not the one in the message: it is the shard key.
    let subject = held.accepted().ok_or(Rejection::Unknown)?.subject.clone();
    let task = Task::<Record> {
        stream_id: record_id.to_string(),
        subject,
        command,
        key: named.key,
        context: named.scope.context(pack_version),
        note: Bytes::new(),
        fresh: false,
        guards: Vec::new(),
    };
    content::execute(deps, task).await
}
