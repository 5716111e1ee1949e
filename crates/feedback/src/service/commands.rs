//! How a request becomes a command on a feedback, and is executed.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tally_auth::Caller;
use tally_domain::date::LegalDate;
use tally_eventlog::append::Appended;
use tally_eventlog::execute::Task;
use tally_eventlog::merkle::Hash;
use tally_eventlog::shard::Shard;
use tally_proto::tally::feedback::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::repeat::or_first;
use tally_service::{CommandScope, Policy, digest, execute_fault, logs, store_fault};

use super::{Service, TEXT_CHARS_MAX, behind, directive, uuid};
use crate::access::Sight;
use crate::codec::outcome_from_proto;
use crate::directives::{self, directive_row};
use crate::feedback::{Answered, Command, Feedback, Known, Outcome, Report};

/// A caller's command on one feedback, decoded.
pub(super) struct Order {
    scope: CommandScope,
    directive_id: String,
    command: Command,
    policy: Arc<Policy>,
}

impl Service {
    /// Decodes what all commands have in common, with every fault.
    pub(super) fn order(
        &self,
        caller: &Caller,
        command_id: &str,
        directive_id: &str,
        policy: Arc<Policy>,
        mut faults: Faults,
        command: impl FnOnce(&mut Faults) -> Option<Command>,
    ) -> Result<Order, Fault> {
        let scope = faults.keep(CommandScope::new(caller, command_id, &*self.deps.clock));
        let directive_id = directive(directive_id, &mut faults);
        let command = command(&mut faults);
        match (scope, directive_id, command) {
            (Some(scope), Some(directive_id), Some(command)) if faults.is_empty() => Ok(Order {
                scope,
                directive_id,
                command,
                policy,
            }),
            _ => Err(Fault::invalid(faults.into_vec())),
        }
    }

    /// Executes what was decoded; a repeat that would be refused today gets its
    /// first result.
    pub(super) async fn settle(
        &self,
        caller: &Caller,
        kind: &str,
        command_id: &str,
        request: &impl Message,
        order: Result<Order, Fault>,
    ) -> Result<Appended, Fault> {
        let digest = digest(kind, request);
        let outcome = match order {
            Ok(order) => {
                let sight = Sight::of(caller, &order.policy)?;
                self.execute(&sight, digest, order).await
            }
            Err(fault) => Err(fault),
        };
        if outcome.is_ok() {
            return outcome;
        }
        let scope = CommandScope::new(caller, command_id, &*self.deps.clock);
        let key = scope.ok().map(|scope| scope.key(digest));
        let first = |first: &Appended| Ok(first.clone());
        or_first(&self.deps, logs::FEEDBACK, key, outcome, first).await
    }

    async fn execute(&self, sight: &Sight, digest: Hash, order: Order) -> Result<Appended, Fault> {
        let known = self.known(&order.directive_id).await?;
        sight.admits(&known)?;
        let command = self
            .look_up(&known, &order.directive_id, order.command)
            .await?;
        let task = Task::<Feedback> {
            stream_id: order.directive_id,
            subject: known.subject,
            command,
            key: order.scope.key(digest),
            context: order.scope.context(order.policy.version()),
            note: Bytes::new(),
            fresh: false,
            guards: Vec::new(),
        };
        let outcome = self.deps.executor.execute(logs::FEEDBACK, task).await;
        outcome.map_err(|error| execute_fault(error, Fault::from))
    }

    /// The command with what the department told sanctions. Whoever reports
    /// right after that may be ahead of this service, so that it catches up
    /// before it says that the two disagree.
    async fn look_up(
        &self,
        known: &Known,
        directive_id: &str,
        mut command: Command,
    ) -> Result<Command, Fault> {
        if let Command::Report {
            report, answered, ..
        } = &mut command
        {
            let shard = self.deps.store.shards().of(&known.subject);
            *answered = self.answered(shard, directive_id).await?;
            if answered.agrees(report.outcome).is_err() {
                let sources = &self.deps.sources;
                if !sources.caught_up(&self.directives, shard).await {
                    return Err(behind(&self.directives));
                }
                *answered = self.answered(shard, directive_id).await?;
            }
        }
        Ok(command)
    }

    async fn answered(&self, shard: Shard, directive_id: &str) -> Result<Answered, Fault> {
        let key = directive_row(shard, directive_id);
        let rows = self.deps.store.rows(&[key]).await.map_err(store_fault)?;
        directives::answered(rows.into_iter().next().flatten()).map_err(Fault::internal)
    }
}

/// The report that a request makes, with every fault.
pub(super) fn report(
    request: &pb::ReportRequest,
    today: LegalDate,
    faults: &mut Faults,
) -> Option<Report> {
    let chosen = faults.choice("outcome", request.outcome, pb::ReportedOutcome::as_str_name);
    let outcome = chosen.and_then(outcome_from_proto);
    if chosen == Some(pb::ReportedOutcome::Unspecified) {
        faults.add(
            "outcome",
            "FIELD_REQUIRED",
            "an outcome is required: executed, declined or in progress",
        );
    }
    let is_final = outcome.is_some_and(|outcome| outcome != Outcome::InProgress);
    let (document, done_on) = if is_final {
        (
            faults.document("document", request.document.as_ref()),
            faults.date("done_on", &request.done_on),
        )
    } else {
        let document = faults.document_or_none("document", request.document.as_ref());
        (document, faults.date_or_none("done_on", &request.done_on))
    };
    if done_on.is_some_and(|day| day > today) {
        faults.add(
            "done_on",
            "DATE_IN_FUTURE",
            format!("what was done cannot be after today, {today}"),
        );
    }
    let check_id = match request.check_id.as_str() {
        "" => Some(String::new()),
        text => uuid("check_id", text, faults),
    };
    let remarks = faults.text_or_empty("remarks", &request.remarks, TEXT_CHARS_MAX);
    Some(Report {
        outcome: outcome?,
        document,
        done_on,
        check_id: check_id?,
        remarks: remarks?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_that_nobody_knows_is_not_called_missing() {
        let reason = |outcome| {
            let request = pb::ReportRequest {
                outcome,
                ..pb::ReportRequest::default()
            };
            let mut faults = Faults::default();
            let today = tally_domain::date::parse_legal_date("2026-03-02").expect("a date");
            assert_eq!(report(&request, today, &mut faults), None);
            let reasons = faults.into_vec().into_iter().map(|fault| fault.reason);
            reasons.collect::<Vec<_>>()
        };
        assert_eq!(reason(0), ["FIELD_REQUIRED"]);
        assert_eq!(reason(9), ["VALUE_NOT_A_CHOICE"]);
    }
}
