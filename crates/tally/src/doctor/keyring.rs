//! Whether the key ring belongs to the master key of this machine.

use tally_eventlog::sealing::MasterKey;
use tally_store_postgres::PostgresKeyStore;
use tally_store_sqlite::keyring::SqliteKeyStore;
use tokio::time::timeout;

use super::databases::Away;
use super::{Finding, PATIENCE, Plan};
use crate::data_dir::causes;

const WHAT: &str = "key ring";

/// Compares what the key ring keeps of its master key with ours.
pub(super) async fn examine(plan: &Plan) -> Finding {
    let master = match plan.dir.kept_master_key() {
        Ok(Some(master)) => master,
        Ok(None) => {
            let detail = "this machine has no master.key";
            let remedy = "put the copy of the mesh's master key into the data directory; a new mesh gets one by `tally init`";
            return Finding::fault(WHAT, detail, remedy);
        }
        Err(error) => {
            let otherwise = "put the master key back from its copy";
            return Finding::of_error(WHAT, &causes(&error), otherwise);
        }
    };
    let in_postgres = plan.storages.iter().find_map(|one| one.keyring.as_ref());
    let Some(schema) = in_postgres.filter(|_| !plan.dir.is_embedded()) else {
        let asked = timeout(PATIENCE, SqliteKeyStore::kept_check(plan.dir.keyring())).await;
        return match asked {
            Ok(Ok(kept)) => judge(&master, kept, "keyring.db"),
            Ok(Err(error)) => Finding::of_error(
                WHAT,
                &causes(&error),
                "put the key ring back from its backup",
            ),
            Err(_) => Finding::fault(
                WHAT,
                "the file is locked by another process",
                "see who has it open, and ask again",
            ),
        };
    };
    let database = schema.database();
    let asked = timeout(PATIENCE, PostgresKeyStore::kept_check(&database)).await;
    match asked {
        Ok(Ok(kept)) => judge(&master, kept, &format!("schema {}", schema.name)),
        Ok(Err(error)) => Away::Refused(Box::new(error)).told(WHAT, "keyring.url"),
        Err(_) => Away::Silent.told(WHAT, "keyring.url"),
    }
}

fn judge(master: &MasterKey, kept: Option<[u8; 32]>, place: &str) -> Finding {
    match kept {
        None => Finding::ok(WHAT, format!("{place} was never opened yet")),
        Some(check) if master.created(&check) => Finding::ok(
            WHAT,
            format!("{place} opens under this machine's master key"),
        ),
        Some(_) => Finding::fault(
            WHAT,
            format!("{place} was created under another master key than this machine's"),
            "put the master key of this mesh into the data directory; without it sealed fields cannot be read",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tally_eventlog::sealing::KeyRing;

    use super::super::Level;
    use super::*;

    #[tokio::test]
    async fn a_key_ring_of_another_master_key_is_a_fault_and_looking_makes_nothing() {
        let place = tempfile::TempDir::new().expect("a directory");
        let path = place.path().join("keyring.db");
        let missing = SqliteKeyStore::kept_check(&path).await;
        assert!(missing.is_err() && !path.exists(), "looking makes no file");
        let ours = MasterKey::generate().expect("random bytes");
        let text = ours.to_hex_file_contents();
        let store = SqliteKeyStore::open(&path).await.expect("a key ring");
        let kept = SqliteKeyStore::kept_check(&path).await.expect("readable");
        assert_eq!(kept, None);
        assert_eq!(judge(&ours, kept, "here").level, Level::Ok);
        let ring = KeyRing::new(Arc::new(store.clone()), ours);
        ring.verify_master_key().await.expect("it is new");
        let kept = SqliteKeyStore::kept_check(&path).await.expect("readable");
        let again = MasterKey::from_hex_file_contents(&text).expect("the same");
        assert_eq!(judge(&again, kept, "here").level, Level::Ok);
        let other = MasterKey::generate().expect("random bytes");
        assert_eq!(judge(&other, kept, "here").level, Level::Fault);
        store.close().await;
    }
}
