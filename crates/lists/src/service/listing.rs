//! From notice to listing, or to the nomination's end.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tally_auth::Caller;
use tally_domain::policy::ListPolarity;
use tally_domain::subject::Subject;
use tally_eventlog::append::Appended;
use tally_proto::tally::lists::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::receipt;
use tonic::{Request, Response};
use uuid::Uuid;

use super::Lists;
use super::case::{Case, free_text, nomination, officer_of};
use crate::deadline::representation_until;
use crate::entry::{Command, ListingCheck, Notice, Officer, Rejection, right};

/// When a caller is told to try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Lists {
    pub(super) async fn do_notify(
        &self,
        request: Request<pb::NotifyRequest>,
    ) -> Result<Response<pb::NotifyResponse>, Fault> {
        let officer = officer_of(&request)?;
        let request = request.into_inner();
        let key = self.key(right::NOTIFY, &officer, &request.command_id, &request);
        let outcome = self.notify(officer, &request).await;
        let appended = self.or_first(key, outcome).await?;
        // A repeat is answered with the first result, whatever the calendar says by now;
        // of one that came back from a topic only the event is left.
        let first = match appended.note.is_empty() {
            true => self.noticed(&request.entry_id).await?,
            false => pb::NotifyResponse::decode(appended.note.clone()).map_err(Fault::internal)?,
        };
        Ok(Response::new(pb::NotifyResponse {
            receipt: Some(receipt(&appended)),
            ..first
        }))
    }

    /// What the notice of an entry says.
    async fn noticed(&self, entry_id: &str) -> Result<pb::NotifyResponse, Fault> {
        let entry_id = Uuid::try_parse(entry_id).map_err(Fault::internal)?;
        let notice = self.load_entry(entry_id).await?.notice;
        let notice =
            notice.ok_or_else(|| Fault::internal("a notice that was given is not there"))?;
        Ok(pb::NotifyResponse {
            representation_until: notice.representation_until.to_string(),
            provisional: notice.provisional,
            receipt: None,
        })
    }

    async fn notify(
        &self,
        officer: (Caller, Officer),
        request: &pb::NotifyRequest,
    ) -> Result<Appended, Fault> {
        let mut faults = Faults::default();
        let target = self.target(&mut faults, officer, &request.command_id, &request.entry_id);
        let served_on = faults.date("served_on", &request.served_on);
        let proof = faults.document("proof_of_service", request.proof_of_service.as_ref());
        let (true, Some(target), Some(served_on), Some(proof)) =
            (faults.is_empty(), target, served_on, proof)
        else {
            return Err(Fault::invalid(faults.into_vec()));
        };
        let case = self.open(target).await?;
        let list_type = self.nominated_list_type(nomination(&case.entry)?).await?;
        let working_days = list_type.representation_working_days;
        let deadline = representation_until(&case.policy, &case.entry, served_on, working_days);
        let reply = pb::NotifyResponse {
            representation_until: deadline.date.to_string(),
            provisional: deadline.provisional,
            receipt: None,
        };
        let notice = Notice {
            served_on,
            proof,
            representation_until: deadline.date,
            provisional: deadline.provisional,
        };
        let command = Command::Notify {
            by: case.target.by.clone(),
            polarity: list_type.polarity,
            notice,
            today: case.today,
            at: case.policy.start_of(served_on),
        };
        let note = reply.encode_to_vec().into();
        self.execute(right::NOTIFY, request, case, command, note)
            .await
    }

    pub(super) async fn do_represent(
        &self,
        request: Request<pb::RepresentRequest>,
    ) -> Result<Response<pb::RepresentResponse>, Fault> {
        let officer = officer_of(&request)?;
        let request = request.into_inner();
        let key = self.key(right::REPRESENT, &officer, &request.command_id, &request);
        let outcome = self.represent(officer, &request).await;
        let appended = self.or_first(key, outcome).await?;
        Ok(Response::new(pb::RepresentResponse {
            receipt: Some(receipt(&appended)),
        }))
    }

    async fn represent(
        &self,
        officer: (Caller, Officer),
        request: &pb::RepresentRequest,
    ) -> Result<Appended, Fault> {
        let mut faults = Faults::default();
        let target = self.target(&mut faults, officer, &request.command_id, &request.entry_id);
        let document = faults.document_or_none("document", request.document.as_ref());
        if request.document.is_some() == request.waived {
            let message =
                "give either the document in which the subject answered, or that it waived";
            faults.add("waived", "REPRESENTATION_UNCLEAR", message);
        }
        let (true, Some(target)) = (faults.is_empty(), target) else {
            return Err(Fault::invalid(faults.into_vec()));
        };
        let case = self.open(target).await?;
        let command = Command::Represent {
            by: case.target.by.clone(),
            document,
            at: case.now,
        };
        self.execute(right::REPRESENT, request, case, command, Bytes::new())
            .await
    }

    pub(super) async fn do_list(
        &self,
        request: Request<pb::ListRequest>,
    ) -> Result<Response<pb::ListResponse>, Fault> {
        let officer = officer_of(&request)?;
        let request = request.into_inner();
        let key = self.key(right::LIST, &officer, &request.command_id, &request);
        let outcome = self.list(officer, &request).await;
        let appended = self.or_first(key, outcome).await?;
        Ok(Response::new(pb::ListResponse {
            receipt: Some(receipt(&appended)),
        }))
    }

    async fn list(
        &self,
        officer: (Caller, Officer),
        request: &pb::ListRequest,
    ) -> Result<Appended, Fault> {
        let mut faults = Faults::default();
        let target = self.target(&mut faults, officer, &request.command_id, &request.entry_id);
        let decision = faults.document("decision", request.decision.as_ref());
        let (true, Some(target), Some(decision)) = (faults.is_empty(), target, decision) else {
            return Err(Fault::invalid(faults.into_vec()));
        };
        let case = self.open(target).await?;
        self.await_grounds(&nomination(&case.entry)?.subject)
            .await?;
        let command = Command::List {
            by: case.target.by.clone(),
            decision,
            check: Box::new(self.listing_check(&case).await?),
            today: case.today,
            at: case.now,
        };
        self.execute(right::LIST, request, case, command, Bytes::new())
            .await
    }

    /// Waits until all that collection has by now about a subject is known here.
    /// What it gets later needs no guard: the reader notes a withdrawal on the
    /// entry itself before it moves on, and this decision then meets it there.
    async fn await_grounds(&self, subject: &str) -> Result<(), Fault> {
        let shard = self.deps.store.shards().of(subject);
        if !self.deps.sources.caught_up(&self.collection, shard).await {
            return Err(Fault::unavailable(
                "GROUNDS_BEHIND",
                "what is known of the records is behind collection, and the ground may have been \
                 withdrawn; nothing was listed, retry with the same command id",
                RETRY_AFTER,
            ));
        }
        let parked = self
            .collection
            .with(shard, |state| state.parked.contains_key(subject));
        if parked {
            return Err(Fault::rejected(
                "SUBJECT_PARKED",
                "records about the subject are parked; the operator has to replay them",
            ));
        }
        Ok(())
    }

    pub(super) async fn do_drop(
        &self,
        request: Request<pb::DropRequest>,
    ) -> Result<Response<pb::DropResponse>, Fault> {
        let officer = officer_of(&request)?;
        let request = request.into_inner();
        let key = self.key(right::DROP, &officer, &request.command_id, &request);
        let outcome = self.drop(officer, &request).await;
        let appended = self.or_first(key, outcome).await?;
        Ok(Response::new(pb::DropResponse {
            receipt: Some(receipt(&appended)),
        }))
    }

    async fn drop(
        &self,
        officer: (Caller, Officer),
        request: &pb::DropRequest,
    ) -> Result<Appended, Fault> {
        let mut faults = Faults::default();
        let target = self.target(&mut faults, officer, &request.command_id, &request.entry_id);
        let reason = free_text(&mut faults, "reason", &request.reason);
        let (true, Some(target), Some(reason)) = (faults.is_empty(), target, reason) else {
            return Err(Fault::invalid(faults.into_vec()));
        };
        let case = self.open(target).await?;
        let command = Command::Drop {
            by: case.target.by.clone(),
            reason,
            at: case.now,
        };
        self.execute(right::DROP, request, case, command, Bytes::new())
            .await
    }

    /// What the active pack says today, and whether the record still stands.
    async fn listing_check(&self, case: &Case) -> Result<ListingCheck, Fault> {
        let nomination = nomination(&case.entry)?;
        let nominated_as = self.nominated_list_type(nomination).await?;
        let department = &nomination.by.department;
        let subject: Subject = nomination.subject.parse().map_err(Fault::internal)?;
        let basis = case.entry.basis.as_ref().ok_or(Rejection::Unknown)?;
        let pack = &case.policy.pack;
        let open = pack
            .list_type(&nomination.list_type)
            .is_some_and(|list_type| {
                list_type.in_force.contains(case.today) && list_type.initiators.contains(department)
            });
        let ground = self
            .known_ground(&nomination.subject, &nomination.ground_record_id)
            .await?;
        let working_days = nominated_as.representation_working_days;
        let notice = case
            .entry
            .notice
            .as_ref()
            .filter(|_| nominated_as.polarity == ListPolarity::Black);
        Ok(ListingCheck {
            polarity: nominated_as.polarity,
            list_type_open: open,
            basis: pack.in_force(basis, case.today, department, subject.subject_type()),
            ground_withdrawn: ground.is_some_and(|ground| ground.withdrawn),
            representation_until: notice
                .map(|notice| {
                    representation_until(&case.policy, &case.entry, notice.served_on, working_days)
                })
                .map(|deadline| deadline.date),
            term_starts_at: case.policy.start_of(nomination.term.from),
        })
    }
}
