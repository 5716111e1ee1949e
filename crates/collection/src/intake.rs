//! The way of a pushed record into the log: judged, sealed, executed. Records
//! go in chunks, because keys and commits cost per chunk and not per record.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tally_auth::Caller;
use tally_domain::date::LegalDate;
use tally_domain::department::DepartmentId;
use tally_domain::document::DocumentNumber;
use tally_domain::subject::Subject;
use tally_eventlog::append::CommandKey;
use tally_eventlog::event::{EventContext, actor_to_proto};
use tally_eventlog::execute::Task;
use tally_eventlog::ids::named_id;
use tally_eventlog::pb as log_pb;
use tally_eventlog::sealing::Sealer;
use tally_proto::tally::collection::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::reply::keyring_fault;
use tally_service::subject::SubjectInput;
use tally_service::{Deps, Policy, subject};
use uuid::Uuid;

use crate::answer::{RIGHT_PUSH, Refused};
use crate::chunk::{Chunk, Common, Entry, Refusal};
use crate::content::{self, Hasher, Named};
use crate::draft::{Draft, Judge};
use crate::quarantine::Rejection;
use crate::quarantine::codec::sealing_stream as row_stream;
use crate::quarantine::keep::{self, Keep, Keeper};
use crate::quarantine::places::{Origin, Places};
use crate::record::{Accepted, Command, Record};
use crate::refusals::RowIdentity;

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
    pub(crate) deps: Deps,
    caller: Caller,
    pub(crate) department: DepartmentId,
    actor: log_pb::Actor,
}

/// A record as it was judged.
struct Judged {
    command_id: String,
    id: Option<Uuid>,
    identity: Option<RowIdentity>,
    record_type: String,
    outcome: Result<(Named, SubjectInput, Draft), Refusal>,
    origin: Origin,
    keep: Option<Keep>,
}

