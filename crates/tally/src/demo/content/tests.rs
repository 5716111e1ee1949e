//! Tests of what is made up.

use std::collections::HashSet;

use super::*;

fn plan(seed: u64) -> Plan {
    Plan::new(seed, ORGANISATIONS_MIN, 4_000)
}

#[test]
fn a_seed_gives_the_same_content_and_another_seed_other_content() {
    assert_eq!(plan(1), plan(1));
    assert_ne!(plan(1).organisations, plan(2).organisations);
    assert_ne!(plan(1).pushes, plan(2).pushes);
}

#[test]
fn every_record_counts_and_every_kind_occurs() {
    let plan = plan(3);
    assert_eq!(plan.total(), 4_000);
    let all = || plan.pushes.iter().flatten();
    assert!(all().any(|push| matches!(push.expect, Expect::Same { .. })));
    assert!(all().any(|push| matches!(push.expect, Expect::Retried { .. })));
    assert!(all().any(|push| push.expect == Expect::Refused { faults_min: 1 }));
    assert!(all().any(|push| push.expect == Expect::Refused { faults_min: 4 }));
    assert!(all().any(|push| push.personal));
    assert!(
        plan.organisations
            .iter()
            .any(|o| o.subject.starts_with("name-region:"))
    );
}

#[test]
fn the_fewest_records_suffice() {
    let plan = Plan::new(1, ORGANISATIONS_MIN, RECORDS_MIN);
    assert_eq!(plan.total(), u64::from(RECORDS_MIN));
    for (index, ground) in plan.grounds.iter().enumerate() {
        let push = &plan.pushes[initiator(index).index()][*ground];
        assert_eq!(push.record.subject, plan.organisations[index].subject);
        assert_eq!(push.expect, Expect::Accepted);
    }
}

#[test]
fn natural_keys_are_used_once() {
    let plan = plan(4);
    for pushes in &plan.pushes {
        let mut numbers = HashSet::new();
        for push in pushes.iter().filter(|push| push.expect == Expect::Accepted) {
            assert!(numbers.insert(&push.record.document_number));
        }
    }
}

#[test]
fn a_repeated_record_is_the_first_one_to_the_letter() {
    for pushes in &plan(5).pushes {
        for (at, push) in pushes.iter().enumerate() {
            if let Expect::Same { of } | Expect::Retried { of } = push.expect {
                assert!(of < at);
                assert_eq!(push.record, pushes[of].record);
            }
        }
    }
}

#[test]
fn honest_taxpayers_have_no_penalties_before_they_are_listed() {
    let plan = plan(6);
    let red: HashSet<&str> = plan.organisations[..RED]
        .iter()
        .map(|o| o.subject.as_str())
        .collect();
    let penalties = plan
        .pushes
        .iter()
        .flatten()
        .filter(|p| p.record.record_type.ends_with("penalty"));
    assert_eq!(
        penalties
            .filter(|push| red.contains(push.record.subject.as_str()))
            .count(),
        0
    );
}

#[test]
fn persons_are_only_in_the_fields_that_are_sealed() {
    let plan = plan(8);
    assert!(!plan.secrets.is_empty());
    for push in plan.pushes.iter().flatten() {
        for field in &push.record.fields {
            let sealed = field.name.starts_with("legal_representative");
            assert_eq!(plan.secrets.contains(&field.value), sealed);
        }
        assert!(
            !plan
                .secrets
                .iter()
                .any(|secret| push.record.subject.contains(secret))
        );
    }
}
