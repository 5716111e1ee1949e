//! Nominating a subject.

use bytes::Bytes;
use prost::Message as _;
use tally_auth::Caller;
use tally_domain::policy::ListType;
use tally_domain::subject::{Subject, SubjectType};
use tally_eventlog::append::Appended;
use tally_eventlog::execute::Task;
use tally_eventlog::ids::named_id;
use tally_eventlog::merkle::Hash;
use tally_proto::tally::lists::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::reply::{keyring_fault, store_fault};
use tally_service::subject::{self, SubjectInput, natural_persons_off};
use tally_service::{CommandScope, digest, execute_fault, receipt};
use tonic::{Request, Response};

use super::Lists;
use super::case::{free_text, officer_of, uuid};
use crate::entry::{Command, Entry, Ground, Nominate, Officer, right};
use crate::file::decode;
use crate::projection::{GROUND_VIEW, row};

impl Lists {
    pub(super) async fn do_nominate(
        &self,
        request: Request<pb::NominateRequest>,
    ) -> Result<Response<pb::NominateResponse>, Fault> {
        let officer = officer_of(&request)?;
        let request = request.into_inner();
        let digest = self.nomination_digest(&request);
        let scope = CommandScope::new(&officer.0, &request.command_id, &*self.deps.clock).ok();
        let key = scope.as_ref().map(|scope| scope.key(digest));
        let entry_id = scope.map(|scope| entry_id(&officer.1, &scope));
        let outcome = self.nominate(officer, &request, digest).await;
        let appended = self.or_first(key, outcome).await?;
        Ok(Response::new(pb::NominateResponse {
            entry_id: entry_id.unwrap_or_default(),
            receipt: Some(receipt(&appended)),
        }))
    }

    /// Digest of the raw request. A person's number is hashed under a key: a
    /// plain hash of it could be found by trying.
    fn nomination_digest(&self, request: &pb::NominateRequest) -> Hash {
        match subject::parse("subject", &request.subject) {
            Ok(SubjectInput::Organisation(_) | SubjectInput::PersonId(_)) => {
                digest(right::NOMINATE, request)
            }
            _ => {
                let parts = [right::NOMINATE.as_bytes(), &[0], &request.encode_to_vec()];
                self.deps.keyring.fingerprint(&parts)
            }
        }
    }

    async fn nominate(
        &self,
        (caller, by): (Caller, Officer),
        request: &pb::NominateRequest,
        digest: Hash,
    ) -> Result<Appended, Fault> {
        let policy = self.deps.catalogue.active()?;
        let list_type = policy.pack.list_type(&request.list_type).cloned();
        let mut faults = Faults::default();
        let scope = faults.keep(CommandScope::new(
            &caller,
            &request.command_id,
            &*self.deps.clock,
        ));
        let subject = faults.keep(subject::parse("subject", &request.subject));
        let subject = subject.and_then(|input| covered(&mut faults, input, list_type.as_ref()));
        let ground_id = uuid(&mut faults, "ground_record_id", &request.ground_record_id);
        let criterion = free_text(&mut faults, "criterion", &request.criterion);
        let basis = faults.legal_basis("legal_basis", request.legal_basis.as_ref());
        let term_from = faults.date("term_from", &request.term_from);
        let term_until = faults.date_or_none("term_until", &request.term_until);
        let (
            true,
            Some(scope),
            Some(subject),
            Some(ground_id),
            Some(criterion),
            Some(basis),
            Some(term_from),
        ) = (
            faults.is_empty(),
            scope,
            subject,
            ground_id,
            criterion,
            basis,
            term_from,
        )
        else {
            return Err(Fault::invalid(faults.into_vec()));
        };
        let subject = subject::resolve(subject, &self.deps.keyring)
            .await
            .map_err(keyring_fault)?;
        let shard_key = subject.to_string();
        let now = self.deps.clock.now();
        let today = policy.today(now);
        let ground_record_id = ground_id.to_string();
        let nominate = Nominate {
            basis_verdict: policy.pack.in_force(
                &basis,
                today,
                &by.department,
                subject.subject_type(),
            ),
            ground: self.ground(&subject, &ground_record_id).await?,
            by,
            subject,
            list_type,
            ground_record_id,
            criterion,
            basis,
            term_from,
            term_until,
            today,
            pack_version: policy.version().to_owned(),
            at: now,
        };
        let task = Task::<Entry> {
            stream_id: entry_id(&nominate.by, &scope),
            subject: shard_key,
            command: Command::Nominate(Box::new(nominate)),
            key: scope.key(digest),
            context: scope.context(policy.version()),
            note: Bytes::new(),
            fresh: true,
            guards: Vec::new(),
        };
        let appended = self.deps.executor.execute(self.deps.log, task).await;
        appended.map_err(|error| execute_fault(error, Fault::from))
    }

    /// The record that a nomination rests on. A record that was pushed just
    /// now is waited for.
    async fn ground(&self, subject: &Subject, record_id: &str) -> Result<Option<Ground>, Fault> {
        if let Some(ground) = self.known_ground(&subject.to_string(), record_id).await? {
            return Ok(Some(ground));
        }
        let store = &*self.deps.store;
        let shard = store.shards().of(&subject.to_string());
        // Behind or not, what is known by then decides.
        self.deps.sources.caught_up(&self.collection, shard).await;
        self.known_ground(&subject.to_string(), record_id).await
    }

    /// The record as far as it is known now.
    pub(super) async fn known_ground(
        &self,
        subject: &str,
        record_id: &str,
    ) -> Result<Option<Ground>, Fault> {
        let store = &*self.deps.store;
        let key = row(GROUND_VIEW, store.shards().of(subject), record_id);
        let value = store
            .rows(&[key])
            .await
            .map_err(store_fault)?
            .pop()
            .flatten();
        let ground: Option<pb::GroundRow> = decode(value).map_err(Fault::internal)?;
        Ok(ground.map(|ground| Ground {
            subject: ground.subject,
            record_type: ground.record_type,
            document_number: ground.document_number,
            withdrawn: ground.withdrawn,
        }))
    }
}

/// Id of the entry that a command makes; by the command, so that a repeat meets it.
fn entry_id(by: &Officer, scope: &CommandScope) -> String {
    named_id("entry", &[by.department.as_str(), &scope.id.to_string()]).to_string()
}

/// Refuses a natural person where the list does not have them switched on,
/// before the key ring is asked: it would make an id for the person.
fn covered(
    faults: &mut Faults,
    input: SubjectInput,
    list_type: Option<&ListType>,
) -> Option<SubjectInput> {
    let on = list_type
        .is_some_and(|list_type| list_type.basis_for(SubjectType::NaturalPerson).is_some());
    match input {
        SubjectInput::Person(_) | SubjectInput::PersonId(_) if !on => {
            faults.push(natural_persons_off("subject"));
            None
        }
        input => Some(input),
    }
}
