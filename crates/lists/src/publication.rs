//! What followers see of lists: for mirrors on other sites, which organisations
//! are on the lists that the public may see. Nothing of nominations, notices
//! and objections.

use std::collections::HashMap;

use tally_domain::department::DepartmentId;
use tally_domain::legal::LegalBasisRef;
use tally_domain::policy::ListPolarity;
use tally_domain::subject::{Subject, SubjectType};
use tally_eventlog::aggregate::{Aggregate as _, Codec as _};
use tally_eventlog::event::{Recorded, to_proto_time};
use tally_proto::tally::lists::v1 as pb;
use tally_rpc::Fault;
use tally_service::follow::{Mark, Selection, histories, last_change};
use tally_service::told_pack::ToldPack;
use tally_service::{Deps, Policy, logs};

use crate::codec::event_type;
use crate::entry::{Entry, Event, Fact, Listing};

/// What a follower sees of the log of lists.
pub(crate) struct Followed {
    deps: Deps,
    told_pack: ToldPack,
}

/// What the public may know of an entry after one of its events.
#[derive(Debug, Clone, Default, PartialEq)]
enum State {
    /// Nothing: it is not listed, or the list is not published.
    #[default]
    Unknown,
    /// It is listed.
    Shown(pb::PublishedEntry),
    /// An objection is being verified.
    Hidden(pb::PublishedEntry),
    /// It is over.
    Ended(pb::PublicationEnd),
}

impl State {
    fn after(self, fact: &Fact) -> Self {
        use pb::PublicationEnd::{CorrectedOut, Expired, Removed};
        match (fact, self) {
            (_, Self::Unknown) => Self::Unknown,
            (Fact::Suspended { .. }, Self::Shown(entry)) => Self::Hidden(entry),
            (Fact::Upheld(_), Self::Hidden(entry)) => Self::Shown(entry),
            (Fact::CorrectedOut(_), _) => Self::Ended(CorrectedOut),
            (Fact::Removed(_), _) => Self::Ended(Removed),
            (Fact::Expired { .. }, _) => Self::Ended(Expired),
            (_, state) => state,
        }
    }
}

impl Followed {
    /// For one follower.
    pub(crate) fn new(deps: Deps) -> Self {
        Self {
            told_pack: ToldPack::new(&deps.catalogue),
            deps,
        }
    }

    /// What the public knew of an entry after each of its events.
    async fn states(&self, history: &[Recorded]) -> Result<Vec<State>, Fault> {
        let mut states: Vec<State> = Vec::new();
        let mut ground_document_number = String::new();
        for recorded in history {
            let event = Entry::decode(recorded).map_err(Fault::internal)?;
            let state = match &event.fact {
                Fact::Listed(listing) => {
                    self.listed(recorded, &event, listing, &ground_document_number)
                        .await?
                }
                fact => {
                    if let Fact::Nominated(nomination) = fact {
                        ground_document_number.clone_from(&nomination.ground_document_number);
                    }
                    let before = states.last().cloned().unwrap_or_default();
                    before.after(fact)
                }
            };
            states.push(state);
        }
        Ok(states)
    }

    /// What a listing makes known, by the pack that it was judged by.
    async fn listed(
        &self,
        recorded: &Recorded,
        event: &Event,
        listing: &Listing,
        ground_document_number: &str,
    ) -> Result<State, Fault> {
        let version = &recorded.envelope.pack_version;
        let policy = self.deps.catalogue.judged_by(version).await?;
        let list_type = policy.pack.list_type(&listing.list_type);
        let Some(list_type) = list_type.filter(|it| it.published) else {
            return Ok(State::Unknown);
        };
        let until = listing.term.until.map(|until| until.to_string());
        let until = until.unwrap_or_default();
        Ok(State::Shown(pb::PublishedEntry {
            subject: recorded.envelope.subject.clone(),
            list_type: listing.list_type.clone(),
            red: list_type.polarity == ListPolarity::Red,
            department: listing.by.department.to_string(),
            term_from: listing.term.from.to_string(),
            term_until: until.clone(),
            decision_number: listing.decision.number.clone(),
            ground_document_number: ground_document_number.to_owned(),
            legal_basis: Some(tally_eventlog::pb::LegalBasisRef {
                id: event.basis.id.clone(),
                version: event.basis.version,
            }),
            display_until: until,
        }))
    }

