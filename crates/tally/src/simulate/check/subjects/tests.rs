use super::*;

/// The memorandum of these tests: two departments, one measure.
fn due(list_type: &str, from: &str) -> Vec<Measured> {
    assert_eq!((list_type, from), ("black", "2026-03-02"));
    ["D1", "D2"]
        .map(|whose| ("ban".to_owned(), whose.to_owned()))
        .to_vec()
}

fn row(about: About, position: u64) -> SubjectRow {
    SubjectRow {
        about: about.into(),
        subject: "S".to_owned(),
        shard: 1,
        position,
        ..SubjectRow::default()
    }
}

fn id(name: String) -> Bytes {
    Bytes::from(name)
}

fn listed(about: About, entry: &str, position: u64) -> SubjectRow {
    SubjectRow {
        event: id(format!("lists {position}")),
        entry: entry.to_owned(),
        ..row(about, position)
    }
}

/// A directive of an entry for a department, drawn from a position of `lists`.
fn directive(entry: &str, whose: &str, position: u64, cause: u64) -> SubjectRow {
    SubjectRow {
        event: id(format!("sanctions {position}")),
        cause: id(format!("lists {cause}")),
        entry: entry.to_owned(),
        directive: format!("{entry} {whose}"),
        what: "ban".to_owned(),
        whose: whose.to_owned(),
        ..row(About::Triggered, position)
    }
}

/// What else there is of a directive: its item, its report.
fn of_directive(about: About, made: &SubjectRow, position: u64) -> SubjectRow {
    SubjectRow {
        cause: made.event.clone(),
        directive: made.directive.clone(),
        whose: made.whose.clone(),
        ..row(about, position)
    }
}

/// Two entries of the ledger, listed one after the other, with all that follows.
fn history() -> Vec<SubjectRow> {
    let mut rows = Vec::new();
    for (number, entry) in ["E1", "E2"].into_iter().enumerate() {
        let at = 10 * number as u64;
        rows.push(SubjectRow {
            what: "black".to_owned(),
            whose: "2026-03-02".to_owned(),
            ..listed(About::Ours, entry, 0)
        });
        rows.push(listed(About::OtherOfLists, entry, at));
        rows.push(listed(About::Listed, entry, at + 1));
        for (number, whose) in ["D1", "D2"].into_iter().enumerate() {
            let made = directive(entry, whose, at + number as u64, at + 1);
            rows.push(of_directive(About::Item, &made, made.position));
            rows.push(of_directive(About::Due, &made, at + number as u64));
            rows.push(made);
        }
    }
    rows
}

fn judged(rows: Vec<SubjectRow>) -> (Consequences, Faults) {
    let (mut counts, mut faults) = (Consequences::default(), Faults::default());
    let read = BTreeSet::from(["D1".to_owned(), "D2".to_owned()]);
    let rule = Rule {
        due: &due,
        read: &read,
    };
    judge(rows, &rule, &mut counts, &mut faults);
    (counts, faults)
}

/// The history with something done to it has this one fault.
fn only(kind: FaultKind, change: impl FnOnce(&mut Vec<SubjectRow>)) -> String {
    let mut rows = history();
    change(&mut rows);
    let (_, faults) = judged(rows);
    assert_eq!((faults.of(kind), faults.total()), (1, 1), "{faults:?}");
    faults.named()[0].clone()
}

fn find(rows: &[SubjectRow], about: About, directive: &str) -> usize {
    let found = rows
        .iter()
        .position(|row| row.about() == about && row.directive == directive);
    found.expect("it is in the history")
}

#[test]
fn a_whole_history_holds_in_whatever_order_it_is_told() {
    let (counts, faults) = judged(history());
    assert_eq!(faults, Faults::default());
    assert_eq!(
        (counts.listings, counts.directives, counts.items),
        (2, 4, 4)
    );
    let mut rows = history();
    rows.reverse();
    assert_eq!(judged(rows).1, Faults::default());
}

#[test]
fn a_directive_that_is_not_there_is_missing() {
    let named = only(FaultKind::Missing, |rows| {
        rows.retain(|row| row.directive != "E2 D1");
    });
    assert!(named.contains("E2") && named.contains("D1"), "{named}");
}

#[test]
fn a_directive_made_twice_is_one_too_many() {
    only(FaultKind::TooMany, |rows| {
        let made = SubjectRow {
            directive: "E1 D1 again".to_owned(),
            ..directive("E1", "D1", 30, 11)
        };
        rows.push(of_directive(About::Item, &made, 30));
        rows.push(of_directive(About::Due, &made, 30));
        rows.push(made);
    });
}

#[test]
fn directives_of_an_entry_that_was_never_listed_are_too_many() {
    let mut rows = history();
    rows.retain(|row| row.about() != About::Listed || row.entry != "E1");
    let (counts, faults) = judged(rows);
    // And they are drawn from nothing that is there.
    assert_eq!(
        (faults.of(FaultKind::TooMany), faults.total()),
        (4, 4),
        "{faults:?}"
    );
    assert_eq!(counts.listings, 1);
}

#[test]
fn a_listing_never_answered_and_not_there_gives_no_directive() {
    let ours = SubjectRow {
        what: "black".to_owned(),
        whose: "2026-03-02".to_owned(),
        ..listed(About::Ours, "E3", 0)
    };
    let (counts, faults) = judged(vec![ours]);
    assert_eq!(
        (counts, faults),
        (Consequences::default(), Faults::default())
    );
}

#[test]
fn directives_in_another_order_than_their_listings_are_out_of_order() {
    // The second listing's come first.
    only(FaultKind::Order, |rows| {
        for row in rows.iter_mut() {
            let drawn = matches!(row.about(), About::Triggered | About::Item | About::Due);
            if drawn && row.directive == "E1 D2" {
                row.position += 40;
                if row.about() == About::Due {
                    row.cause = id("sanctions 41".to_owned());
                } else if row.about() == About::Triggered {
                    row.event = id("sanctions 41".to_owned());
                }
            }
        }
    });
}

#[test]
fn reports_in_another_order_than_their_directives_are_out_of_order() {
    only(FaultKind::Order, |rows| {
        let first = find(rows, About::Due, "E1 D1");
        rows[first].position = 50;
    });
}

#[test]
fn an_item_of_a_mailbox_is_there_once() {
    only(FaultKind::Missing, |rows| {
        let item = find(rows, About::Item, "E1 D1");
        rows.remove(item);
    });
    only(FaultKind::Twice, |rows| {
        let item = rows[find(rows, About::Item, "E1 D1")].clone();
        rows.push(item);
    });
    only(FaultKind::TooMany, |rows| {
        let mut item = rows[find(rows, About::Item, "E1 D1")].clone();
        item.position = 77;
        rows.push(item);
    });
}

#[test]
fn a_report_is_due_once() {
    only(FaultKind::Missing, |rows| {
        let report = find(rows, About::Due, "E2 D2");
        rows.remove(report);
    });
    only(FaultKind::Twice, |rows| {
        let report = rows[find(rows, About::Due, "E2 D2")].clone();
        rows.push(report);
    });
}
