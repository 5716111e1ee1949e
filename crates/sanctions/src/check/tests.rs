use std::sync::Arc;

use jiff::civil::date;
use tally_domain::policy::Pack;
use tally_eventlog::pb::LegalBasisRef;

use super::*;

const US: &str = "cn-uscc:9152000071430580XT";
const OTHER: &str = "cn-orgcode:71430580-X";
const NINE: ListsBasis = ListsBasis {
    records: 9,
    log_id: uuid::Uuid::from_u128(9),
};
const WALL: Timestamp = Timestamp::UNIX_EPOCH;

struct Case {
    policy: Policy,
    known: Known,
    today: LegalDate,
    department: &'static str,
    purpose: &'static str,
    token: Token,
}

fn entry(id: &str) -> pb::KnownEntry {
    pb::KnownEntry {
        entry_id: id.to_owned(),
        list_type: "serious-violation".to_owned(),
        initiator: "11990000MB0000107X".to_owned(),
        term_from: "2026-02-01".to_owned(),
        term_until: "2026-03-31".to_owned(),
        legal_basis: Some(LegalBasisRef {
            id: "tally-credit-regulations/20".to_owned(),
            version: 1,
        }),
        standing: pb::Standing::Listed.into(),
        ..pb::KnownEntry::default()
    }
}

fn seen(shard: u16, entries: Vec<pb::KnownEntry>, linked: &[&str]) -> Seen {
    let links = linked.iter().map(|subject| pb::KnownLink {
        subject: (*subject).to_owned(),
        department: "11990000MB0000107X".to_owned(),
        legal_basis: Some(LegalBasisRef {
            id: "tally-credit-regulations/12".to_owned(),
            version: 1,
        }),
    });
    Seen {
        shard: Shard(shard),
        reader: ReaderSeen {
            lists: NINE,
            seen_at: Some(WALL),
            stopped: false,
            parked: false,
        },
        row: Some(pb::SubjectRow {
            entries,
            links: links.collect(),
        }),
    }
}

fn given(known: impl IntoIterator<Item = (&'static str, Seen)>) -> Case {
    let pack = tally_catalog::pack::embedded().expect("the built-in pack");
    Case {
        policy: Policy::new(Arc::new(pack)).expect("a known time zone"),
        known: known
            .into_iter()
            .map(|(subject, seen)| (subject.to_owned(), seen))
            .collect(),
        today: date(2026, 3, 2),
        department: "11990100MB0000203C",
        purpose: "procurement",
        token: Token::Reached,
    }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn pack(self, change: impl FnOnce(&mut Pack)) -> Self {
        let mut pack = (*self.policy.pack).clone();
        change(&mut pack);
        Self {
            policy: Policy::new(Arc::new(pack)).expect("a known time zone"),
            ..self
        }
    }

    fn when_asked(&self) -> Verdict {
        let asked = Asked {
            subject: US,
            subject_type: SubjectType::Organisation,
            department: &self.department.parse().expect("valid"),
            purpose: self.purpose,
            policy: &self.policy,
            today: self.today,
            wall: WALL,
            freshness: Duration::from_secs(5),
            token: self.token,
        };
        evaluate(&asked, &self.known)
    }

    fn outcome(&self) -> pb::CheckOutcome {
        self.when_asked().outcome
    }

    fn reason(&self) -> &'static str {
        let verdict = self.when_asked();
        assert_eq!(
            (verdict.outcome, verdict.entries.len()),
            (pb::CheckOutcome::Undetermined, 0)
        );
        verdict.undetermined_reason
    }
}

fn listed() -> Case {
    given([(US, seen(3, vec![entry("e")], &[]))])
}

#[test]
fn nothing_known_is_clear() {
    let verdict = given([(US, seen(3, vec![], &[]))]).when_asked();
    assert_eq!(
        (verdict.outcome, verdict.shards),
        (pb::CheckOutcome::Clear, vec![(Shard(3), NINE)])
    );
}

