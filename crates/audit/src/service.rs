//! The service: authorise, decode, answer, encode.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;

use futures::Stream;
use jiff::Timestamp;
use tally_auth::Caller;
use tally_domain::date::LegalDate;
use tally_domain::department::DepartmentId;
use tally_eventlog::event::{Recorded, from_proto_time, to_proto_time};
use tally_eventlog::shard::Shard;
use tally_proto::tally::audit::v1 as pb;
use tally_proto::tally::audit::v1::audit_service_server::AuditService;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::log_service::find;
use tally_service::reply::keyring_fault;
use tally_service::subject::{SubjectInput, parse, resolve};
use tally_service::{Policy, logs};
use tonic::{Request, Response, Status};

use crate::Audit;
use crate::as_of::{Day, Fold, FoldFault};
use crate::known::{each_known, is_closed, policy};
use crate::rebuild::Rebuild;
use crate::replay::Replay;
use crate::verify::Verification;

/// Identifiers that are followed from the one asked for.
const LINKS_MAX: usize = 16;

/// Entries in one answer; more are asked for by list type or by subject.
const ENTRIES_MAX: usize = 10_000;

type ResponseStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Serves audit.
pub(crate) struct Service {
    audit: Audit,
}

/// A question, decoded.
struct Question {
    on: LegalDate,
    known_at: Timestamp,
    subject: Option<String>,
    list_type: String,
}

impl Service {
    /// A service on these dependencies.
    pub(crate) fn new(audit: Audit) -> Self {
        Self { audit }
    }

    async fn replay_inner(
        &self,
        request: pb::ReplayRequest,
    ) -> Result<ResponseStream<pb::ReplayResponse>, Fault> {
        let mut faults = Faults::default();
        let input = subject_input(&request.subject, &mut faults);
        let subject = self.subject(input).await?;
        let replay = Replay::new(&self.audit.logs, &request, subject, faults).await?;
        Ok(Box::pin(replay.into_stream()))
    }

    /// The subject as events name it.
    async fn subject(&self, input: Option<SubjectInput>) -> Result<Option<String>, Fault> {
        let Some(input) = input else { return Ok(None) };
        let subject = resolve(input, &self.audit.keyring)
            .await
            .map_err(keyring_fault)?;
        Ok(Some(subject.to_string()))
    }

    async fn as_of_inner(
        &self,
        reader: Option<&DepartmentId>,
        request: pb::AsOfRequest,
    ) -> Result<pb::AsOfResponse, Fault> {
        let now = self.audit.clock.now();
        let question = self.question(request, now).await?;
        let Question {
            on,
            known_at,
            subject,
            list_type,
        } = &question;
        // First: whatever is recorded after this cannot change the answer.
        let writer = self.audit.lists_writer.as_deref();
        let closed = is_closed(&self.audit.logs, writer, *known_at, now).await?;
        let mut entries = match policy(&self.audit.logs, *known_at).await? {
            // Before the first pack nothing could be listed.
            None => Vec::new(),
            Some(policy) => match subject {
                Some(subject) => {
                    self.about(subject, *known_at, &Day::new(*on, &policy), &policy)
                        .await?
                }
                None => {
                    self.everyone(*known_at, &Day::new(*on, &policy), &policy)
                        .await?
                }
            },
        };
        entries.retain(|entry| list_type.is_empty() || entry.list_type == *list_type);
        if let Some(reader) = reader.filter(|_| !entries.is_empty()) {
            // By whom it may be seen is a matter of today, also where it is over.
            let policy = policy(&self.audit.logs, now).await?;
            entries.retain(|entry| {
                let pack = policy.as_ref().map(|policy| &policy.pack);
                pack.is_some_and(|pack| {
                    pack.may_read_listed(&entry.list_type, &entry.initiator, reader)
                })
            });
        }
        if entries.len() > ENTRIES_MAX {
            return Err(Fault::rejected(
                "TOO_MANY_ENTRIES",
                format!(
                    "{} entries were in force, more than the {ENTRIES_MAX} of one answer; ask by list type or subject",
                    entries.len()
                ),
            ));
        }
        entries.sort_by(|a, b| (&a.subject, &a.entry_id).cmp(&(&b.subject, &b.entry_id)));
        Ok(pb::AsOfResponse {
            entries,
            closed,
            known_at: Some(to_proto_time(*known_at)),
        })
    }

