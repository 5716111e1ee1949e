//! Makes archives.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use tally_eventlog::archive::keys::{KEYRING, KeyContent, KeyWriter};
use tally_eventlog::archive::{ArchiveError, ArchiveWriter, FILE_BYTES_MAX, Source};
use tally_store_sqlite::{OpenError, SqliteSnapshot};

use super::places::{KeyPlace, Place, all_logs};
use super::set::{ArchiveSet, Kind, made_by};
use super::split::Split;
use super::{Account, ArchivesError, Stores};
use crate::data_dir::DataDirError;
use crate::role::Role;

/// Archives roles of a mesh as they are now, whether it runs or not; with `keys`, the
/// key ring too.
///
/// # Errors
///
/// [`ArchivesError`]: there is no backup.
pub async fn backup(
    stores: &Stores,
    roles: &[Role],
    keys: bool,
    to: &Path,
) -> Result<Vec<Account>, ArchivesError> {
    let embedded = stores.dir.is_embedded();
    // All of them are opened before anything is written.
    let mut sources: Vec<(Vec<Role>, Box<dyn Source>)> = Vec::new();
    if embedded && !roles.is_empty() {
        let path = stores.dir.store(None);
        let source = SqliteSnapshot::open(&path, all_logs()).await?;
        sources.push((roles.to_vec(), Box::new(source)));
    } else {
        for role in roles {
            let source = Place::of(stores, *role).settled(role.logs()).await?;
            sources.push((vec![*role], source));
        }
    }
    let keyring = match keys {
        true => Some(KeyPlace::open(stores).await?),
        false => None,
    };
    let mut set = ArchiveSet::create(to, Kind::Backup, embedded)?;
    let mut accounts = Vec::new();
    for (roles, mut source) in sources {
        accounts.extend(save(&mut *source, &roles, &mut set).await?);
    }
    // After the records: the keys that they use were there before them.
    if let Some(keyring) = keyring {
        accounts.push(save_keys(keyring, &mut set).await?);
    }
    set.finish()?;
    Ok(accounts)
}

/// Archives a whole embedded mesh that has been stopped, key ring and all, and ends it:
/// its store takes nothing any more. May be repeated.
///
/// # Errors
///
/// [`ArchivesError`]: there is no export. Once the store was ended, it stays so.
pub async fn export(stores: &Stores, to: &Path) -> Result<Vec<Account>, ArchivesError> {
    let path = stores.dir.store(None);
    if !stores.dir.is_embedded() {
        return Err(OpenError::Missing { path }.into());
    }
    let mut source = SqliteSnapshot::open_alone(&path, all_logs()).await?;
    let keyring = match stores.dir.keyring() {
        path if path.exists() => KeyPlace::open(stores).await?,
        path => return Err(DataDirError::KeyRingMissing { path }.into()),
    };
    let mut set = ArchiveSet::create(to, Kind::Export, true)?;
    let mut accounts = save(&mut source, &Role::ALL, &mut set).await?;
    accounts.push(save_keys(keyring, &mut set).await?);
    // Before the archives are complete: nothing may be written here that is not there.
    source.retire(Timestamp::now()).await?;
    set.finish()?;
    Ok(accounts)
}

/// Archives roles that share a store, all as of one moment.
async fn save(
    source: &mut dyn Source,
    roles: &[Role],
    set: &mut ArchiveSet,
) -> Result<Vec<Account>, ArchiveError> {
    let mut writers = Vec::with_capacity(roles.len());
    let (moment, made_by) = (Timestamp::now(), made_by());
    for role in roles {
        let place = set.place(role.name());
        let writer = ArchiveWriter::create(&place, role.name(), &made_by, moment, FILE_BYTES_MAX)?;
        writers.push((*role, writer));
    }
    let mut split = Split::new(writers);
    source.read(&mut split).await?;
    let writers: BTreeMap<Role, ArchiveWriter> = split.finish()?;
    let mut accounts = Vec::with_capacity(roles.len());
    for (role, writer) in writers {
        let (mark, content) = writer.finish()?;
        set.add(role.name(), mark);
        accounts.push(Account::of(role, &content));
    }
    Ok(accounts)
}

async fn save_keys(mut keyring: KeyPlace, set: &mut ArchiveSet) -> Result<Account, ArchiveError> {
    let mut writer = KeyWriter::create(&set.place(KEYRING), &made_by(), Timestamp::now())?;
    keyring.source().read(&mut writer).await?;
    keyring.close().await;
    let (mark, content) = writer.finish()?;
    set.add(KEYRING, mark);
    Ok(Account::of_keys(&content))
}

impl Account {
    pub(super) fn of_keys(content: &KeyContent) -> Self {
        Self {
            role: None,
            logs: Vec::new(),
            counts: vec![
                ("keys", content.keys.items),
                ("erased keys", content.erased.items),
                ("pseudonyms", content.pseudonyms.items),
            ],
        }
    }
}
