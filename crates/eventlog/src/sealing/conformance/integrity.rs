//! Nothing is shown, swapped, altered or opened with the wrong key unnoticed.

use std::sync::Arc;

use uuid::Uuid;

use super::super::{
    KeyById, KeyRing, KeyRingError, KeyStore, MemoryKeyStore, PseudonymKind, StreamKeyRow,
};
use super::{Fixture, NAME, NUMBER, contains, master, ring};

/// A key ring older than the log must not pass lost keys off as erased.
pub async fn a_key_that_was_never_there_is_not_erased(fixture: &dyn Fixture) {
    let ring = ring(fixture).await;
    let elsewhere = KeyRing::new(Arc::new(MemoryKeyStore::new()), master(1));
    let sealed = elsewhere.sealers(&["a"]).await.expect("sealers")[0].seal("name", NAME);
    let error = ring
        .open(&[("name", &sealed)])
        .await
        .expect_err("unknown key");
    assert!(matches!(error, KeyRingError::KeyMissing { .. }), "{error}");
    let store = fixture.open().await;
    let id = Uuid::new_v4();
    assert_eq!(store.stream_keys_by_id(&[id]).await.expect("found"), []);
}

/// Neither the field's name nor the key's id can be exchanged for another.
pub async fn swapped_field_or_key_fails_authentication(fixture: &dyn Fixture) {
    let ring = ring(fixture).await;
    let sealers = ring.sealers(&["a", "b"]).await.expect("sealers");
    let sealed = sealers[0].seal("name", NAME);
    let error = ring
        .open(&[("alias", &sealed)])
        .await
        .expect_err("another field");
    let a = sealers[0].key_id();
    assert!(matches!(error, KeyRingError::Authentication { key_id } if key_id == a));
    assert!(error.to_string().contains(&a.to_string()) && !error.to_string().contains(NAME));
    let mut swapped = sealed.clone();
    swapped.key_id = sealers[1].seal("name", NAME).key_id;
    let error = ring
        .open(&[("name", &swapped)])
        .await
        .expect_err("another key");
    let b = sealers[1].key_id();
    assert!(matches!(error, KeyRingError::Authentication { key_id } if key_id == b));
    let mut short = sealed;
    short.nonce = short.nonce.slice(1..);
    let error = ring
        .open(&[("name", &short)])
        .await
        .expect_err("short nonce");
    assert!(matches!(error, KeyRingError::Malformed { .. }));
}

/// A row that was moved or altered is refused, and callers whose streams share a
/// batch with such a row still get their sealers.
pub async fn altered_rows_are_noticed(fixture: &dyn Fixture) {
    let elsewhere = MemoryKeyStore::new();
    let foreign = KeyRing::new(Arc::new(elsewhere.clone()), master(1));
    let kind = PseudonymKind::Officer;
    let id = foreign.pseudonym(kind, "A-17").await.expect("pseudonym");
    let row = elsewhere.pseudonym_by_id(kind, id).await.expect("found");
    let mut moved = row.expect("there");
    moved.id = Uuid::new_v4();
    let sealers = foreign.sealers(&["bad", "moved"]).await.expect("sealers");
    let key_id = sealers[0].key_id();
    let mut altered = live_key(&elsewhere, key_id).await;
    altered.wrapped[40] ^= 1;
    let mut moved_key = live_key(&elsewhere, sealers[1].key_id()).await;
    moved_key.key_id = Uuid::new_v4();
    let store = fixture.open().await;
    let inserted = store.insert_pseudonyms(std::slice::from_ref(&moved)).await;
    assert_eq!(inserted.expect("inserted"), [moved.clone()]);
    let rows = [altered, moved_key];
    let inserted = store.insert_stream_keys(&rows).await;
    assert_eq!(inserted.expect("inserted"), rows);

    let ring = ring(fixture).await;
    let error = ring.reveal(kind, moved.id).await.expect_err("moved row");
    assert!(matches!(error, KeyRingError::Altered { id } if id == moved.id));
    let (bad, good) = tokio::join!(ring.sealers(&["bad"]), ring.sealers(&["good"]));
    let error = bad.expect_err("altered row");
    assert!(matches!(error, KeyRingError::Altered { id } if id == key_id));
    good.expect("a neighbour in the batch");
    let error = ring.sealers(&["moved"]).await.expect_err("moved row");
    assert!(matches!(error, KeyRingError::Altered { id } if id == rows[1].key_id));
    let mut sealed = ring.sealers(&["good"]).await.expect("sealers")[0].seal("name", NAME);
    sealed.key_id = key_id.as_bytes().to_vec().into();
    let error = ring
        .open(&[("name", &sealed)])
        .await
        .expect_err("altered row");
    assert!(matches!(error, KeyRingError::Altered { id } if id == key_id));
}

async fn live_key(store: &dyn KeyStore, key_id: Uuid) -> StreamKeyRow {
    let found = store.stream_keys_by_id(&[key_id]).await.expect("found");
    match found.into_iter().next() {
        Some(KeyById::Live(row)) => row,
        _ => panic!("key {key_id} is not there"),
    }
}

/// Another master key is noticed before it creates anything.
pub async fn another_master_key_is_refused(fixture: &dyn Fixture) {
    let ring = ring(fixture).await;
    let sealed = ring.sealers(&["a"]).await.expect("sealers")[0].seal("name", NAME);
    let before = fixture.stored_bytes().await;
    let wrong = KeyRing::new(fixture.open().await, master(2));
    let errors = [
        wrong.verify_master_key().await.expect_err("verify"),
        wrong.sealers(&["b"]).await.expect_err("sealers"),
        wrong.open(&[("name", &sealed)]).await.expect_err("open"),
        wrong
            .pseudonym(PseudonymKind::Officer, "A-17")
            .await
            .expect_err("pseudonym"),
        wrong.erase_stream("a").await.expect_err("erase"),
    ];
    for error in errors {
        assert!(matches!(error, KeyRingError::WrongMasterKey), "{error}");
        assert!(!error.is_retryable());
    }
    assert_eq!(fixture.stored_bytes().await.len(), before.len());
    ring.verify_master_key().await.expect("still the first");
}

/// Neither streams, identifiers, texts nor the master key are in any file.
pub async fn nothing_is_stored_in_clear(fixture: &dyn Fixture) {
    let ring = ring(fixture).await;
    let stream = format!("record-{NUMBER}");
    let sealer = ring.sealers(&[&stream]).await.expect("sealers").remove(0);
    sealer.seal("name", NAME);
    let id = ring
        .pseudonym(PseudonymKind::Person, NUMBER)
        .await
        .expect("pseudonym");
    ring.reveal(PseudonymKind::Person, id)
        .await
        .expect("revealed");
    let bytes = fixture.stored_bytes().await;
    assert!(
        contains(&bytes, sealer.key_id().as_bytes()),
        "the scan finds what is there"
    );
    assert!(!contains(&bytes, NUMBER.as_bytes()));
    assert!(!contains(&bytes, NAME.as_bytes()));
    assert!(!contains(&bytes, &[1; 32]), "the master key");
}
