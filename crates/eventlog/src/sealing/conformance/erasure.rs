//! What is erased is gone, and nothing else is.

use uuid::Uuid;

use super::super::{Lookup, Opened, PseudonymKind, PseudonymRow, StreamKeyRow};
use super::{Fixture, NAME, NUMBER, contains, ring, text};

/// Erasure takes one stream and no other; what is sealed later has a new key.
pub async fn erased_streams_open_as_erased(fixture: &dyn Fixture) {
    let (ring, other) = (ring(fixture).await, ring(fixture).await);
    let sealers = ring.sealers(&["a", "b"]).await.expect("sealers");
    let (a, b) = (sealers[0].seal("name", NAME), sealers[1].seal("name", NAME));
    assert!(ring.erase_stream("a").await.expect("erased"));
    assert!(!ring.erase_stream("a").await.expect("nothing left"));
    let later = ring.sealers(&["a"]).await.expect("sealers")[0].seal("name", NAME);
    assert_ne!(later.key_id, a.key_id);
    for ring in [&ring, &other] {
        let opened = ring
            .open(&[("name", &a), ("name", &b), ("name", &later)])
            .await;
        assert_eq!(
            opened.expect("opened"),
            [Opened::Erased, text(NAME), text(NAME)]
        );
    }
}

/// Nothing leads from an erased pseudonym to the identifier or back.
pub async fn erased_pseudonyms_are_unlinked(fixture: &dyn Fixture) {
    let ring = ring(fixture).await;
    let kind = PseudonymKind::Person;
    let id = ring.pseudonym(kind, NUMBER).await.expect("pseudonym");
    let other = ring.pseudonym(kind, "another").await.expect("pseudonym");
    assert!(
        !ring
            .erase_pseudonym(PseudonymKind::Officer, id)
            .await
            .expect("another kind")
    );
    assert!(ring.erase_pseudonym(kind, id).await.expect("erased"));
    assert!(!ring.erase_pseudonym(kind, id).await.expect("nothing left"));
    assert_eq!(ring.reveal(kind, id).await.expect("revealed"), None);
    assert_ne!(ring.pseudonym(kind, NUMBER).await.expect("pseudonym"), id);
    let kept = ring.reveal(kind, other).await.expect("revealed");
    assert_eq!(kept.as_deref(), Some("another"));
}

/// Enough rows, in random order, for a database to have moved them about: no
/// copy of an erased row is left in any file.
pub async fn erased_bytes_are_gone(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let random = || *Uuid::new_v4().as_bytes();
    let lookup = || -> Lookup { [random(), random()].concat().try_into().expect("32 bytes") };
    let wrapped = || [random(); 4].concat();
    let mut keys = Vec::new();
    let mut people = Vec::new();
    for _ in 0..20 {
        for _ in 0..100 {
            keys.push(StreamKeyRow {
                lookup: lookup(),
                key_id: Uuid::new_v4(),
                wrapped: wrapped(),
            });
            people.push(PseudonymRow {
                kind: PseudonymKind::Person,
                lookup: lookup(),
                id: Uuid::new_v4(),
                wrapped: wrapped(),
            });
        }
        let from = keys.len() - 100;
        store
            .insert_stream_keys(&keys[from..])
            .await
            .expect("inserted");
        store
            .insert_pseudonyms(&people[from..])
            .await
            .expect("inserted");
    }
    let before = fixture.stored_bytes().await;
    let erased = (0..keys.len()).step_by(67);
    for at in erased.clone() {
        assert!(
            contains(&before, &keys[at].wrapped),
            "the scan finds what is there"
        );
        assert!(contains(&before, &people[at].lookup));
        assert!(
            store
                .erase_stream_key(&keys[at].lookup)
                .await
                .expect("erased")
        );
        assert!(
            store
                .erase_pseudonym(PseudonymKind::Person, people[at].id)
                .await
                .expect("erased")
        );
    }
    let after = fixture.stored_bytes().await;
    for at in erased {
        assert!(
            !contains(&after, &keys[at].wrapped),
            "key {at} is still there"
        );
        assert!(
            !contains(&after, &people[at].wrapped),
            "identifier {at} is still there"
        );
        assert!(
            !contains(&after, &people[at].lookup),
            "hash {at} is still there"
        );
        assert!(
            !contains(&after, people[at].id.as_bytes()),
            "pseudonym {at} is still there"
        );
    }
    assert!(contains(&after, &keys[1].wrapped) && contains(&after, &people[1].wrapped));
}