/// A record that may be executed.
struct Ready {
    id: Uuid,
    key: CommandKey,
    command_id: Uuid,
    subject: String,
    draft: Draft,
    /// The place in quarantine that it comes from.
    place: Option<Uuid>,
}

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
        let today = policy.today(self.deps.clock.now());
        let named = requests.iter().map(|request| &request.quarantine_id);
        let named = named.filter_map(|place| Uuid::try_parse(place).ok());
        let places = Places::load(&self.deps, named.collect()).await?;
        let mut hasher = Hasher::new(&self.deps, "collection.push");
        let mut judged: Vec<_> = requests
            .into_iter()
            .map(|request| self.judge(&policy, today, &places, &mut hasher, request))
            .collect();
        self.place(&mut judged).await?;
        let mut entries = Vec::with_capacity(judged.len());
        let mut ready = Vec::with_capacity(judged.len());
        for judged in judged {
            let place = match &judged.origin {
                Origin::Open(place) => Some(place.clone()),
                Origin::None | Origin::Became(_) => None,
            };
            let outcome = match judged.outcome {
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
                    if matches!(judged.origin, Origin::Became(known) if known != id) {
                        Err((Refused::left(), Some(named.key)))
                    } else {
                        ready.push(Ready {
                            id,
                            key: named.key,
                            command_id: named.scope.id,
                            subject: subject.to_string(),
                            draft,
                            place: place.as_ref().map(|place| place.id),
                        });
                        Ok(id)
                    }
                }
            };
            entries.push(Entry {
                command_id: judged.command_id,
                id: judged.id,
                identity: judged.identity,
                record_type: judged.record_type,
                judged: outcome,
                place,
                keep: judged.keep,
            });
        }
        let sealers = self.sealers(&ready, &mut entries).await?;
        let common = Common {
            actor: self.actor.clone(),
            today,
            pack_version: policy.version().to_owned(),
            traceparent: tally_telemetry::traceparent_of_current(),
        };
        let tasks = ready
            .into_iter()
            .map(|ready| {
                let context = common.context(ready.command_id);
                let timeliness = ready.draft.timeliness(&policy, today);
                self.task(sealers.get(&ready.id), ready, timeliness, context)
            })
            .collect();
        Ok(Chunk {
            entries,
            tasks,
            common,
        })
    }

    fn judge(
        &self,
        policy: &Policy,
        today: LegalDate,
        places: &Places,
        hasher: &mut Hasher<'_>,
        request: pb::PushRecordsRequest,
    ) -> Judged {
        let mut faults = Faults::default();
        let content = hasher.record(request.record.as_ref(), &request.quarantine_id);
        let named = content::named(&self.deps, &self.caller, &request.command_id, content);
        let named = faults.keep(named);
        let origin = places.origin(&self.department, &request.quarantine_id);
        let origin = faults.keep(origin);
        let is_given = request.record.is_some();
        let claimed = request
            .record
            .as_ref()
            .map_or("", |record| &record.record_type);
        let item = policy.pack.record_type(claimed);
        let record_type = item.map_or_else(String::new, |item| item.id.clone());
        let not_competent = item
            .filter(|record_type| !record_type.reporters.contains(&self.department))
            .map(|record_type| {
                format!(
                    "{RIGHT_PUSH} is for the reporters of {}, and the policy pack does not name {} among them",
                    record_type.id, self.department
                )
            });
        let judge = Judge {
            policy,
            today,
            department: &self.department,
            held_basis: None,
        };
        let draft = judge.judge(request.record, &mut faults);
        let is_refused = draft.is_none() || named.is_none() || not_competent.is_some();
        if is_refused && matches!(origin, Some(Origin::Became(_))) {
            faults.push(Rejection::Closed.field_fault());
        }
        let identity = named.as_ref().map(|named| (named.key.id, named.key.digest));
        let id = identity.map(|(id, _)| id);
        let again = match &origin {
            Some(Origin::Open(waits)) => Some(waits),
            _ => None,
        };
        let place = match origin {
            Some(Origin::None) if request.quarantine && is_refused => {
                Some(keep::row_id(&self.department, &content))
            }
            _ => again.map(|waits| waits.id),
        };
        let keep = match (id, place) {
            (Some(id), Some(place)) if is_given => {
                let keeper = Keeper {
                    policy,
                    today,
                    department: &self.department,
                };
                match keeper.keep(hasher.encoded(), place, again, id) {
                    Ok(keep) => keep,
                    Err(fault) => {
                        if is_refused {
                            faults.push(fault);
                        }
                        None
                    }
                }
            }
            _ => None,
        };
        let outcome = match (named, draft, not_competent) {
            (Some(named), Some((subject, draft)), None) => Ok((named, subject, draft)),
            (named, _, not_competent) => {
                let refused = Refused {
                    faults: faults.into_vec(),
                    not_competent,
                };
                Err((refused, named.map(|named| named.key)))
            }
        };
        Judged {
            command_id: request.command_id,
            id,
            identity,
            record_type,
            outcome,
            origin: origin.unwrap_or(Origin::None),
            keep,
        }
    }

    /// Finds another place for rows that would come where one has left.
    async fn place(&self, judged: &mut [Judged]) -> Result<(), Fault> {
        let keeps = judged.iter_mut().filter_map(|judged| judged.keep.as_mut());
        let mut new: Vec<_> = keeps.filter(|keep| !keep.again).collect();
        let ids = new.iter().map(|keep| keep.place).collect();
        let places = Places::load(&self.deps, ids).await?;
        for keep in &mut new {
            if places.is_left(keep.place) {
                keep.elsewhere();
            }
        }
        Ok(())
    }

    /// The sealers of the records that need one; rows that may be kept get
    /// theirs. All are made in one call.
    async fn sealers(
        &self,
        ready: &[Ready],
        entries: &mut [Entry],
    ) -> Result<HashMap<Uuid, Sealer>, Fault> {
        let personal = ready.iter().filter(|ready| ready.draft.is_personal());
        let ids: Vec<Uuid> = personal.map(|ready| ready.id).collect();
        let kept = || entries.iter().filter_map(|entry| entry.keep.as_ref());
        let records = ids.iter().map(|id| sealing_stream(*id));
        let names: Vec<String> = records
            .chain(kept().map(|keep| row_stream(keep.place)))
            .collect();
        if names.is_empty() {
            return Ok(HashMap::new());
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let sealers = self
            .deps
            .keyring
            .sealers(&names)
            .await
            .map_err(keyring_fault)?;
        let mut sealers = sealers.into_iter();
        let of_records = ids.into_iter().zip(sealers.by_ref()).collect();
        let kept = entries.iter_mut().filter_map(|entry| entry.keep.as_mut());
        for (keep, sealer) in kept.zip(sealers) {
            keep.seal_with(sealer);
        }
        Ok(of_records)
    }

    fn task(
        &self,
        sealer: Option<&Sealer>,
        ready: Ready,
        timeliness: pb::RecordAccepted,
        context: Arc<EventContext>,
    ) -> Task<Record> {
        let Ready {
            id: record_id,
            key,
            subject,
            draft,
            place,
            ..
        } = ready;
        let (basis, effective_at) = (draft.legal_basis.clone(), draft.effective_at);
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
                    quarantine_id: place.map(|place| place.to_string()).unwrap_or_default(),
                    ..timeliness
                },
            })),
            key,
            context,
            note: Bytes::copy_from_slice(record_id.as_bytes()),
            fresh: true,
            guards: Vec::new(),
        }
    }
}
