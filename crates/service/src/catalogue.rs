//! The catalogue as every process follows it: packs become active by events.

mod follower;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tally_auth::{Caller, CallerKind};
use tally_domain::calendar::{Deadline, WorkingDays};
use tally_domain::date::{LegalDate, today};
use tally_domain::policy::{
    ItemKind, Pack, PackFault, PackItem, PackMeta, PolicyHistory, RecordType, Terms,
};
use tally_eventlog::event::Recorded;
use tally_eventlog::store::{LogSource, StoreError};
use tally_proto::tally::catalog::v1 as pb;
use tally_rpc::Fault;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::wiring::CATCH_UP_WAIT;
use follower::Follower;

/// Event types of the catalogue.
pub mod event_type {
    /// An item of a pack that is being loaded.
    pub const PACK_ITEM_LOADED: &str = "tally.catalog.v1.PackItemLoaded";
    /// A pack is active.
    pub const PACK_ACTIVATED: &str = "tally.catalog.v1.PackActivated";
}

/// A pack with what is computed from it once.
#[derive(Debug)]
pub struct Policy {
    /// The pack.
    pub pack: Arc<Pack>,
    /// Its calendar.
    pub working_days: WorkingDays,
    /// Its time zone: legal dates are meant in it.
    pub time_zone: TimeZone,
}

impl Policy {
    /// Prepares a pack.
    ///
    /// # Errors
    ///
    /// The pack's time zone is unknown: correct the pack.
    pub fn new(pack: Arc<Pack>) -> Result<Self, jiff::Error> {
        let time_zone = pack.meta.tz()?;
        let working_days = pack.working_days();
        Ok(Self {
            pack,
            working_days,
            time_zone,
        })
    }

    /// Version of the pack.
    pub fn version(&self) -> &str {
        &self.pack.meta.version
    }

    /// Whether the pack has the caller's department; the operator has none.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED`: the pack must name the department first.
    pub fn member(&self, caller: &Caller, right: &str) -> Result<(), Fault> {
        let known = |id| self.pack.department(id).is_some();
        if caller.kind == CallerKind::Operator || caller.department.as_ref().is_some_and(known) {
            return Ok(());
        }
        let message = format!("{right} is for departments that the policy pack names");
        Err(Fault::permission(right, message))
    }

    /// The legal date at a time.
    pub fn today(&self, now: Timestamp) -> LegalDate {
        today(now, &self.time_zone)
    }

    /// The last day of a term of working days that starts after `date`.
    pub fn deadline(&self, date: LegalDate, working_days: u32) -> Deadline {
        self.working_days.after(date, working_days)
    }

    /// The days by which a record of that decision is due; nothing for backfill.
    pub fn terms(&self, record_type: &RecordType, decided_on: LegalDate) -> Option<Terms> {
        record_type.terms(decided_on, &self.working_days)
    }

    /// The first moment of a legal date.
    pub fn start_of(&self, date: LegalDate) -> Timestamp {
        // A date at the edge of time has no moment; none of law is there.
        date.to_zoned(self.time_zone.clone())
            .map_or(Timestamp::MIN, |zoned| zoned.timestamp())
    }
}

#[derive(Debug, Default)]
struct State {
    history: PolicyHistory,
    policies: HashMap<String, Arc<Policy>>,
    active: Option<Arc<Policy>>,
    /// When the active pack was recorded: packs can lie on several shards,
    /// which are read one after the other.
    active_since: Timestamp,
    /// Each pack with when it was recorded, in this order.
    activations: Vec<(Timestamp, Arc<Policy>)>,
    /// Items of packs that are not active yet, by version.
    loading: HashMap<String, Vec<PackItem>>,
}

/// The packs that this process knows.
#[derive(Debug)]
pub struct Catalogue {
    state: RwLock<State>,
    version: watch::Sender<String>,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            state: RwLock::default(),
            version: watch::Sender::new(String::new()),
        }
    }
}

