//! Loads an archived key ring.

use tally_eventlog::archive::keys::{KeyContent, KeyParts, other_master};
use tally_eventlog::archive::{Archive, ArchiveError};

use super::load::Loading;
use super::places::KeyPlace;
use super::{Account, ArchivesError, Stores};

/// A key ring that is ready to be loaded.
pub(super) struct KeysReady<'a> {
    archive: &'a Archive,
    stores: &'a Stores,
    expected: KeyContent,
    before: bool,
}

pub(super) async fn prepare_keys<'a>(
    stores: &'a Stores,
    archive: &'a Archive,
    faults: &mut Vec<String>,
) -> Result<Option<KeysReady<'a>>, ArchivesError> {
    let mut parts = KeyParts::of(archive)?;
    while parts.next_part()?.is_some() {}
    let expected = parts.content().clone();
    if let Some(check) = &expected.check {
        match stores.dir.kept_master_key()? {
            Some(master) if master.created(check) => {}
            _ => faults.push(format!("key ring: {}", other_master())),
        }
    }
    let found = match KeyPlace::find(stores).await {
        Ok(Some(mut place)) => {
            let found = content_of(&mut place).await?;
            place.close().await;
            found
        }
        Ok(None) => KeyContent::default(),
        Err(error) => {
            faults.push(format!("key ring: {error}"));
            return Ok(None);
        }
    };
    let before = found == expected;
    if !before && !found.is_empty() {
        faults.push(format!(
            "key ring: it is not empty, there are already {} keys and {} pseudonyms; name an empty place, or \
             remove what is there yourself if nobody needs it",
            found.keys.items + found.erased.items,
            found.pseudonyms.items
        ));
    }
    Ok(Some(KeysReady {
        archive,
        stores,
        expected,
        before,
    }))
}

async fn content_of(place: &mut KeyPlace) -> Result<KeyContent, ArchiveError> {
    let mut content = KeyContent::default();
    place.source().read(&mut content).await?;
    Ok(content)
}

impl KeysReady<'_> {
    pub(super) async fn load(self) -> Result<Loading, ArchivesError> {
        let mut place = KeyPlace::make(self.stores).await?;
        if !self.before {
            place
                .target()
                .load(&mut KeyParts::of(self.archive)?)
                .await?;
        }
        let found = content_of(&mut place).await?;
        place.close().await;
        let differences = match found == self.expected {
            true => Vec::new(),
            false => vec!["keys or pseudonyms".to_owned()],
        };
        Ok(Loading {
            account: Account::of_keys(&found),
            recovered: 0,
            before: self.before,
            differences,
        })
    }
}
