use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::date;
use tally_catalog::pack::BuiltIn;

use super::*;

const TODAY: Date = date(2026, 11, 23);

fn world(pack: BuiltIn) -> World {
    World::new(pack.load().expect("a built-in pack is consistent"))
}

fn busy(seed: u64) -> Parameters {
    Parameters {
        seed,
        listings: 2.0,
        ..Parameters::default()
    }
}

fn script(world: &World, parameters: &Parameters) -> Result<Vec<Intended>, ScriptFault> {
    let taking = taking(world, TODAY, parameters)?;
    let organisations = organisations(parameters);
    let script = Script::new(world, TODAY, parameters, &organisations, &taking.pushing)?;
    Ok(script.collect())
}

fn scripted(world: &World, parameters: &Parameters) -> Vec<Intended> {
    script(world, parameters).expect("pack and parameters go together")
}

fn listings(script: &[Intended]) -> Vec<&Listing> {
    script
        .iter()
        .filter_map(|intended| match &intended.operation {
            Operation::Listing(listing) => Some(listing.as_ref()),
            _ => None,
        })
        .collect()
}

#[test]
fn the_same_seed_intends_the_same_and_another_seed_something_else() {
    let world = world(BuiltIn::Province);
    let first = scripted(&world, &busy(3));
    assert!(first.len() > 1_500);
    assert_eq!(first, scripted(&world, &busy(3)));
    let other = scripted(&world, &busy(4));
    assert_ne!(first, other);
    let numbers = |script: &[Intended]| -> BTreeSet<String> {
        let records = script
            .iter()
            .filter_map(|intended| match &intended.operation {
                Operation::Record { record, .. } => Some(record.document_number.clone()),
                Operation::Listing(listing) => Some(listing.ground.document_number.clone()),
                Operation::Check { .. } => None,
            });
        records.collect()
    };
    assert!(
        numbers(&first).is_disjoint(&numbers(&other)),
        "both fit on one mesh"
    );
}

#[test]
fn both_packs_have_a_province_in_them() {
    for pack in [BuiltIn::Small, BuiltIn::Province] {
        let world = world(pack);
        let parameters = busy(1);
        let script = scripted(&world, &parameters);
        assert!(script.is_sorted_by_key(|intended| intended.at));
        let listings = listings(&script);
        assert!(listings.len() > 80, "{}", listings.len());
        let mut subjects = BTreeSet::new();
        for listing in &listings {
            assert!(subjects.insert(&listing.subject), "listed once");
            assert_eq!(listing.ground.subject, listing.subject);
            let list = world.pack.list_type(&listing.list_type).expect("a list");
            assert!(list.grounds.contains(&listing.ground.record_type));
            assert!(list.initiators.contains(world.id(listing.initiator)));
            if let Some(rule) = list.term {
                assert_eq!(rule.check(listing.from, listing.until), Ok(()));
            }
        }
        let mut endings: BTreeMap<String, usize> = BTreeMap::new();
        for listing in &listings {
            if let Some((at, ending)) = listing.ending {
                assert!(at < parameters.lasts);
                *endings.entry(format!("{ending:?}")).or_default() += 1;
            }
        }
        assert!(endings.values().sum::<usize>() > 3, "{endings:?}");
    }
}

#[test]
fn more_than_the_pack_has_is_refused_with_the_number_there_is() {
    let world = world(BuiltIn::Small);
    let departments = Parameters {
        departments: Some(40),
        ..busy(1)
    };
    let fault = script(&world, &departments).expect_err("three departments");
    assert!(fault.to_string().starts_with("--departments"), "{fault}");
    assert!(fault.to_string().contains(" 3 "), "{fault}");
    let responders = Parameters {
        responders: Some(40),
        ..busy(1)
    };
    let fault = script(&world, &responders).expect_err("fewer departments");
    assert!(fault.to_string().starts_with("--responders"), "{fault}");
}

#[test]
fn more_listings_than_organisations_are_refused() {
    let world = world(BuiltIn::Province);
    let few = Parameters {
        subjects: 100,
        ..busy(1)
    };
    let fault = script(&world, &few).expect_err("an organisation is listed once");
    assert!(matches!(fault, ScriptFault::TooFewSubjects { able, .. } if able < 100));
}

#[test]
fn who_lists_takes_part_however_few_do() {
    let world = world(BuiltIn::Province);
    let one = Parameters {
        departments: Some(1),
        ..busy(1)
    };
    let script = scripted(&world, &one);
    let initiators: BTreeSet<Dept> = listings(&script).iter().map(|l| l.initiator).collect();
    assert_eq!(initiators.len(), 1);
}
