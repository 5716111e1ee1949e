use std::sync::Arc;

use tally_domain::policy::DepartmentScope;
use tally_eventlog::event::to_proto_time;

use super::*;

const CITY: &str = "11990100MB0000203C";
const COUNTY: &str = "11990102MB000030XF";

fn policy(change: impl FnOnce(&mut Pack)) -> Policy {
    let mut pack = tally_catalog::pack::embedded().expect("the built-in pack");
    change(&mut pack);
    Policy::new(Arc::new(pack)).expect("a known time zone")
}

fn subject() -> Subject {
    "cn-uscc:9152000071430580XT".parse().expect("valid")
}

fn entry() -> pb::KnownEntry {
    let listed_at: Timestamp = "2026-02-12T02:00:00Z".parse().expect("valid");
    pb::KnownEntry {
        entry_id: "e".to_owned(),
        list_type: "serious-violation".to_owned(),
        initiator: "11990000MB0000107X".to_owned(),
        term_from: "2026-02-01".to_owned(),
        term_until: "2027-01-31".to_owned(),
        listed_at: Some(to_proto_time(listed_at)),
        ..pb::KnownEntry::default()
    }
}

fn pairs(directives: &[pb::Directive]) -> Vec<(&str, &str)> {
    directives
        .iter()
        .map(|made| (made.measure.as_str(), made.department.as_str()))
        .collect()
}

#[test]
fn one_directive_per_measure_and_department() {
    let directives = directives_of(&policy(|_| {}), &subject(), &entry());
    assert_eq!(
        pairs(&directives),
        [
            ("revoke-honour", CITY),
            ("revoke-honour", COUNTY),
            ("exclude-from-funds", CITY),
            ("exclude-from-funds", COUNTY)
        ]
    );
    let first = &directives[0];
    assert_eq!((first.mandatory, first.standing), (false, false));
    assert_eq!(
        (directives[2].mandatory, directives[2].standing),
        (true, true)
    );
    assert_eq!(
        first.acknowledge_by,
        policy(|_| {})
            .deadline(jiff::civil::date(2026, 2, 12), 2)
            .date
            .to_string()
    );
    assert_eq!(
        directives,
        directives_of(&policy(|_| {}), &subject(), &entry())
    );
}

#[test]
fn a_department_without_the_power_gets_none() {
    let policy = policy(|pack| {
        let city = pack
            .departments
            .get_mut(&CITY.parse::<DepartmentId>().expect("valid"))
            .expect("there");
        city.powers.retain(|power| power != "revoke-honour");
    });
    let directives = directives_of(&policy, &subject(), &entry());
    assert!(!pairs(&directives).contains(&("revoke-honour", CITY)));
    assert_eq!(directives.len(), 3);
}

#[test]
fn without_a_basis_in_force_there_is_no_directive() {
    let lapsed = policy(|pack| {
        for basis in pack
            .legal_bases
            .values_mut()
            .filter(|basis| basis.id == "tally-public-funds-rules/9")
        {
            basis.in_force.until = Some(jiff::civil::date(2026, 2, 11));
        }
    });
    assert_eq!(directives_of(&lapsed, &subject(), &entry()).len(), 2);
    let narrowed = policy(|pack| {
        for basis in pack
            .legal_bases
            .values_mut()
            .filter(|basis| basis.id == "tally-public-funds-rules/9")
        {
            basis.departments = DepartmentScope::Listed(vec![CITY.parse().expect("valid")]);
        }
    });
    assert_eq!(directives_of(&narrowed, &subject(), &entry()).len(), 3);
    let person: Subject = "person:00000000-0000-4000-8000-000000000001"
        .parse()
        .expect("valid");
    assert_eq!(directives_of(&policy(|_| {}), &person, &entry()), []);
}

#[test]
fn a_memorandum_that_is_over_triggers_nothing() {
    let over = policy(|pack| {
        for memorandum in pack.memoranda.values_mut() {
            memorandum.in_force.until = Some(jiff::civil::date(2026, 2, 11));
        }
    });
    assert_eq!(directives_of(&over, &subject(), &entry()), []);
}

#[test]
fn a_listing_whose_term_is_over_triggers_nothing() {
    let until = |text: &str| pb::KnownEntry {
        term_until: text.to_owned(),
        ..entry()
    };
    assert_eq!(
        directives_of(&policy(|_| {}), &subject(), &until("2026-02-11")),
        []
    );
    assert_eq!(
        directives_of(&policy(|_| {}), &subject(), &until("2026-02-12")).len(),
        4
    );
    assert_eq!(
        directives_of(&policy(|_| {}), &subject(), &until("")).len(),
        4
    );
}

#[test]
fn without_the_measures_own_basis_in_force_there_is_no_directive() {
    // The memorandum gives the department another basis, which stands.
    let lapsed = policy(|pack| {
        let measure = pack.measures.get_mut("revoke-honour").expect("there");
        measure.legal_basis = "tally-interim-measures/3@1".parse().expect("valid");
    });
    assert_eq!(
        pairs(&directives_of(&lapsed, &subject(), &entry())),
        [("exclude-from-funds", CITY), ("exclude-from-funds", COUNTY)]
    );
}