    /// What of it may be shown today by the active pack, or why nothing.
    fn still(
        &self,
        policy: &Policy,
        entry: &pb::PublishedEntry,
    ) -> Result<pb::PublishedEntry, pb::PublicationEnd> {
        let list_type = policy.pack.list_type(&entry.list_type);
        if !list_type.is_some_and(|it| it.published) {
            return Err(pb::PublicationEnd::NotPublic);
        }
        // What rests on a law that is not in force, or not for that department, is not
        // in force either: a check says the same.
        let basis = entry.legal_basis.clone().unwrap_or_default();
        let basis = LegalBasisRef::new(basis.id, basis.version);
        let today = policy.today(self.deps.clock.now());
        let in_force = DepartmentId::parse(&entry.department).is_ok_and(|department| {
            let covered = SubjectType::Organisation;
            let pack = &policy.pack;
            pack.in_force(&basis, today, &department, covered).is_ok()
        });
        let basis = policy.pack.legal_basis(&basis).filter(|_| in_force);
        let basis = basis.ok_or(pb::PublicationEnd::Expired)?;
        let mut entry = entry.clone();
        if let Some(until) = basis.in_force.until.map(|until| until.to_string())
            && (entry.display_until.is_empty() || until < entry.display_until)
        {
            entry.display_until = until;
        }
        // Both are ISO 8601, which sorts as it counts.
        let today = today.to_string();
        if !entry.display_until.is_empty() && entry.display_until < today {
            return Err(pb::PublicationEnd::Expired);
        }
        Ok(entry)
    }

    /// What is told of an event of this history.
    fn told(
        &self,
        policy: &Policy,
        recorded: &Recorded,
        states: &[State],
    ) -> Option<pb::FollowPublicationsResponse> {
        let at = usize::try_from(recorded.envelope.version).ok()?;
        if last_change(&State::Unknown, states) != Some(at) {
            return None;
        }
        let known = states.iter().take(at).any(|it| *it != State::Unknown);
        let mut item = pb::FollowPublicationsResponse {
            entry_id: recorded.envelope.stream_id.clone(),
            pack_version: policy.version().to_owned(),
            ..checkpoint(&Mark::of(recorded))
        };
        let kind = match &states[at] {
            State::Unknown => return None,
            State::Hidden(_) => pb::ListPublicationKind::Suspended,
            State::Ended(end) => {
                item.end = (*end).into();
                pb::ListPublicationKind::Ended
            }
            State::Shown(entry) => match self.still(policy, entry) {
                Ok(entry) => {
                    item.entry = Some(entry);
                    match known {
                        true => pb::ListPublicationKind::Resumed,
                        false => pb::ListPublicationKind::Listed,
                    }
                }
                // Nobody was told of it, so that nobody has to be told of its end.
                Err(_) if !known => return None,
                Err(end) => {
                    item.end = end.into();
                    pb::ListPublicationKind::Ended
                }
            },
        };
        item.kind = kind.into();
        Some(item)
    }
}

impl Selection for Followed {
    type Item = pb::FollowPublicationsResponse;

    async fn items(&mut self, records: Vec<Recorded>) -> Result<Vec<(u64, Self::Item)>, Fault> {
        let mut concerned = records;
        concerned.retain(may_be_told);
        let store = &*self.deps.store;
        let read = histories(store, logs::LISTS, Entry::CATEGORY, &concerned).await?;
        let mut states = HashMap::new();
        for (id, history) in &read {
            states.insert(id.as_str(), self.states(history).await?);
        }
        let policy = self.deps.catalogue.active()?;
        let told = concerned.iter().filter_map(|recorded| {
            let states = states.get(recorded.envelope.stream_id.as_str())?;
            let item = self.told(&policy, recorded, states)?;
            Some((recorded.position, item))
        });
        let told: Vec<_> = told.collect();
        if !told.is_empty() {
            self.told_pack.tell(policy.version());
        }
        Ok(told)
    }

    fn checkpoint(&mut self, at: &Mark) -> Option<Self::Item> {
        Some(pb::FollowPublicationsResponse {
            pack_version: self.told_pack.tell(&self.told_pack.active()),
            ..checkpoint(at)
        })
    }

    async fn outdated(&mut self) {
        self.told_pack.outdated().await;
    }
}

/// Whether it can change what the public knows: most of an entry's life is not public.
fn may_be_told(recorded: &Recorded) -> bool {
    let subject = recorded.envelope.subject.parse::<Subject>();
    let organisation = subject.is_ok_and(|it| it.subject_type() == SubjectType::Organisation);
    let tells = [
        event_type::ENTRY_LISTED,
        event_type::ENTRY_SUSPENDED,
        event_type::ENTRY_UPHELD,
        event_type::ENTRY_CORRECTED_OUT,
        event_type::ENTRY_REMOVED,
        event_type::ENTRY_EXPIRED,
    ];
    organisation && tells.contains(&recorded.envelope.event_type.as_str())
}

/// An item that says where the follower is, and nothing else.
fn checkpoint(at: &Mark) -> pb::FollowPublicationsResponse {
    pb::FollowPublicationsResponse {
        log_id: at.log_id(),
        cursor: Some(at.cursor()),
        recorded_at: Some(to_proto_time(at.recorded_at)),
        kind: pb::ListPublicationKind::Checkpoint.into(),
        ..Default::default()
    }
}
