//! Loads archives, and proves what was loaded by reading it back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tally_bus_kafka::KafkaOptions;
use tally_eventlog::BoxError;
use tally_eventlog::archive::keys::KEYRING;
use tally_eventlog::archive::{
    Archive, ArchiveError, CheckpointPart, Content, Counted, LogContent, Part, Parts as _,
    Recovered, Source, Tail, TailRecords,
};
use tally_eventlog::shard::{LogName, Shard};
use uuid::Uuid;

use super::keys::prepare_keys;
use super::places::{Filling, Place, all_logs};
use super::relays::{With, begin_relays};
use super::set::{ArchiveSet, Kind};
use super::split::Split;
use super::topics::Topics;
use super::{Account, ArchivesError, Stores};
use crate::role::Role;

/// What became of a role, or of the key ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loading {
    /// What is there now, read back from where it was loaded.
    pub account: Account,
    /// How many of its records are not of the archive, but of the topics.
    pub recovered: u64,
    /// It had been loaded before, by a command that was cut off later.
    pub before: bool,
    /// What is there otherwise than in the archive: nothing, unless something is broken.
    pub differences: Vec<String>,
}

/// Roles that are to be loaded into one store.
struct Group {
    place: Place,
    archives: BTreeMap<Role, Archive>,
    /// Where relays begin that there were none of.
    relays: BTreeMap<Role, Vec<CheckpointPart>>,
    /// What logs have after their archives.
    tail: Arc<dyn Tail>,
}

/// Moves an exported mesh into stores of several processes, which are there and empty.
/// May be repeated after it was cut off: what was loaded is left as it is.
///
/// # Errors
///
/// [`ArchivesError`]: everything that speaks against it. What had been loaded before
/// an error of a store stays.
pub async fn import(stores: &Stores, set: &ArchiveSet) -> Result<Vec<Loading>, ArchivesError> {
    stores.dir.verify_shared()?;
    let mut faults = Vec::new();
    if set.kind() != Kind::Export {
        faults.push(
            "it is a backup, whose mesh may go on: make an export with `tally export`, or put the backup \
             back with `tally restore`"
                .to_owned(),
        );
    }
    let mut groups = Vec::new();
    for role in Role::ALL {
        let archive = set.archive(role.name(), &mut faults);
        let archives = archive.map(|archive| (role, archive)).into_iter().collect();
        let place = Place::of(stores, role);
        groups.push(Group {
            place,
            archives,
            relays: BTreeMap::new(),
            tail: Arc::new(NoTail),
        });
    }
    let keys = set.archive(KEYRING, &mut faults);
    let what = "the export cannot be imported";
    ArchiveError::unless_none(what, faults)?;
    let archives: BTreeMap<Role, &Archive> = groups
        .iter()
        .flat_map(|group| &group.archives)
        .map(|(role, archive)| (*role, archive))
        .collect();
    let mut relays = begin_relays(&archives)?;
    for group in &mut groups {
        let of_group = group.archives.keys();
        group.relays = of_group
            .filter_map(|role| relays.remove_entry(role))
            .collect();
    }
    load(stores, groups, keys, what, Ids::Kept).await
}

/// Puts roles, and with `keys` the key ring, back to what a backup holds, and to what
/// the topics on `kafka` have of their logs after it. Their stores are empty, or not
/// there.
///
/// # Errors
///
/// As [`import`].
pub async fn restore(
    stores: &Stores,
    set: &ArchiveSet,
    roles: &[Role],
    keys: bool,
    kafka: Option<&KafkaOptions>,
) -> Result<Vec<Loading>, ArchivesError> {
    let mut faults = Vec::new();
    let mut archives = BTreeMap::new();
    for role in roles {
        if let Some(archive) = set.archive(role.name(), &mut faults) {
            archives.insert(*role, archive);
        }
    }
    let in_files = roles
        .iter()
        .all(|role| stores.storage(*role).events.is_none());
    let embedded = set.embedded() && in_files && !roles.is_empty();
    if embedded && roles.len() < Role::ALL.len() {
        faults.push(
            "all roles of this mesh share one store, which is put back as a whole: use --all"
                .to_owned(),
        );
    }
    let keys = match keys {
        true => set.archive(KEYRING, &mut faults),
        false => None,
    };
    let what = "the backup cannot be restored";
    ArchiveError::unless_none(what, faults)?;
    let tail: Arc<dyn Tail> = match kafka.filter(|_| !embedded) {
        Some(kafka) => Arc::new(Topics::on(kafka)),
        None => Arc::new(NoTail),
    };
    let group = |place, archives| Group {
        place,
        archives,
        relays: BTreeMap::new(),
        tail: tail.clone(),
    };
    let groups = match embedded {
        true => vec![group(Place::File(stores.dir.store(None)), archives)],
        false => archives
            .into_iter()
            .map(|(role, archive)| {
                group(Place::of(stores, role), BTreeMap::from([(role, archive)]))
            })
            .collect(),
    };
    load(stores, groups, keys, what, Ids::Renewed).await
}

