//! What is on the lists.

use std::time::Duration;

use tally_auth::Caller;
use tally_domain::subject::SubjectType;
use tally_proto::tally::lists::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::follow::follow;
use tally_service::logs;
use tally_service::reply::{keyring_fault, store_fault};
use tally_service::subject::{self, SubjectInput, natural_persons_off};
use tonic::{Request, Response};

use super::case::uuid;
use super::{Items, Lists, sight};
use crate::codec::entry_to_proto;
use crate::entry::Rejection;
use crate::file::{self, FileError};
use crate::publication::Followed;

/// When a caller is told to ask again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Lists {
    pub(super) async fn do_get_entry(
        &self,
        request: Request<pb::GetEntryRequest>,
    ) -> Result<Response<pb::GetEntryResponse>, Fault> {
        let reader = Caller::of(&request)?.department.clone();
        let request = request.into_inner();
        let mut faults = Faults::default();
        let Some(entry_id) = uuid(&mut faults, "entry_id", &request.entry_id) else {
            return Err(Fault::invalid(faults.into_vec()));
        };
        let entry = self.load_entry(entry_id).await?;
        if let Some(reader) = &reader {
            let policy = self.deps.catalogue.active()?;
            if !sight::covers(&policy.pack, reader, &entry) {
                return Err(Rejection::Unknown.into());
            }
        }
        let entry = entry_to_proto(&entry_id.to_string(), &entry).ok_or(Rejection::Unknown)?;
        Ok(Response::new(pb::GetEntryResponse { entry: Some(entry) }))
    }

    pub(super) async fn do_get_subject_entries(
        &self,
        request: Request<pb::GetSubjectEntriesRequest>,
    ) -> Result<Response<pb::GetSubjectEntriesResponse>, Fault> {
        let reader = Caller::of(&request)?.department.clone();
        let request = request.into_inner();
        let input = subject::parse("subject", &request.subject)
            .map_err(|fault| Fault::invalid(vec![fault]))?;
        self.must_be_covered(&input)?;
        let subject = subject::resolve(input, &self.deps.keyring)
            .await
            .map_err(keyring_fault)?;
        let store = &*self.deps.store;
        let rows = file::subject_rows(&self.deps, Some(&*self.own), &subject.to_string())
            .await
            .map_err(file_fault)?;
        let mut reply = pb::GetSubjectEntriesResponse::default();
        for (subject, row) in &rows {
            reply.entries.extend(
                file::entries(store, subject, &row.entry_ids)
                    .await
                    .map_err(file_fault)?,
            );
        }
        if let Some(reader) = &reader {
            let policy = self.deps.catalogue.active()?;
            let seen = |entry: &pb::Entry| sight::covers_row(&policy.pack, reader, entry);
            reply.entries.retain(seen);
        }
        reply.linked_subjects = rows
            .into_iter()
            .skip(1)
            .map(|(subject, _)| subject)
            .collect();
        Ok(Response::new(reply))
    }

    pub(super) async fn do_follow_publications(
        &self,
        request: Request<pb::FollowPublicationsRequest>,
    ) -> Result<Response<Items>, Fault> {
        let caller = Caller::of(&request)?;
        let policy = self.deps.catalogue.active()?;
        policy.member(caller, "lists.publications")?;
        let seat = self.followers.admit(caller)?;
        let request = request.into_inner();
        let items = follow(
            self.deps.store.clone(),
            logs::LISTS,
            Followed::new(self.deps.clone()),
            request.cursor.as_ref(),
            request.until_head,
        );
        Ok(Response::new(seat.hold(items.await?)))
    }

    /// Refuses a natural person while no list has them switched on, before the
    /// key ring is asked: it would make an id for the person.
    fn must_be_covered(&self, input: &SubjectInput) -> Result<(), Fault> {
        if matches!(input, SubjectInput::Organisation(_)) {
            return Ok(());
        }
        let policy = self.deps.catalogue.active()?;
        let mut lists = policy.pack.list_types.values();
        if lists.any(|list_type| list_type.basis_for(SubjectType::NaturalPerson).is_some()) {
            return Ok(());
        }
        Err(Fault::invalid(vec![natural_persons_off("subject")]))
    }
}

fn file_fault(error: FileError) -> Fault {
    let message = error.to_string();
    match error {
        FileError::Store(error) => store_fault(error),
        FileError::Behind => Fault::unavailable("VIEWS_BEHIND", message, RETRY_AFTER),
        FileError::Parked => Fault::rejected("SUBJECT_PARKED", message),
        FileError::Row(poison) => Fault::internal(poison),
    }
}
