//! What followers see of records: for mirrors what the public may see, for
//! departments what says that an organisation was newly registered.
//!
//! A field is shown if both the pack that the record was judged by and the
//! active one let it be: neither a later pack nor an earlier one opens more.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::Stream;
use tally_domain::department::DepartmentId;
use tally_domain::fault::FieldFault;
use tally_domain::policy::{Level, RecordType};
use tally_domain::subject::{Subject, SubjectType};
use tally_eventlog::aggregate::{Aggregate as _, Codec as _};
use tally_eventlog::event::{Recorded, to_proto_time};
use tally_eventlog::pb::Cursor;
use tally_eventlog::store::LogSource;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::collection::v1::stored_field::Value;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::follow::{Mark, Selection, follow, histories, last_change};
use tally_service::told_pack::ToldPack;
use tally_service::{Deps, Policy, logs};
use tonic::Status;

use crate::codec::department;
use crate::record::{Event, Record};

/// What a follower asks for.
pub(crate) enum Scope {
    /// What the public may see; of these record types, or of all.
    Public(BTreeSet<String>),
    /// New registrations.
    Registered {
        /// Who follows: sees only what is shared with it, as everywhere.
        reader: DepartmentId,
        /// By departments of this division; nothing: of all.
        division: Option<String>,
    },
}

impl Scope {
    /// What the public may see of these record types.
    ///
    /// # Errors
    ///
    /// Every type that the active pack does not know or does not publish.
    pub(crate) fn public(policy: &Policy, record_types: Vec<String>) -> Result<Self, Fault> {
        let mut faults = Faults::default();
        for (n, id) in record_types.iter().enumerate() {
            let at = format!("record_types[{n}]");
            match policy.pack.record_type(id) {
                None => faults.add(
                    at,
                    "RECORD_TYPE_UNKNOWN",
                    "the catalogue has no such record type",
                ),
                Some(it) if !it.published => {
                    faults.add(
                        at,
                        "NOT_PUBLISHED",
                        "records of this type are not published",
                    );
                }
                Some(_) => {}
            }
        }
        match faults.into_vec() {
            faults if faults.is_empty() => Ok(Self::Public(record_types.into_iter().collect())),
            faults => Err(Fault::invalid(faults)),
        }
    }

    /// New registrations that a department may see, by departments of a division;
    /// empty: of all.
    ///
    /// # Errors
    ///
    /// It is no division.
    pub(crate) fn registered(reader: DepartmentId, division: String) -> Result<Self, Fault> {
        let division = (!division.is_empty()).then_some(division);
        if division
            .as_deref()
            .is_some_and(|it| Level::of_division(it).is_none())
        {
            let message = "a division is a six-digit GB/T 2260 code";
            let fault = FieldFault::new("division", "DIVISION_INVALID", message);
            return Err(Fault::invalid(vec![fault]));
        }
        Ok(Self::Registered { reader, division })
    }

    /// New registrations of all divisions that a department may see.
    pub(crate) fn registrations_for(reader: DepartmentId) -> Self {
        Self::Registered {
            reader,
            division: None,
        }
    }

    /// Whether records of the type concern the follower at all.
    fn wants(&self, record_type: &str) -> bool {
        match self {
            Self::Public(types) => types.is_empty() || types.contains(record_type),
            Self::Registered { .. } => true,
        }
    }

    /// Whether the follower may see such records of a department.
    fn reaches(&self, policy: &Policy, record_type: &str, owner: &str) -> bool {
        match self {
            Self::Public(_) => true,
            Self::Registered { reader, .. } => {
                policy.pack.may_read_record(record_type, owner, reader)
            }
        }
    }

    /// Whether a pack lets the follower have such records.
    fn opens(&self, it: &RecordType) -> bool {
        match self {
            Self::Public(_) => it.published,
            Self::Registered { .. } => it.registers_subject,
        }
    }

    /// Whether a record says what the follower asks for.
    fn covers(
        &self,
        policy: &Policy,
        it: &RecordType,
        department: &str,
        content: &pb::StoredContent,
    ) -> bool {
        let Self::Registered { division, .. } = self else {
            return true;
        };
        let value_of = |name: &str| {
            let mut fields = content.fields.iter();
            match fields.find(|field| field.name == name)?.value.as_ref()? {
                Value::Text(text) => Some(text.as_str()),
                Value::Sealed(_) => None,
            }
        };
        let registrar = DepartmentId::parse(department).ok();
        let registrar = registrar.and_then(|id| policy.pack.department(&id));
        let within = |division: &String| registrar.is_some_and(|it| it.is_within(division));
        it.registers(value_of) && division.as_ref().is_none_or(within)
    }
}