/// Where there are no topics, or nothing is wanted of them.
struct NoTail;

impl Tail for NoTail {
    fn records(&self, _: LogName, _: Uuid, _: Shard, _: u64) -> Result<TailRecords, BoxError> {
        Ok(Box::new(std::iter::empty()))
    }
}

/// Whether logs keep their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ids {
    /// It is the same log, elsewhere.
    Kept,
    /// Others may have read more of it than there is: it has another id from there on.
    Renewed,
}

impl Group {
    fn parts(&self, role: Role) -> Result<Counted<With>, ArchiveError> {
        let parts = self.archives[&role].parts(role.logs())?;
        let parts = Recovered::new(parts, self.tail.clone());
        let relays = self.relays.get(&role).filter(|relays| !relays.is_empty());
        let more = relays.cloned().map(Part::Checkpoints);
        Ok(Counted::new(With { parts, more }))
    }

    /// How many records there are that the role's archive does not have.
    fn recovered(&self, role: Role, content: &Content) -> u64 {
        let archived = self.archives[&role].manifest.logs.iter();
        let archived: u64 = archived.map(|log| log.records).sum();
        let there: u64 = content.logs.values().map(LogContent::records).sum();
        there.saturating_sub(archived)
    }

    fn logs(&self) -> &'static [LogName] {
        let mut roles = self.archives.keys();
        match (roles.next(), roles.next()) {
            (Some(role), None) => role.logs(),
            _ => all_logs(),
        }
    }

    /// What its archives amount to, where it would have to be there already.
    fn expected(&self) -> Result<BTreeMap<Role, Content>, ArchiveError> {
        let mut expected = BTreeMap::new();
        for role in self.archives.keys() {
            let mut parts = self.parts(*role)?;
            while parts.next()?.is_some() {}
            expected.insert(*role, parts.finish()?);
        }
        Ok(expected)
    }

    /// What is there.
    async fn content(
        &self,
        source: &mut dyn Source,
    ) -> Result<BTreeMap<Role, Content>, ArchiveError> {
        let sinks = self.archives.keys().map(|role| (*role, Content::default()));
        let mut split = Split::new(sinks);
        source.read(&mut split).await?;
        let contents = split.finish()?.into_iter();
        contents
            .map(|(role, content)| Ok((role, content.finish()?)))
            .collect()
    }

    /// Whether exactly that is there. What cannot be read is something else.
    async fn is_there(&self) -> Result<bool, ArchiveError> {
        let Ok(mut source) = self.place.source(self.logs()).await else {
            return Ok(false);
        };
        match self.content(&mut *source).await {
            Ok(found) => Ok(differences(&self.expected()?, &found).is_empty()),
            Err(_) => Ok(false),
        }
    }

    fn name(&self) -> String {
        let roles: Vec<&str> = self.archives.keys().map(|role| role.name()).collect();
        roles.join(", ")
    }
}

/// A group that is ready to be loaded; nothing to fill where it was loaded before.
struct Ready {
    group: Group,
    filling: Option<Filling>,
}

