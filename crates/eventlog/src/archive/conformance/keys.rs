//! Key rings, archived and filled.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::tempfile;
use crate::archive::keys::{KeyContent, KeyParts, KeySource, KeyTarget, KeyWriter};
use crate::archive::{Archive, ArchiveError};
use crate::sealing::{KeyRing, KeyStore, MasterKey, Opened, PseudonymKind};

/// A key store that can be archived and filled.
pub trait ArchivedKeys: KeyStore + KeySource + KeyTarget + Clone + 'static {}

impl<T: KeyStore + KeySource + KeyTarget + Clone + 'static> ArchivedKeys for T {}

fn ring(store: &impl ArchivedKeys, master: u8) -> KeyRing {
    let master = MasterKey::from_hex_file_contents(&format!("{master:02x}").repeat(32));
    KeyRing::new(Arc::new(store.clone()), master.expect("64 digits"))
}

async fn archive(store: &mut impl ArchivedKeys, dir: &Path) -> Archive {
    let writer = KeyWriter::create(dir, "a test", Timestamp::UNIX_EPOCH);
    let mut writer = writer.expect("a new directory");
    store.read(&mut writer).await.expect("it can be read");
    writer.finish().expect("it is complete");
    Archive::open(dir).expect("it is complete")
}

async fn load(store: &mut impl ArchivedKeys, archive: &Archive) -> Result<(), ArchiveError> {
    store.load(&mut KeyParts::of(archive)?).await
}

async fn content(store: &mut impl ArchivedKeys) -> KeyContent {
    let mut content = KeyContent::default();
    store.read(&mut content).await.expect("it can be read");
    content
}

/// What was sealed and named under one key ring is under the other, which is empty at
/// first, and what was erased stays erased. `foreign` is another empty one.
///
/// # Panics
///
/// Where that does not hold.
pub async fn a_key_ring_goes_on_elsewhere<S: ArchivedKeys>(mut from: S, mut to: S, mut foreign: S) {
    let dir = tempfile();
    let old = ring(&from, 1);
    // More than one part.
    let streams: Vec<String> = (0..1_500).map(|n| format!("stream {n}")).collect();
    let names: Vec<&str> = streams.iter().map(String::as_str).collect();
    let sealers = old.sealers(&names).await.expect("sealers");
    let (kept, gone) = (sealers[7].seal("name", "Wu"), sealers[8].seal("name", "Li"));
    assert!(old.erase_stream("stream 8").await.expect("erased"));
    let kinds = [PseudonymKind::Officer, PseudonymKind::Person];
    let mut ids = Vec::new();
    for kind in kinds {
        ids.push(old.pseudonym(kind, "1").await.expect("a pseudonym"));
    }
    let unlinked = old.pseudonym(PseudonymKind::Person, "2").await;
    let unlinked = unlinked.expect("a pseudonym");
    assert!(
        old.erase_pseudonym(PseudonymKind::Person, unlinked)
            .await
            .expect("erased")
    );

    let archived = archive(&mut from, &dir.join("keyring")).await;
    // It may have been made under the same master key already, not under another.
    ring(&to, 1).verify_master_key().await.expect("made");
    ring(&foreign, 2).verify_master_key().await.expect("made");
    let refused = load(&mut foreign, &archived)
        .await
        .expect_err("another master key");
    assert!(
        refused.to_string().contains("another master key"),
        "{refused}"
    );
    assert!(content(&mut foreign).await.is_empty());
    load(&mut to, &archived).await.expect("it is empty");
    assert_eq!(content(&mut to).await, content(&mut from).await);
    let refused = load(&mut to, &archived).await.expect_err("it is not empty");
    assert!(refused.to_string().contains("keys"), "{refused}");

    let new = ring(&to, 1);
    let opened = new.open(&[("name", &kept), ("name", &gone)]).await;
    let text = Opened::Text("Wu".to_owned());
    assert_eq!(opened.expect("opened"), [text, Opened::Erased]);
    let again = new.sealers(&["stream 7"]).await.expect("sealers")[0].seal("name", "Wu");
    assert_eq!(again, kept, "under the same key");
    for (kind, id) in kinds.into_iter().zip(ids) {
        assert_eq!(new.pseudonym(kind, "1").await.expect("a pseudonym"), id);
    }
    let other = new
        .pseudonym(PseudonymKind::Person, "2")
        .await
        .expect("a pseudonym");
    assert_ne!(other, unlinked);
}