#[test]
fn what_is_listed_is_in_force_with_the_measures_of_the_asking_department() {
    let verdict = listed().when_asked();
    assert_eq!(verdict.outcome, pb::CheckOutcome::InForce);
    let found = &verdict.entries[0];
    assert!(!found.red && !found.by_link);
    let measures: Vec<_> = found
        .measures
        .iter()
        .map(|measure| measure.measure.as_str())
        .collect();
    assert_eq!(measures, ["exclude-from-funds"]);
    assert!(found.measures[0].mandatory && found.measures[0].standing);
    let province = listed()
        .with(|case| case.department = "11990000MB0000107X")
        .when_asked();
    assert_eq!(
        (province.outcome, province.entries[0].measures.len()),
        (pb::CheckOutcome::InForce, 0)
    );
    let other_purpose = listed().with(|case| case.purpose = "licence").when_asked();
    assert_eq!(other_purpose.entries[0].measures.len(), 0);
}

#[test]
fn the_term_decides_by_the_day_and_not_by_a_flag() {
    let on = |day| listed().with(|case| case.today = day).outcome();
    assert_eq!(on(date(2026, 1, 31)), pb::CheckOutcome::Clear);
    assert_eq!(on(date(2026, 2, 1)), pb::CheckOutcome::InForce);
    assert_eq!(on(date(2026, 3, 31)), pb::CheckOutcome::InForce);
    assert_eq!(on(date(2026, 4, 1)), pb::CheckOutcome::Clear);
}

#[test]
fn suspended_and_ended_entries_are_not_in_force() {
    for standing in [pb::Standing::Suspended, pb::Standing::Ended] {
        let entry = pb::KnownEntry {
            standing: standing.into(),
            ..entry("e")
        };
        assert_eq!(
            given([(US, seen(3, vec![entry], &[]))]).outcome(),
            pb::CheckOutcome::Clear
        );
    }
}

#[test]
fn a_listing_falls_with_its_legal_basis() {
    let lapsed = listed().pack(|pack| {
        for basis in pack
            .legal_bases
            .values_mut()
            .filter(|basis| basis.id == "tally-credit-regulations/20")
        {
            basis.in_force.until = Some(date(2026, 3, 1));
        }
    });
    assert_eq!(lapsed.outcome(), pb::CheckOutcome::Clear);
}

#[test]
fn a_measure_falls_with_its_basis_memorandum_or_power() {
    let measures = |case: Case| {
        let verdict = case.when_asked();
        assert_eq!(verdict.outcome, pb::CheckOutcome::InForce);
        verdict.entries[0].measures.len()
    };
    assert_eq!(measures(listed()), 1);
    let until = Some(date(2026, 3, 1));
    assert_eq!(
        measures(listed().pack(|pack| {
            pack.legal_bases
                .values_mut()
                .filter(|basis| basis.id == "tally-public-funds-rules/9")
                .for_each(|basis| basis.in_force.until = until);
        })),
        0
    );
    assert_eq!(
        measures(listed().pack(|pack| {
            pack.memoranda
                .values_mut()
                .for_each(|known| known.in_force.until = until)
        })),
        0
    );
    assert_eq!(
        measures(listed().pack(|pack| {
            pack.departments
                .values_mut()
                .for_each(|known| known.powers.clear())
        })),
        0
    );
}

#[test]
fn links_are_followed_and_named() {
    let linked = [
        (US, seen(3, vec![], &[OTHER])),
        (OTHER, seen(5, vec![entry("e")], &[US])),
    ];
    let verdict = given(linked).when_asked();
    assert_eq!(verdict.outcome, pb::CheckOutcome::InForce);
    assert!(verdict.entries[0].by_link);
    assert_eq!(verdict.entries[0].subject, OTHER);
    assert_eq!(verdict.shards, [(Shard(3), NINE), (Shard(5), NINE)]);
    let unlinked = [
        (US, seen(3, vec![], &[])),
        (OTHER, seen(5, vec![entry("e")], &[])),
    ];
    assert_eq!(given(unlinked).outcome(), pb::CheckOutcome::Clear);
}