/// Loads the key ring, then the groups. Everything that speaks against any of it is
/// named before anything is loaded.
async fn load(
    stores: &Stores,
    groups: Vec<Group>,
    keys: Option<Archive>,
    what: &str,
    ids: Ids,
) -> Result<Vec<Loading>, ArchivesError> {
    let mut faults = Vec::new();
    let keys = match &keys {
        Some(archive) => prepare_keys(stores, archive, &mut faults).await?,
        None => None,
    };
    let mut ready = Vec::with_capacity(groups.len());
    for group in groups {
        ready.extend(prepare(group, &mut faults).await?);
    }
    ArchiveError::unless_none(what, faults)?;
    let mut loaded = Vec::new();
    // Keys are there before the records that use them.
    if let Some(keys) = keys {
        loaded.push(keys.load().await?);
    }
    let mut settling = Vec::new();
    for Ready { group, filling } in ready {
        let (loadings, filling) = load_group(&group, filling).await?;
        loaded.extend(loadings);
        settling.extend(filling.map(|filling| (group, filling)));
    }
    // All of them after the last was loaded: a command that is cut off before can be
    // repeated, since nobody has opened any.
    for (group, filling) in settling {
        let renewed = (ids == Ids::Renewed).then(|| group.logs());
        filling.settle(renewed).await?;
    }
    Ok(loaded)
}

async fn prepare(group: Group, faults: &mut Vec<String>) -> Result<Option<Ready>, ArchivesError> {
    let (name, place) = (group.name(), group.place.to_string());
    let mut filling = match group.place.filling(None).await {
        Ok(filling) => filling,
        Err(error) => {
            faults.push(format!("{name}: {error}"));
            return Ok(None);
        }
    };
    let (mut there, mut used) = (BTreeSet::new(), false);
    for archive in group.archives.values() {
        let found = filling.target().found(&archive.facts()?).await?;
        faults.extend(
            found
                .misfits
                .into_iter()
                .map(|one| format!("{name}: {place}: {one}")),
        );
        there.extend(found.there);
        used |= found.used;
    }
    if there.is_empty() {
        let filling = Some(filling);
        return Ok(Some(Ready { group, filling }));
    }
    drop(filling);
    // The very same may be there because it was loaded before. What a process has
    // opened since may be in use, whatever it holds.
    if !used && group.is_there().await? {
        return Ok(Some(Ready {
            group,
            filling: None,
        }));
    }
    let there: Vec<String> = there.into_iter().collect();
    faults.push(format!(
        "{name}: {place} is not empty, there is already: {}; name an empty place, or remove what is there \
         yourself if nobody needs it",
        there.join(", ")
    ));
    Ok(None)
}

fn differences(
    expected: &BTreeMap<Role, Content>,
    found: &BTreeMap<Role, Content>,
) -> BTreeMap<Role, Vec<String>> {
    let mut all = BTreeMap::new();
    for (role, expected) in expected {
        let differences = match found.get(role) {
            Some(found) => expected.differences(found),
            None => vec!["it is missing".to_owned()],
        };
        if !differences.is_empty() {
            all.insert(*role, differences);
        }
    }
    all
}

/// Loads a group, unless it is there, and reads it back; with what is to be settled.
async fn load_group(
    group: &Group,
    filling: Option<Filling>,
) -> Result<(Vec<Loading>, Option<Filling>), ArchivesError> {
    let before = filling.is_none();
    let mut filling = match filling {
        Some(filling) => filling,
        None => group.place.filling(None).await?,
    };
    let mut expected = BTreeMap::new();
    let found = if before {
        expected = group.expected()?;
        group
            .content(&mut *group.place.source(group.logs()).await?)
            .await?
    } else {
        for role in group.archives.keys() {
            let mut parts = group.parts(*role)?;
            filling.target().load(&mut parts).await?;
            expected.insert(*role, parts.finish()?);
        }
        group
            .content(&mut *filling.loaded(group.logs()).await?)
            .await?
    };
    let mut differences = differences(&expected, &found);
    // Where it was cut off just before, the ids are still those of the archive. A file
    // comes into its place with its new ids: one that is the same was never lost.
    let in_place = before && matches!(filling, Filling::File(_));
    let filling = (differences.is_empty() && !in_place).then_some(filling);
    let loading = |(role, content): (&Role, &Content)| Loading {
        account: Account::of(*role, content),
        recovered: group.recovered(*role, content),
        before,
        differences: differences.remove(role).unwrap_or_default(),
    };
    Ok((found.iter().map(loading).collect(), filling))
}
