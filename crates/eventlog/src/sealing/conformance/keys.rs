//! Keys and pseudonyms are created once and last.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::super::{PseudonymKind, Sealer};
use super::{Fixture, NAME, NUMBER, ring, text};

/// Two rings on one store, many callers each, overlapping streams: one key a stream.
pub async fn first_key_is_kept_under_concurrency(fixture: &dyn Fixture) {
    let rings = [Arc::new(ring(fixture).await), Arc::new(ring(fixture).await)];
    let callers: Vec<_> = (0..24)
        .map(|caller: usize| {
            let ring = rings[caller % 2].clone();
            tokio::spawn(async move {
                let streams: Vec<String> = (0..20)
                    .map(|at| format!("s-{}", (caller + at) % 25))
                    .collect();
                let names: Vec<&str> = streams.iter().map(String::as_str).collect();
                let sealers = ring.sealers(&names).await.expect("sealers");
                streams.into_iter().zip(sealers).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut keys = HashMap::new();
    for caller in callers {
        for (stream, sealer) in caller.await.expect("no panic") {
            let key = *keys.entry(stream).or_insert(sealer.key_id());
            assert_eq!(key, sealer.key_id());
        }
    }
    assert_eq!(keys.len(), 25);
}

/// The same for one identifier, which has one pseudonym per kind.
pub async fn first_pseudonym_is_kept_under_concurrency(fixture: &dyn Fixture) {
    let rings = [Arc::new(ring(fixture).await), Arc::new(ring(fixture).await)];
    let callers: Vec<_> = (0..24)
        .map(|caller: usize| {
            let ring = rings[caller % 2].clone();
            tokio::spawn(async move {
                let person = ring.pseudonym(PseudonymKind::Person, NUMBER).await;
                let officer = ring.pseudonym(PseudonymKind::Officer, NUMBER).await;
                (person.expect("person"), officer.expect("officer"))
            })
        })
        .collect();
    let mut seen = HashSet::new();
    for caller in callers {
        seen.insert(caller.await.expect("no panic"));
    }
    let [(person, officer)] = Vec::from_iter(seen)[..] else {
        panic!("one identifier has several pseudonyms");
    };
    assert_ne!(person, officer);
    assert_eq!(person.get_version_num(), 4);
}

/// What was durable is there after the store was dropped and opened again.
pub async fn keys_and_pseudonyms_survive_reopening(fixture: &dyn Fixture) {
    let before = ring(fixture).await;
    let sealed = before.sealers(&["record-1"]).await.expect("sealers")[0].seal("name", NAME);
    let id = before
        .pseudonym(PseudonymKind::Officer, "A-17")
        .await
        .expect("pseudonym");
    drop(before);
    let after = ring(fixture).await;
    let opened = after.open(&[("name", &sealed)]).await.expect("opened");
    assert_eq!(opened, [text(NAME)]);
    let resealed = after.sealers(&["record-1"]).await.expect("sealers")[0].seal("name", NAME);
    assert_eq!(resealed, sealed);
    let again = after
        .pseudonym(PseudonymKind::Officer, "A-17")
        .await
        .expect("pseudonym");
    assert_eq!(again, id);
    let revealed = after
        .reveal(PseudonymKind::Officer, id)
        .await
        .expect("revealed");
    assert_eq!(revealed.as_deref(), Some("A-17"));
}

/// More rows than fit one statement, with repeats, some of them already there.
pub async fn many_keys_at_once_come_back_in_order(fixture: &dyn Fixture) {
    let ring = ring(fixture).await;
    let streams: Vec<String> = (0..1_250).map(|at| format!("s-{}", at % 1_100)).collect();
    let names: Vec<&str> = streams.iter().map(String::as_str).collect();
    let some = ring.sealers(&names[300..700]).await.expect("sealers");
    let all = ring.sealers(&names).await.expect("sealers");
    let ids = |sealers: &[Sealer]| -> Vec<Uuid> { sealers.iter().map(Sealer::key_id).collect() };
    assert_eq!(ids(&all[300..700]), ids(&some));
    assert_eq!(ids(&all[1_100..]), ids(&all[..150]));
    let sealed: Vec<_> = all.iter().map(|sealer| sealer.seal("name", NAME)).collect();
    let fields: Vec<_> = sealed.iter().map(|sealed| ("name", sealed)).collect();
    let opened = ring.open(&fields).await.expect("opened");
    assert_eq!(opened, vec![text(NAME); 1_250]);
}

/// Equal values compare equal sealed, but only within a stream and a field.
pub async fn sealing_is_deterministic_per_stream_and_field(fixture: &dyn Fixture) {
    let (one, two) = (ring(fixture).await, ring(fixture).await);
    let first = one.sealers(&["a", "b"]).await.expect("sealers");
    let second = two.sealers(&["b", "a"]).await.expect("sealers");
    assert_eq!(first[0].seal("name", NAME), second[1].seal("name", NAME));
    assert_ne!(first[0].seal("name", NAME), second[0].seal("name", NAME));
    assert_ne!(first[0].seal("name", NAME), first[0].seal("alias", NAME));
}
