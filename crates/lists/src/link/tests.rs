//! When identifiers are linked and unlinked, and by whom.

use tally_domain::department::OfficerId;
use tally_eventlog::aggregate::given;

use super::*;
use crate::testing::basis;

const CITY: &str = "11990100MB0000203C";
const COUNTY: &str = "11990102MB000030XF";

fn officer(department: &str) -> Officer {
    Officer {
        department: department.parse().expect("valid"),
        id: OfficerId(Uuid::from_u128(1)),
    }
}

fn evidence() -> DocumentRef {
    DocumentRef {
        number: "Evidence 1".into(),
        ..DocumentRef::default()
    }
}

fn link(competent: bool) -> Command {
    Command::Link {
        by: officer(CITY),
        competent,
        linked_subject: "b".into(),
        evidence: evidence(),
        basis: basis(),
        basis_verdict: Ok(()),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn unlink(department: &str, province_level: bool) -> Command {
    Command::Unlink {
        by: officer(department),
        province_level,
        linked_subject: "b".into(),
        reason: "another company".into(),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn linked() -> Event {
    let department = Some(CITY.parse().expect("valid"));
    let fact = Fact::Linked {
        linked_subject: "b".into(),
        evidence: evidence(),
        department,
    };
    Event {
        at: Timestamp::UNIX_EPOCH,
        basis: Some(basis()),
        fact,
    }
}

fn unlinked() -> Event {
    let fact = Fact::Unlinked {
        linked_subject: "b".into(),
        reason: "another company".into(),
    };
    Event {
        at: Timestamp::UNIX_EPOCH,
        basis: None,
        fact,
    }
}

#[test]
fn a_pair_has_one_order_and_two_members() {
    let code: Subject = "cn-orgcode:71430580X".parse().expect("valid");
    let uscc: Subject = "cn-uscc:9152000071430580XT".parse().expect("valid");
    assert_eq!(Pair::of(&code, &uscc), Pair::of(&uscc, &code));
    assert_eq!(Pair::of(&code, &code), None);
}

#[test]
fn linked_once_and_unlinked_once() {
    assert_eq!(given::<Link>([]).when(link(true)), Ok(vec![linked()]));
    assert_eq!(
        given::<Link>([linked()]).when(link(true)),
        Err(Rejection::AlreadyLinked)
    );
    assert_eq!(
        given::<Link>([linked()]).when(unlink(CITY, false)),
        Ok(vec![unlinked()])
    );
    assert_eq!(
        given::<Link>([]).when(unlink(CITY, false)),
        Err(Rejection::NotLinked)
    );
    assert_eq!(
        given::<Link>([linked(), unlinked()]).when(unlink(CITY, false)),
        Err(Rejection::NotLinked)
    );
    assert_eq!(
        given::<Link>([linked(), unlinked()]).when(link(true)),
        Ok(vec![linked()])
    );
}

#[test]
fn who_may_not() {
    assert_eq!(
        given::<Link>([]).when(link(false)),
        Err(Rejection::NotCompetent)
    );
    assert_eq!(
        given::<Link>([linked()]).when(unlink(COUNTY, false)),
        Err(Rejection::OtherDepartment)
    );
    assert_eq!(
        given::<Link>([linked()]).when(unlink(COUNTY, true)),
        Ok(vec![unlinked()])
    );
    assert_eq!(
        Fault::from(Rejection::NotCompetent).reason(),
        "RIGHT_MISSING"
    );
}

#[test]
fn no_link_without_a_basis_in_force() {
    let expired = BasisFault::Expired {
        id: "x".into(),
        version: 1,
        until: jiff::civil::date(2026, 3, 1),
    };
    let mut lapsed = link(true);
    if let Command::Link { basis_verdict, .. } = &mut lapsed {
        *basis_verdict = Err(expired.clone());
    }
    let rejection = Rejection::Basis(expired);
    assert_eq!(rejection.reason(), "LEGAL_BASIS_NOT_IN_FORCE");
    assert_eq!(given::<Link>([]).when(lapsed), Err(rejection));
}

#[test]
fn a_mirror_follows_and_is_idempotent() {
    assert_eq!(
        given::<Link>([]).when(Command::Mirror(linked())),
        Ok(vec![linked()])
    );
    assert_eq!(
        given::<Link>([linked()]).when(Command::Mirror(linked())),
        Ok(Vec::new())
    );
    assert_eq!(
        given::<Link>([linked()]).when(Command::Mirror(unlinked())),
        Ok(vec![unlinked()])
    );
    assert_eq!(
        given::<Link>([]).when(Command::Mirror(unlinked())),
        Ok(Vec::new())
    );
}