/// What a follower of publications is sent.
type Item = pb::FollowPublicationsResponse;

/// The same for a follower of registrations.
pub(crate) fn registration(item: Item) -> pb::FollowRegistrationsResponse {
    pb::FollowRegistrationsResponse {
        log_id: item.log_id,
        cursor: item.cursor,
        recorded_at: item.recorded_at,
        kind: item.kind,
        record_id: item.record_id,
        record: item.record,
        pack_version: item.pack_version,
    }
}

/// What a follower sees of the log of collection, as messages `M`.
pub(crate) struct Followed<M> {
    deps: Deps,
    scope: Scope,
    told_pack: ToldPack,
    message: fn(Item) -> M,
}

/// A record after one of its events: what there was to show of it then.
type State = Option<pb::PublishedRecord>;

impl<M> Followed<M> {
    /// For a follower that asks for this.
    pub(crate) fn new(deps: Deps, scope: Scope, message: fn(Item) -> M) -> Self {
        Self {
            told_pack: ToldPack::new(&deps.catalogue),
            deps,
            scope,
            message,
        }
    }

    /// Whether an event may be told, judged by itself alone, so that the
    /// histories of most records are not read.
    async fn may_concern(&self, policy: &Policy, recorded: &Recorded) -> Result<bool, Fault> {
        let subject = recorded.envelope.subject.parse::<Subject>();
        let organisation = subject.is_ok_and(|it| it.subject_type() == SubjectType::Organisation);
        if !organisation || recorded.envelope.category != Record::CATEGORY {
            return Ok(false);
        }
        let owner = department(recorded);
        let concerns = |record_type: &str| {
            self.scope.wants(record_type) && self.scope.reaches(policy, record_type, owner)
        };
        match Record::decode(recorded).map_err(Fault::internal)? {
            Event::Accepted(accepted) => {
                let content = accepted.body.content.as_ref();
                let content = content.filter(|content| concerns(&content.record_type));
                Ok(self.state(recorded, content).await?.is_some())
            }
            Event::Corrected(corrected) => {
                let content = corrected.body.content.as_ref();
                Ok(content.is_some_and(|content| concerns(&content.record_type)))
            }
            Event::Withdrawn(withdrawn) => Ok(concerns(&withdrawn.body.record_type)),
        }
    }

    /// What there is to show of a content by the pack that it was judged by.
    async fn state(
        &self,
        recorded: &Recorded,
        content: Option<&pb::StoredContent>,
    ) -> Result<State, Fault> {
        let Some(content) = content.filter(|it| self.scope.wants(&it.record_type)) else {
            return Ok(None);
        };
        let version = &recorded.envelope.pack_version;
        let policy = self.deps.catalogue.judged_by(version).await?;
        let record_type = policy.pack.record_type(&content.record_type);
        let Some(record_type) = record_type.filter(|it| self.scope.opens(it)) else {
            return Ok(None);
        };
        let department = department(recorded);
        let covered = self.scope.covers(&policy, record_type, department, content);
        Ok(covered.then(|| shown(record_type, recorded, content)))
    }

    /// What a record was after each of its events.
    async fn states(&self, history: &[Recorded]) -> Result<Vec<State>, Fault> {
        let mut states = Vec::new();
        for recorded in history {
            states.push(match Record::decode(recorded).map_err(Fault::internal)? {
                Event::Accepted(accepted) => {
                    self.state(recorded, accepted.body.content.as_ref()).await?
                }
                Event::Corrected(corrected) => {
                    let content = corrected.body.content.as_ref();
                    self.state(recorded, content).await?
                }
                Event::Withdrawn(_) => None,
            });
        }
        Ok(states)
    }

    /// What of it may be shown today by the active pack.
    fn still(&self, policy: &Policy, record: &pb::PublishedRecord) -> State {
        let record_type = policy.pack.record_type(&record.record_type);
        let record_type = record_type.filter(|it| self.scope.opens(it))?;
        let today = policy.today(self.deps.clock.now()).to_string();
        // Both are ISO 8601, which sorts as it counts.
        if !record.display_until.is_empty() && record.display_until < today {
            return None;
        }
        let mut record = record.clone();
        let is_public = |field: &pb::PublishedField| {
            let rule = record_type.field(&field.name);
            rule.is_some_and(|rule| rule.is_public())
        };
        record.fields.retain(is_public);
        Some(record)
    }