impl Catalogue {
    /// Reads the catalogue's log to the head it has now, and follows it until
    /// `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the log cannot be read.
    pub async fn follow(
        source: Arc<dyn LogSource>,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, StoreError> {
        let catalogue = Arc::new(Self::default());
        let follower = Follower::begin(source, catalogue.clone()).await?;
        tokio::spawn(follower.follow(stop));
        Ok(catalogue)
    }

    /// True for the event types that this version knows.
    fn knows(event_type: &str) -> bool {
        matches!(
            event_type,
            event_type::PACK_ITEM_LOADED | event_type::PACK_ACTIVATED
        )
    }

    /// Knows from now on what another one has read.
    fn replace(&self, other: &Self) {
        let fresh =
            std::mem::take(&mut *other.state.write().unwrap_or_else(PoisonError::into_inner));
        let active = fresh.active.as_ref();
        let version = active.map_or_else(String::new, |policy| policy.version().to_owned());
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        self.version.send_replace(version);
    }

    /// Applies an event of the catalogue's log.
    ///
    /// # Errors
    ///
    /// What is wrong with it; the packs stay as they were.
    pub fn apply(&self, event: &Recorded) -> Result<(), String> {
        match event.envelope.event_type.as_str() {
            event_type::PACK_ITEM_LOADED => {
                let loaded: pb::PackItemLoaded =
                    event.payload().map_err(|error| error.to_string())?;
                let item = item_from_proto(loaded.item.unwrap_or_default())?;
                let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
                state
                    .loading
                    .entry(loaded.pack_version)
                    .or_default()
                    .push(item);
                Ok(())
            }
            event_type::PACK_ACTIVATED => {
                let activated: pb::PackActivated =
                    event.payload().map_err(|error| error.to_string())?;
                self.activate(activated, event.recorded_at)
            }
            other => Err(format!("{other} is unknown to this version; upgrade it")),
        }
    }

    fn activate(&self, activated: pb::PackActivated, recorded_at: Timestamp) -> Result<(), String> {
        let meta = meta_from_proto(activated.meta.unwrap_or_default());
        let version = meta.version.clone();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let items = state.loading.remove(&version).unwrap_or_default();
        if items.len() != activated.items as usize {
            return Err(format!(
                "pack {version} has {} of {} items",
                items.len(),
                activated.items
            ));
        }
        let pack = restore(meta, items, &activated.digest)?;
        let policy = Arc::new(Policy::new(pack.clone()).map_err(|error| error.to_string())?);
        state
            .history
            .load(pack)
            .map_err(|error| error.to_string())?;
        state.policies.insert(version.clone(), policy.clone());
        let later = |(at, _): &(Timestamp, _)| *at <= recorded_at;
        let place = state.activations.partition_point(later);
        state
            .activations
            .insert(place, (recorded_at, policy.clone()));
        if state.active.is_none() || recorded_at >= state.active_since {
            state.active = Some(policy);
            state.active_since = recorded_at;
        }
        drop(state);
        self.version.send_replace(version);
        Ok(())
    }

    /// The active policy.
    ///
    /// # Errors
    ///
    /// `NO_POLICY_PACK`: none is loaded; the operator loads one.
    pub fn active(&self) -> Result<Arc<Policy>, Fault> {
        self.try_active().ok_or_else(|| {
            Fault::rejected(
                "NO_POLICY_PACK",
                "no policy pack is loaded; the operator runs `tally policy load`",
            )
        })
    }

    /// The active policy, if there is one.
    pub fn try_active(&self) -> Option<Arc<Policy>> {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .active
            .clone()
    }

    /// Since when every active pack has said so; nothing if the last one does not.
    pub fn said_since(&self, says: impl Fn(&Pack) -> bool) -> Option<Timestamp> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let last = state.activations.iter().rev();
        let last = last.take_while(|(_, policy)| says(&policy.pack));
        last.last().map(|(at, _)| *at)
    }

    /// Changes whenever a pack has been read.
    pub(crate) fn changes(&self) -> watch::Receiver<String> {
        self.version.subscribe()
    }

    /// The policy of a version.
    pub fn version(&self, version: &str) -> Option<Arc<Policy>> {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .policies
            .get(version)
            .cloned()
    }

    /// The policy by which an event was judged.
    ///
    /// # Errors
    ///
    /// `PACK_NOT_KNOWN`: this process has not read the pack yet; retry.
    pub async fn judged_by(&self, version: &str) -> Result<Arc<Policy>, Fault> {
        if let Some(policy) = self.version(version) {
            return Ok(policy);
        }
        let policy = self.wait_for_version(version, CATCH_UP_WAIT).await;
        policy.ok_or_else(|| {
            let message = format!("policy pack {version} is not known here yet; retry");
            Fault::unavailable("PACK_NOT_KNOWN", message, CATCH_UP_WAIT)
        })
    }

