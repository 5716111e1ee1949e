use jiff::civil::date;
use prost::Message;
use tally_eventlog::event::to_proto_time;
use tally_eventlog::shard::Shard;
use tally_service::logs;
use uuid::Uuid;

use super::*;

const INITIATOR: &str = "11990000MB0000107X";
const MOUTAI: &str = "cn-uscc:9152000071430580XT";
const ENTRY: &str = "0194f0a0-0000-7000-8000-000000000001";

fn small() -> Policy {
    let pack = tally_catalog::pack::embedded().expect("the embedded pack is sound");
    Policy::new(pack.into()).expect("a time zone")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

fn event(
    subject: &str,
    stream: &str,
    event_type: &str,
    effective_at: &str,
    payload: &impl Message,
) -> Recorded {
    let effective_at = at(effective_at);
    Recorded {
        log: logs::LISTS,
        log_id: Uuid::nil(),
        shard: Shard(0),
        position: 0,
        recorded_at: effective_at,
        effective_at,
        leaf: [0; 32],
        envelope: log::Envelope {
            stream_id: stream.to_owned(),
            event_type: event_type.to_owned(),
            subject: subject.to_owned(),
            actor: Some(log::Actor {
                department: INITIATOR.to_owned(),
                ..Default::default()
            }),
            effective_at: Some(to_proto_time(effective_at)),
            payload: payload.encode_to_vec().into(),
            ..Default::default()
        },
    }
}

fn listed_on(basis: &str, version: u32) -> Recorded {
    let payload = lists::EntryListed {
        list_type: "serious-violation".to_owned(),
        term_from: "2011-02-18".to_owned(),
        term_until: "2013-02-17".to_owned(),
        ..Default::default()
    };
    let mut listed = event(
        MOUTAI,
        ENTRY,
        event_type::LISTED,
        "2011-02-17T16:00:00Z",
        &payload,
    );
    listed.envelope.legal_basis = Some(log::LegalBasisRef {
        id: basis.to_owned(),
        version,
    });
    listed
}

fn listed() -> Recorded {
    listed_on("tally-credit-regulations/20", 1)
}

fn fold(events: impl IntoIterator<Item = Recorded>) -> Fold {
    let mut fold = Fold::everyone();
    for event in events {
        fold.apply(&event).expect("folds");
    }
    fold
}

fn holds(fold: &Fold, on: LegalDate) -> bool {
    let policy = small();
    !fold.in_force(&Day::new(on, &policy), &policy).is_empty()
}

#[test]
fn in_force_from_the_first_to_the_last_day_of_the_term() {
    let fold = fold([listed()]);
    for (on, expected) in [
        (date(2011, 2, 17), false),
        (date(2011, 2, 18), true),
        (date(2012, 6, 1), true),
        (date(2013, 2, 17), true),
        (date(2013, 2, 18), false),
    ] {
        assert_eq!(holds(&fold, on), expected, "{on}");
    }
    let policy = small();
    let found = fold.in_force(&Day::new(date(2012, 6, 1), &policy), &policy);
    assert_eq!(
        (found[0].entry_id.as_str(), found[0].initiator.as_str()),
        (ENTRY, INITIATOR)
    );
}

#[test]
fn a_suspension_holds_at_the_end_of_its_day_until_it_is_upheld() {
    let suspended = lists::EntrySuspended::default();
    let upheld = lists::EntryUpheld::default();
    let fold = fold([
        listed(),
        event(
            MOUTAI,
            ENTRY,
            event_type::SUSPENDED,
            "2012-03-01T02:00:00Z",
            &suspended,
        ),
        event(
            MOUTAI,
            ENTRY,
            event_type::UPHELD,
            "2012-04-01T02:00:00Z",
            &upheld,
        ),
    ]);
    assert!(holds(&fold, date(2012, 2, 29)));
    assert!(!holds(&fold, date(2012, 3, 1)));
    assert!(!holds(&fold, date(2012, 3, 31)));
    assert!(holds(&fold, date(2012, 4, 1)));
}

#[test]
fn corrected_out_never_held_and_removed_held_until_then() {
    let corrected = lists::EntryCorrectedOut::default();
    let listing_time = "2011-02-17T16:00:00Z";
    let wrong = fold([
        listed(),
        event(
            MOUTAI,
            ENTRY,
            event_type::CORRECTED_OUT,
            listing_time,
            &corrected,
        ),
    ]);
    assert!(!holds(&wrong, date(2011, 2, 18)) && !holds(&wrong, date(2012, 6, 1)));
    let removed = lists::EntryRemoved::default();
    let gone = fold([
        listed(),
        event(
            MOUTAI,
            ENTRY,
            event_type::REMOVED,
            "2012-06-01T02:00:00Z",
            &removed,
        ),
    ]);
    assert!(holds(&gone, date(2012, 5, 31)) && !holds(&gone, date(2012, 6, 1)));
}

#[test]
fn what_is_learned_later_overrides_from_its_own_time_on() {
    let suspended = lists::EntrySuspended::default();
    let removed = lists::EntryRemoved::default();
    let fold = fold([
        listed(),
        event(
            MOUTAI,
            ENTRY,
            event_type::SUSPENDED,
            "2012-06-01T02:00:00Z",
            &suspended,
        ),
        event(
            MOUTAI,
            ENTRY,
            event_type::REMOVED,
            "2012-03-01T02:00:00Z",
            &removed,
        ),
    ]);
    assert!(holds(&fold, date(2012, 2, 29)) && !holds(&fold, date(2012, 3, 1)));
    let (day, policy) = (date(2012, 6, 1), small());
    assert_eq!(
        fold.entries[ENTRY]
            .status
            .before(Day::new(day, &policy).end),
        Some(&Status::Over)
    );
}

#[test]
fn without_a_legal_basis_on_that_day_nothing_is_in_force() {
    // Lapsed at the end of 2015, open to all departments.
    let mut lapsing = listed_on("tally-interim-measures/3", 1);
    lapsing.envelope.payload = lists::EntryListed {
        list_type: "serious-violation".to_owned(),
        term_from: "2015-01-01".to_owned(),
        ..Default::default()
    }
    .encode_to_vec()
    .into();
    let fold_lapsing = fold([lapsing]);
    assert!(holds(&fold_lapsing, date(2015, 12, 31)));
    assert!(!holds(&fold_lapsing, date(2016, 1, 1)));
    assert!(!holds(
        &fold([listed_on("tally-credit-regulations/20", 2)]),
        date(2012, 6, 1)
    ));
    let mut without = listed();
    without.envelope.legal_basis = None;
    assert!(!holds(&fold([without]), date(2012, 6, 1)));
}

#[test]
fn links_hold_from_their_day_until_they_are_taken_back() {
    let other = "cn-orgcode:71430580X".to_owned();
    let linked = lists::IdentifierLinked {
        linked_subject: other.clone(),
        department: INITIATOR.to_owned(),
        ..Default::default()
    };
    let unlinked = lists::IdentifierUnlinked {
        linked_subject: other.clone(),
        ..Default::default()
    };
    let stated = |basis: &str| {
        let day = "2012-03-01T02:00:00Z";
        let mut stated = event(MOUTAI, "link", event_type::LINKED, day, &linked);
        stated.envelope.legal_basis = Some(log::LegalBasisRef {
            id: basis.to_owned(),
            version: 1,
        });
        stated
    };
    let taken_back = event(
        MOUTAI,
        "link",
        event_type::UNLINKED,
        "2016-04-01T02:00:00Z",
        &unlinked,
    );
    let policy = small();
    let on = |fold: &Fold, day| {
        fold.linked(MOUTAI, &Day::new(day, &policy), &policy)
            .into_iter()
            .collect::<Vec<_>>()
    };
    let held = fold([stated("tally-credit-regulations/12"), taken_back]);
    assert!(on(&held, date(2012, 2, 29)).is_empty());
    assert_eq!(on(&held, date(2012, 3, 1)), [other.as_str()]);
    assert_eq!(on(&held, date(2016, 3, 31)), [other.as_str()]);
    assert!(on(&held, date(2016, 4, 1)).is_empty());

    // What rests on a basis ends with it: this one at the end of 2015.
    let lapsing = fold([stated("tally-interim-measures/3")]);
    assert_eq!(on(&lapsing, date(2015, 12, 31)), [other]);
    assert!(on(&lapsing, date(2016, 1, 1)).is_empty());
    let mut without = stated("tally-credit-regulations/12");
    without.envelope.legal_basis = None;
    assert!(on(&fold([without]), date(2012, 3, 1)).is_empty());
}

#[test]
fn a_fold_about_one_subject_passes_the_others_over() {
    let mut about = Fold::about("cn-uscc:91110000710926094P");
    about.apply(&listed()).expect("passes over");
    assert!(about.entries.is_empty());
}

#[test]
fn an_event_of_a_newer_version_is_not_passed_over() {
    let unknown = event(
        MOUTAI,
        ENTRY,
        "tally.lists.v1.EntryForgotten",
        "2012-03-01T02:00:00Z",
        &(),
    );
    assert!(matches!(
        Fold::everyone().apply(&unknown),
        Err(FoldFault::UnknownType(_))
    ));
    let known = event(
        MOUTAI,
        ENTRY,
        "tally.lists.v1.EntryNominated",
        "2012-03-01T02:00:00Z",
        &(),
    );
    Fold::everyone().apply(&known).expect("passed over");
}
