//! The way of a pushed record into the log: judged, sealed, executed. Records
//! go in chunks, because keys and commits cost per chunk and not per record.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tally_auth::Caller;
use tally_domain::calendar::Deadline;
use tally_domain::department::DepartmentId;
use tally_domain::document::DocumentNumber;
use tally_domain::subject::Subject;
use tally_eventlog::aggregate::Aggregate as _;
use tally_eventlog::append::CommandKey;
use tally_eventlog::event::{EventContext, Recorded, StreamName, actor_to_proto};
use tally_eventlog::execute::Task;
use tally_eventlog::ids::named_id;
use tally_eventlog::pb as log_pb;
use tally_eventlog::sealing::Sealer;
use tally_proto::tally::collection::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::repeat::firsts;
use tally_service::reply::{keyring_fault, store_fault};
use tally_service::subject::SubjectInput;
use tally_service::{Deps, Policy, logs, subject};
use uuid::Uuid;

use crate::answer::{Answer, Failure, RIGHT_PUSH, Refused, accepted, as_appended};
use crate::content::{self, Hasher, Named};
use crate::draft::{Draft, Judge};
use crate::record::{Accepted, Command, Record};

/// Id of the record with this natural key.
pub fn record_id(
    department: &DepartmentId,
    document_number: &DocumentNumber,
    subject: &Subject,
    record_type: &str,
) -> Uuid {
    let subject = subject.to_string();
    named_id(
        "record",
        &[
            department.as_str(),
            document_number.key(),
            &subject,
            record_type,
        ],
    )
}

/// Name under which the key ring knows a record's data key.
pub(crate) fn sealing_stream(record_id: Uuid) -> String {
    format!("collection/record/{record_id}")
}

/// Takes records in for one caller.
pub(crate) struct Intake {
    deps: Deps,
    caller: Caller,
    department: DepartmentId,
    actor: log_pb::Actor,
}

/// Records on their way, in the order of their requests.
pub(crate) struct Chunk {
    entries: Vec<Entry>,
    tasks: Vec<Task<Record>>,
}

struct Entry {
    command_id: String,
    /// The task's record, or why there is no task.
    judged: Result<Uuid, Refusal>,
}

/// What is wrong, and the command if its id is in order: it may have been
/// applied before the policy changed.
type Refusal = (Refused, Option<CommandKey>);

impl Intake {
    /// For one caller.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED`: only departments push.
    pub fn new(deps: Deps, caller: &Caller) -> Result<Self, Fault> {
        let department = caller.department()?.clone();
        let actor = actor_to_proto(&caller.to_actor()?);
        Ok(Self {
            deps,
            caller: caller.clone(),
            department,
            actor,
        })
    }

    /// Judges and seals records. What is wrong with one is kept for its answer.
    ///
    /// # Errors
    ///
    /// No record can be taken now: no policy, or no keys. None was executed.
    pub async fn prepare(&self, requests: Vec<pb::PushRecordsRequest>) -> Result<Chunk, Fault> {
        let policy = self.deps.catalogue.active()?;
        let mut hasher = Hasher::new(&self.deps, "collection.push");
        let judged: Vec<_> = requests
            .into_iter()
            .map(|request| self.judge(&policy, &mut hasher, request))
            .collect();
        let mut entries = Vec::with_capacity(judged.len());
        let mut drafts = Vec::with_capacity(judged.len());
        for (command_id, outcome) in judged {
            let judged = match outcome {
                Err(refused) => Err(refused),
                Ok((named, subject, draft)) => {
                    let subject = subject::resolve(subject, &self.deps.keyring)
                        .await
                        .map_err(keyring_fault)?;
                    let id = record_id(
                        &self.department,
                        &draft.document_number,
                        &subject,
                        &draft.record_type,
                    );
                    drafts.push((id, named, subject.to_string(), draft));
                    Ok(id)
                }
            };
            entries.push(Entry { command_id, judged });
        }
        let sealers = self
            .sealers(drafts.iter().map(|(id, _, _, draft)| (*id, draft)))
            .await?;
        let traceparent = tally_telemetry::traceparent_of_current();
        let tasks = drafts
            .into_iter()
            .map(|(id, Named { scope, key }, subject, draft)| {
                let context = EventContext {
                    actor: self.actor.clone(),
                    pack_version: policy.version().to_owned(),
                    command_id: scope.id,
                    causation_id: scope.id,
                    correlation_id: scope.id,
                    traceparent: traceparent.clone(),
                };
                self.task(id, key, subject, draft, sealers.get(&id), context)
            })
            .collect();
        Ok(Chunk { entries, tasks })
    }

    /// Executes what was prepared; the answers are in the order of the requests.
    pub async fn execute(&self, chunk: Chunk) -> Vec<Answer> {
        let results = self
            .deps
            .executor
            .execute_many(logs::COLLECTION, chunk.tasks)
            .await;
        let mut results = results.into_iter();
        let mut answers: Vec<Answer> = Vec::with_capacity(chunk.entries.len());
        let mut identical = Vec::new();
        let mut refusals = Vec::new();
        for entry in chunk.entries {
            let outcome = match entry.judged {
                Err((refused, key)) => {
                    refusals.extend(key.map(|key| (answers.len(), key)));
                    Err(Failure::Refused(refused))
                }
                Ok(record_id) => match results.next().expect("one result per task") {
                    Err(error) => Err(Failure::NotExecuted { error, record_id }),
                    Ok(appended) => {
                        if appended.last.is_none() {
                            identical.push((answers.len(), record_id));
                        }
                        Ok(accepted(record_id, &appended))
                    }
                },
            };
            answers.push(Answer {
                command_id: entry.command_id,
                outcome,
            });
        }
        if !identical.is_empty() {
            self.answer_identical(identical, &mut answers).await;
        }
        if !refusals.is_empty() {
            self.answer_repeats(refusals, &mut answers).await;
        }
        answers
    }