    /// The policy of a version; waits for it, since a reader of one log can be
    /// ahead of the reader of the catalogue. Nothing if it does not come.
    pub async fn wait_for_version(&self, version: &str, wait: Duration) -> Option<Arc<Policy>> {
        let mut changes = self.version.subscribe();
        let found = async {
            loop {
                changes.borrow_and_update();
                if let Some(policy) = self.version(version) {
                    return Some(policy);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(wait, found).await.ok().flatten()
    }
}

/// Puts a pack together and verifies it: items, digest, consistency.
///
/// # Errors
///
/// What is wrong with it, every fault.
pub fn assemble(meta: PackMeta, items: Vec<PackItem>, digest: &[u8]) -> Result<Arc<Pack>, String> {
    let pack = restore(meta, items, digest)?;
    let faults = pack.faults();
    if faults.is_empty() {
        Ok(pack)
    } else {
        Err(lines(&faults))
    }
}

/// Puts a pack together as it was loaded. It is not judged again: an upgrade that knows more
/// faults must not take the rules away by which a mesh has worked.
fn restore(meta: PackMeta, items: Vec<PackItem>, digest: &[u8]) -> Result<Arc<Pack>, String> {
    let pack = Pack::from_items(meta, items).map_err(|faults| lines(&faults))?;
    if pack.digest() != digest {
        return Err("the digest is not that of the items; send all items again".to_owned());
    }
    Ok(Arc::new(pack))
}

fn lines(faults: &[PackFault]) -> String {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}

/// A pack's head from the contract.
pub fn meta_from_proto(meta: pb::PackMeta) -> PackMeta {
    PackMeta {
        id: meta.id,
        version: meta.version,
        time_zone: meta.time_zone,
        title: meta.title,
        name_zh: (!meta.name_zh.is_empty()).then_some(meta.name_zh),
    }
}

/// A pack's head for the contract.
pub fn meta_to_proto(meta: &PackMeta) -> pb::PackMeta {
    pb::PackMeta {
        id: meta.id.clone(),
        version: meta.version.clone(),
        time_zone: meta.time_zone.clone(),
        title: meta.title.clone(),
        name_zh: meta.name_zh.clone().unwrap_or_default(),
    }
}

/// An item from the contract.
///
/// # Errors
///
/// Its kind is unknown.
pub fn item_from_proto(item: pb::PackItem) -> Result<PackItem, String> {
    let kind = ItemKind::ITEMS
        .into_iter()
        .find(|kind| kind.as_str() == item.kind)
        .ok_or_else(|| format!("a pack has no items of kind {:?}", item.kind))?;
    Ok(PackItem {
        kind,
        id: item.id,
        version: item.version,
        body: item.body,
    })
}

/// An item for the contract.
pub fn item_to_proto(item: &PackItem) -> pb::PackItem {
    pb::PackItem {
        kind: item.kind.as_str().to_owned(),
        id: item.id.clone(),
        body: item.body.clone(),
        version: item.version,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use tally_eventlog::pb as log_pb;
    use tally_eventlog::shard::Shard;
    use uuid::Uuid;

    use super::*;
    use crate::logs;

    #[test]
    fn a_pack_that_was_loaded_stays_active_where_more_faults_are_known() {
        let meta = PackMeta {
            id: "old".to_owned(),
            version: "1".to_owned(),
            time_zone: "UTC".to_owned(),
            title: String::new(),
            name_zh: None,
        };
        let pack = Pack::empty(meta.clone());
        assert_eq!(pack.faults().len(), 1, "its title is empty");
        assert!(assemble(meta.clone(), Vec::new(), &pack.digest()).is_err());
        let activated = pb::PackActivated {
            meta: Some(meta_to_proto(&meta)),
            digest: pack.digest().to_vec().into(),
            items: 0,
        };
        let event = Recorded {
            log: logs::CATALOG,
            log_id: Uuid::nil(),
            shard: Shard(0),
            position: 0,
            recorded_at: Timestamp::UNIX_EPOCH,
            effective_at: Timestamp::UNIX_EPOCH,
            leaf: [0; 32],
            envelope: log_pb::Envelope {
                event_type: event_type::PACK_ACTIVATED.into(),
                payload: activated.encode_to_vec().into(),
                ..Default::default()
            },
        };
        let catalogue = Catalogue::default();
        catalogue.apply(&event).expect("it was loaded once");
        assert_eq!(catalogue.active().expect("active").version(), "1");
    }
}