#[test]
fn links_without_end_are_undetermined() {
    let unknown = given([(US, seen(3, vec![], &[OTHER]))]);
    assert_eq!(unknown.reason(), "TOO_MANY_LINKS");
}

#[test]
fn a_doubt_is_never_an_answer() {
    let with_reader = |change: fn(&mut ReaderSeen)| {
        let mut ours = seen(3, vec![entry("e")], &[]);
        change(&mut ours.reader);
        given([(US, ours)]).reason()
    };
    assert_eq!(
        with_reader(|reader| reader.stopped = true),
        "READER_STOPPED"
    );
    assert_eq!(with_reader(|reader| reader.parked = true), "SUBJECT_PARKED");
    assert_eq!(with_reader(|reader| reader.seen_at = None), "READER_BEHIND");
    assert_eq!(
        with_reader(|reader| reader.seen_at = Some(WALL - Duration::from_millis(5_001))),
        "READER_BEHIND"
    );
    assert_eq!(
        with_reader(|reader| reader.seen_at = Some(WALL + Duration::from_millis(5_001))),
        "READER_BEHIND"
    );
    assert_eq!(
        listed()
            .with(|case| case.token = Token::NotReached)
            .reason(),
        "TOKEN_NOT_REACHED"
    );
    let unreadable = Seen {
        row: None,
        ..seen(3, vec![], &[])
    };
    assert_eq!(given([(US, unreadable)]).reason(), "ROW_UNREADABLE");
    let mut linked = seen(5, vec![], &[US]);
    linked.reader.parked = true;
    assert_eq!(
        given([(US, seen(3, vec![], &[OTHER])), (OTHER, linked)]).reason(),
        "SUBJECT_PARKED"
    );
}

#[test]
fn knowledge_at_the_bound_is_fresh_enough() {
    let mut ours = seen(3, vec![entry("e")], &[]);
    ours.reader.seen_at = Some(WALL - Duration::from_secs(5));
    assert_eq!(given([(US, ours)]).outcome(), pb::CheckOutcome::InForce);
}

#[test]
fn what_may_be_done_in_doubt_is_said_per_measure() {
    let verdict = listed()
        .with(|case| case.token = Token::NotReached)
        .when_asked();
    let actions: Vec<_> = verdict
        .when_undetermined
        .iter()
        .map(|may| (may.measure.as_str(), may.action.as_str()))
        .collect();
    assert_eq!(actions, [("exclude-from-funds", "refer")]);
}

#[test]
fn a_link_leads_on_only_while_its_basis_is_in_force() {
    let linked = || {
        given([
            (US, seen(1, vec![], &[OTHER])),
            (OTHER, seen(2, vec![entry("e")], &[US])),
        ])
    };
    let answer = linked().when_asked();
    assert_eq!(answer.outcome, pb::CheckOutcome::InForce);
    let lapsed = |case: &mut Case| {
        let row = case.known.get_mut(US).and_then(|seen| seen.row.as_mut());
        let link = &mut row.expect("a row").links[0];
        let basis = link.legal_basis.as_mut().expect("a basis");
        basis.id = "tally-interim-measures/3".to_owned();
    };
    let answer = linked().with(lapsed).when_asked();
    assert_eq!(answer.outcome, pb::CheckOutcome::Clear);
    assert_eq!(
        answer.shards.len(),
        1,
        "the other identifier is not looked at"
    );
    let without = |case: &mut Case| {
        let row = case.known.get_mut(US).and_then(|seen| seen.row.as_mut());
        row.expect("a row").links[0].legal_basis = None;
    };
    let answer = linked().with(without).when_asked();
    assert_eq!(answer.outcome, pb::CheckOutcome::Clear);
}