    /// What is told of an event of this history.
    fn told(&self, policy: &Policy, recorded: &Recorded, states: &[State]) -> Option<Item> {
        let at = usize::try_from(recorded.envelope.version).ok()?;
        if last_change(&None, states) != Some(at) {
            return None;
        }
        let known = states.iter().take(at).any(Option::is_some);
        let record = states[at].as_ref().and_then(|it| self.still(policy, it));
        let kind = match (known, &record) {
            (false, Some(_)) => pb::PublicationKind::Published,
            (true, Some(_)) => pb::PublicationKind::Changed,
            (true, None) => pb::PublicationKind::Withdrawn,
            (false, None) => return None,
        };
        Some(Item {
            kind: kind.into(),
            record_id: recorded.envelope.stream_id.clone(),
            record,
            pack_version: policy.version().to_owned(),
            ..checkpoint(&Mark::of(recorded))
        })
    }
}

impl<M: Send + 'static> Selection for Followed<M> {
    type Item = M;

    async fn items(&mut self, records: Vec<Recorded>) -> Result<Vec<(u64, M)>, Fault> {
        let policy = self.deps.catalogue.active()?;
        let mut concerned = Vec::new();
        for recorded in records {
            if self.may_concern(&policy, &recorded).await? {
                concerned.push(recorded);
            }
        }
        let store = &*self.deps.store;
        let read = histories(store, logs::COLLECTION, Record::CATEGORY, &concerned).await?;
        let mut states = HashMap::new();
        for (id, history) in &read {
            states.insert(id.as_str(), self.states(history).await?);
        }
        let policy = self.deps.catalogue.active()?;
        let told = concerned.iter().filter_map(|recorded| {
            let states = states.get(recorded.envelope.stream_id.as_str())?;
            let item = self.told(&policy, recorded, states)?;
            Some((recorded.position, (self.message)(item)))
        });
        let told: Vec<_> = told.collect();
        if !told.is_empty() {
            self.told_pack.tell(policy.version());
        }
        Ok(told)
    }

    fn checkpoint(&mut self, at: &Mark) -> Option<M> {
        let item = Item {
            pack_version: self.told_pack.tell(&self.told_pack.active()),
            ..checkpoint(at)
        };
        Some((self.message)(item))
    }

    async fn outdated(&mut self) {
        self.told_pack.outdated().await;
    }
}

/// An item that says where the follower is, and nothing else.
fn checkpoint(at: &Mark) -> Item {
    Item {
        log_id: at.log_id(),
        cursor: Some(at.cursor()),
        recorded_at: Some(to_proto_time(at.recorded_at)),
        kind: pb::PublicationKind::Checkpoint.into(),
        ..Item::default()
    }
}

/// A content as the public sees it. What is sealed is not even looked at.
fn shown(
    record_type: &RecordType,
    recorded: &Recorded,
    content: &pb::StoredContent,
) -> pb::PublishedRecord {
    let mut display_until = content.valid_until.as_str();
    let mut fields = Vec::new();
    for field in &content.fields {
        let (Some(rule), Some(Value::Text(text))) = (record_type.field(&field.name), &field.value)
        else {
            continue;
        };
        if rule.ends_publication && (display_until.is_empty() || text.as_str() < display_until) {
            display_until = text;
        }
        if rule.is_public() {
            fields.push(pb::PublishedField {
                name: field.name.clone(),
                value: text.clone(),
            });
        }
    }
    pb::PublishedRecord {
        subject: recorded.envelope.subject.clone(),
        record_type: content.record_type.clone(),
        department: department(recorded).to_owned(),
        document_number: content.document_number.clone(),
        decided_on: content.decided_on.clone(),
        valid_from: content.valid_from.clone(),
        valid_until: content.valid_until.clone(),
        display_until: display_until.to_owned(),
        fields,
    }
}

/// The follower's stream of these items, each as its `message`.
pub(crate) async fn stream<M: Send + 'static>(
    deps: &Deps,
    scope: Scope,
    cursor: Option<&Cursor>,
    until_head: bool,
    message: fn(Item) -> M,
) -> Result<impl Stream<Item = Result<M, Status>> + Send + use<M>, Fault> {
    let source: Arc<dyn LogSource> = deps.store.clone();
    let followed = Followed::new(deps.clone(), scope, message);
    follow(source, logs::COLLECTION, followed, cursor, until_head).await
}