    async fn question(&self, request: pb::AsOfRequest, now: Timestamp) -> Result<Question, Fault> {
        let mut faults = Faults::default();
        let on = faults.date("on", &request.on);
        let known_at = match &request.known_at {
            None => Some(now),
            Some(at) => from_proto_time(at),
        };
        if known_at.is_none() {
            faults.add("known_at", "TIME_INVALID", "the time is out of range");
        }
        let input = subject_input(&request.subject, &mut faults);
        match (on, known_at) {
            (Some(on), Some(known_at)) if faults.is_empty() => {
                let subject = self.subject(input).await?;
                Ok(Question {
                    on,
                    known_at,
                    subject,
                    list_type: request.list_type,
                })
            }
            _ => Err(Fault::invalid(faults.into_vec())),
        }
    }

    async fn everyone(
        &self,
        known_at: Timestamp,
        day: &Day,
        policy: &Policy,
    ) -> Result<Vec<pb::EntryAsOf>, Fault> {
        let (_, source) = find(&self.audit.logs, logs::LISTS.0)?;
        let mut found = Vec::new();
        // An entry's events are on one shard, so that shards are folded one by one.
        for shard in source.shards().all() {
            let fold = self.fold(Fold::everyone(), shard, known_at).await?;
            found.extend(fold.in_force(day, policy));
        }
        Ok(found)
    }

    /// What was in force about a subject and all that was linked to it, from
    /// link to link.
    async fn about(
        &self,
        subject: &str,
        known_at: Timestamp,
        day: &Day,
        policy: &Policy,
    ) -> Result<Vec<pb::EntryAsOf>, Fault> {
        let (_, source) = find(&self.audit.logs, logs::LISTS.0)?;
        let mut seen = BTreeSet::from([subject.to_owned()]);
        let mut waiting = VecDeque::from([subject.to_owned()]);
        let mut found = Vec::new();
        while let Some(next) = waiting.pop_front() {
            let fold = self
                .fold(Fold::about(&next), source.shards().of(&next), known_at)
                .await?;
            let by_link = next != subject;
            found.extend(
                fold.in_force(day, policy)
                    .into_iter()
                    .map(|entry| pb::EntryAsOf { by_link, ..entry }),
            );
            for linked in fold.linked(&next, day, policy) {
                if seen.insert(linked.clone()) {
                    waiting.push_back(linked);
                }
            }
            if seen.len() > LINKS_MAX + 1 {
                return Err(Fault::rejected(
                    "TOO_MANY_LINKS",
                    format!(
                        "more than {LINKS_MAX} identifiers are linked; ask for each of them, and have the links looked at"
                    ),
                ));
            }
        }
        Ok(found)
    }

    async fn fold(&self, mut fold: Fold, shard: Shard, known_at: Timestamp) -> Result<Fold, Fault> {
        let (log, source) = find(&self.audit.logs, logs::LISTS.0)?;
        let apply = |event: &Recorded| fold.apply(event).map_err(fold_fault);
        each_known(&**source, *log, shard, known_at, apply).await?;
        Ok(fold)
    }
}

fn fold_fault(fault: FoldFault) -> Fault {
    match fault {
        FoldFault::Decode(error) => Fault::internal(error),
        FoldFault::UnknownType(event_type) => Fault::rejected(
            "UNKNOWN_EVENT_TYPE",
            format!(
                "{event_type} is unknown to this version, and the answer could be wrong without it; upgrade this role"
            ),
        ),
    }
}

fn subject_input(text: &str, faults: &mut Faults) -> Option<SubjectInput> {
    if text.is_empty() {
        None
    } else {
        faults.keep(parse("subject", text))
    }
}

#[tonic::async_trait]
impl AuditService for Service {
    type ReplayStream = ResponseStream<pb::ReplayResponse>;
    type RebuildStream = ResponseStream<pb::RebuildResponse>;
    type VerifyStream = ResponseStream<pb::VerifyResponse>;

    async fn replay(
        &self,
        request: Request<pb::ReplayRequest>,
    ) -> Result<Response<Self::ReplayStream>, Status> {
        Caller::of(&request)?;
        Ok(Response::new(
            self.replay_inner(request.into_inner()).await?,
        ))
    }

    async fn as_of(
        &self,
        request: Request<pb::AsOfRequest>,
    ) -> Result<Response<pb::AsOfResponse>, Status> {
        let reader = Caller::of(&request)?.department.clone();
        let answer = self.as_of_inner(reader.as_ref(), request.into_inner());
        Ok(Response::new(answer.await?))
    }

    async fn rebuild(
        &self,
        request: Request<pb::RebuildRequest>,
    ) -> Result<Response<Self::RebuildStream>, Status> {
        Caller::of(&request)?;
        Ok(Response::new(Box::pin(
            Rebuild::new(&self.audit.targets).into_stream(),
        )))
    }

    async fn verify(
        &self,
        request: Request<pb::VerifyRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        Caller::of(&request)?;
        Ok(Response::new(Box::pin(
            Verification::new(&self.audit.logs).into_stream(),
        )))
    }
}
