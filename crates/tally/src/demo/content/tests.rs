//! Tests of what is made up.

use std::collections::{BTreeSet, HashSet};

use super::tables::Made;
use super::*;
use crate::demo::schedule::Schedule;
use crate::demo::world::province;

fn sized(seed: u64, records: u32) -> Plan {
    let today = Schedule::default().first;
    Plan::new(&province(), today, seed, ORGANISATIONS_MIN, records)
}

fn plan(seed: u64) -> Plan {
    sized(seed, 4_000)
}

#[test]
fn a_seed_gives_the_same_content_and_another_seed_other_content() {
    assert_eq!(plan(1), plan(1));
    assert_ne!(plan(1).organisations, plan(2).organisations);
    assert_ne!(plan(1).pushes, plan(2).pushes);
    assert_ne!(plan(1).tables, plan(2).tables);
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
    let timed = |timing| all().filter(|push| push.timing == timing).count();
    assert!(timed(Timing::Late) > 50 && timed(Timing::Backfill) > 10);
    assert!(timed(Timing::InTime) > 3_000);
    let types: HashSet<_> = all().map(|push| &push.record.record_type).collect();
    assert!(types.len() > 20, "{types:?}");
    let mut organisations = plan.organisations.iter();
    assert!(organisations.any(|o| o.subject.starts_with("name-region:")));
}

#[test]
fn thirty_listings_are_on_six_lists() {
    let plan = sized(1, RECORDS_MIN);
    assert_eq!(plan.listings.len(), LISTED);
    let lists: BTreeSet<_> = plan.listings.iter().map(|l| &l.list_type).collect();
    assert_eq!(lists.len(), 6);
    let initiators: BTreeSet<_> = plan.listings.iter().map(|l| l.initiator).collect();
    assert!(initiators.len() >= 6);
    let Special {
        removed,
        wrong,
        upheld,
        short,
        open,
    } = plan.special;
    let places = BTreeSet::from([removed, wrong, upheld, short, open]);
    assert_eq!(places.len(), 5);
    assert!(plan.listings[removed].red);
}

#[test]
fn the_fewest_records_suffice() {
    for seed in 0..5 {
        let plan = sized(seed, RECORDS_MIN);
        assert_eq!(plan.total(), u64::from(RECORDS_MIN));
        for (index, ground) in plan.grounds.iter().enumerate() {
            let initiator = plan.listings[index].initiator;
            let push = &plan.pushes[initiator.index()][*ground];
            assert_eq!(push.record.subject, plan.organisations[index].subject);
            assert_eq!(push.record.record_type, plan.listings[index].ground_type);
            assert_eq!(push.expect, Expect::Accepted);
        }
        assert!(plan.pushes.iter().all(|pushes| pushes.len() > 3));
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
fn nobody_who_is_listed_has_another_serious_record() {
    let (plan, world) = (plan(6), province());
    let listed: HashSet<&str> = plan.organisations[..LISTED]
        .iter()
        .map(|o| o.subject.as_str())
        .collect();
    for (dept, pushes) in plan.pushes.iter().enumerate() {
        for (at, push) in pushes.iter().enumerate() {
            let first = match push.expect {
                Expect::Same { of } | Expect::Retried { of } => of,
                _ => at,
            };
            let item = world.pack.record_type(&push.record.record_type);
            let serious = item.is_some_and(|item| item.serious);
            let mut grounds = plan.listings.iter().zip(&plan.grounds);
            let ground = grounds.any(|(l, at)| l.initiator.index() == dept && *at == first);
            if serious && !ground && push.expect == Expect::Accepted {
                assert!(!listed.contains(push.record.subject.as_str()));
            }
        }
    }
}

#[test]
fn persons_are_only_in_the_fields_that_are_sealed() {
    let (plan, world) = (plan(8), province());
    assert!(!plan.secrets.is_empty());
    for push in plan.pushes.iter().flatten() {
        let item = world.pack.record_type(&push.record.record_type);
        for field in &push.record.fields {
            let rule = item.and_then(|item| item.field(&field.name));
            let sealed = rule.is_some_and(|rule| rule.kind.is_personal());
            assert_eq!(plan.secrets.contains(&field.value), sealed);
        }
        let mut secrets = plan.secrets.iter();
        assert!(!secrets.any(|secret| push.record.subject.contains(secret)));
    }
}

#[test]
fn tables_are_of_three_kinds_and_have_rows_of_every_kind() {
    let plan = sized(1, RECORDS_MIN);
    assert_eq!(plan.tables.len(), 3);
    let whose: BTreeSet<_> = plan.tables.iter().map(|table| table.dept).collect();
    assert_eq!(whose.len(), 3);
    assert!(plan.tables.iter().any(|table| table.made.blank > 0));
    for table in &plan.tables {
        let Made {
            right,
            again,
            wrong,
            faults,
            ..
        } = table.made;
        assert!(right > 40 && again > 0 && wrong >= 7 && faults > wrong);
        let bytes = table.bytes().expect("a table");
        assert!(bytes.len() > 5_000);
    }
}