    fn judge(
        &self,
        policy: &Policy,
        hasher: &mut Hasher<'_>,
        request: pb::PushRecordsRequest,
    ) -> (String, Result<(Named, SubjectInput, Draft), Refusal>) {
        let mut faults = Faults::default();
        let content = hasher.record(request.record.as_ref());
        let named = content::named(&self.deps, &self.caller, &request.command_id, content);
        let named = faults.keep(named);
        let record_type = request
            .record
            .as_ref()
            .map_or("", |record| &record.record_type);
        let not_competent = policy
            .pack
            .record_type(record_type)
            .filter(|record_type| !record_type.reporters.contains(&self.department))
            .map(|record_type| {
                format!(
                    "{RIGHT_PUSH} is for the reporters of {}, and the policy pack does not name {} among them",
                    record_type.id, self.department
                )
            });
        let judge = Judge {
            policy,
            today: policy.today(self.deps.clock.now()),
            department: &self.department,
            held_basis: None,
        };
        let draft = judge.judge(request.record, &mut faults);
        let judged = match (named, draft, not_competent) {
            (Some(named), Some((subject, draft)), None) => Ok((named, subject, draft)),
            (named, _, not_competent) => {
                let refused = Refused {
                    faults: faults.into_vec(),
                    not_competent,
                };
                Err((refused, named.map(|named| named.key)))
            }
        };
        (request.command_id, judged)
    }

    /// The sealers of the records that need one, made in one call.
    async fn sealers<'a>(
        &self,
        drafts: impl Iterator<Item = (Uuid, &'a Draft)>,
    ) -> Result<HashMap<Uuid, Sealer>, Fault> {
        let ids: Vec<Uuid> = drafts
            .filter(|(_, draft)| draft.is_personal())
            .map(|(id, _)| id)
            .collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let names: Vec<String> = ids.iter().map(|id| sealing_stream(*id)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let sealers = self
            .deps
            .keyring
            .sealers(&names)
            .await
            .map_err(keyring_fault)?;
        Ok(ids.into_iter().zip(sealers).collect())
    }

    fn task(
        &self,
        record_id: Uuid,
        key: CommandKey,
        subject: String,
        draft: Draft,
        sealer: Option<&Sealer>,
        context: EventContext,
    ) -> Task<Record> {
        let (basis, effective_at, terms) =
            (draft.legal_basis.clone(), draft.effective_at, draft.terms);
        let day = |deadline: Option<Deadline>| {
            let provisional = deadline.is_some_and(|deadline| deadline.provisional);
            let date = deadline.map(|deadline| deadline.date.to_string());
            (date.unwrap_or_default(), provisional)
        };
        let (publish_by, publish_by_provisional) = day(terms.map(|terms| terms.publish_by));
        let (push_by, push_by_provisional) = day(terms.map(|terms| terms.push_by));
        let content = draft.seal(sealer);
        Task {
            stream_id: record_id.to_string(),
            subject: subject.clone(),
            command: Command::Accept(Arc::new(Accepted {
                department: self.actor.department.clone(),
                subject,
                legal_basis: basis,
                effective_at,
                body: pb::RecordAccepted {
                    content: Some(content),
                    publish_by,
                    publish_by_provisional,
                    push_by,
                    push_by_provisional,
                    ..pb::RecordAccepted::default()
                },
            })),
            key,
            context: Arc::new(context),
            note: Bytes::copy_from_slice(record_id.as_bytes()),
            fresh: true,
            guards: Vec::new(),
        }
    }

    /// Answers what is refused now but was applied before under the same id with
    /// its first receipt, marked as a repeat.
    async fn answer_repeats(&self, refusals: Vec<(usize, CommandKey)>, answers: &mut [Answer]) {
        let (places, keys): (Vec<usize>, Vec<CommandKey>) = refusals.into_iter().unzip();
        match firsts(&self.deps, logs::COLLECTION, &keys).await {
            Ok(firsts) => {
                for (at, first) in places.into_iter().zip(firsts) {
                    if let Some(first) = first {
                        answers[at].outcome = Ok(accepted(Uuid::nil(), &first));
                    }
                }
            }
            Err(error) => {
                for at in places {
                    answers[at].outcome = Err(Failure::Unread(store_fault(error.clone())));
                }
            }
        }
    }

    /// Answers records that are there already with their first receipts.
    async fn answer_identical(&self, identical: Vec<(usize, Uuid)>, answers: &mut [Answer]) {
        let streams: Vec<StreamName> = identical
            .iter()
            .map(|(_, id)| StreamName::new(Record::CATEGORY, id.to_string()))
            .collect();
        let histories = match self
            .deps
            .store
            .read_streams(logs::COLLECTION, &streams)
            .await
        {
            Ok(histories) => histories,
            Err(error) => {
                for (at, _) in identical {
                    answers[at].outcome = Err(Failure::Unread(store_fault(error.clone())));
                }
                return;
            }
        };
        for ((at, record_id), history) in identical.into_iter().zip(histories) {
            let first = history
                .first()
                .map(|first| Recorded::decode(logs::COLLECTION, first));
            answers[at].outcome = match first {
                Some(Ok(first)) => Ok(accepted(record_id, &as_appended(&first))),
                Some(Err(error)) => Err(Failure::Unread(Fault::internal(error))),
                None => Err(Failure::Unread(Fault::internal(
                    "a record that exists has no event",
                ))),
            };
        }
    }
}
