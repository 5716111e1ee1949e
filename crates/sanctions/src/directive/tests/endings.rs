use super::*;

#[test]
fn what_ends_ends_from_every_state() {
    let declined = happened(EventKind::Declined {
        grounds: "x".to_owned(),
    });
    assert_eq!(after([]).when(lift()), Ok(vec![lifted(false)]));
    assert_eq!(
        after([received(), declined]).when(lift()),
        Ok(vec![lifted(false)])
    );
    assert_eq!(
        after([received(), executed()]).when(lift()),
        Ok(vec![lifted(true)])
    );
    assert_eq!(
        after([received(), executed(), suspended()]).when(lift()),
        Ok(vec![lifted(true)])
    );
    assert_eq!(after([lifted(false)]).when(lift()), Ok(vec![]));
    for step in [acknowledge(), start(), execute(), decline(None)] {
        assert_eq!(
            after([received(), lifted(false)]).when(step),
            Err(Rejection::Lifted)
        );
    }
}

#[test]
fn every_lift_is_confirmed_also_of_what_nobody_acknowledged() {
    let confirmed = |document| Ok(vec![happened(EventKind::LiftConfirmed { document })]);
    assert_eq!(after([lifted(false)]).when(confirm(None)), confirmed(None));
    let undone = [received(), executed(), lifted(true)];
    assert_eq!(
        after(undone.clone()).when(confirm(None)),
        Err(Rejection::UndoNeedsDocument)
    );
    assert_eq!(
        after(undone).when(confirm(Some(document()))),
        confirmed(Some(document()))
    );
    let over = [
        lifted(false),
        happened(EventKind::LiftConfirmed { document: None }),
    ];
    assert_eq!(
        after(over).when(confirm(None)),
        Err(Rejection::LiftConfirmed)
    );
}

#[test]
fn the_present_state_for_the_contract() {
    let state = |events: Vec<Event>| after(events).state.present().expect("made").state();
    assert_eq!(state(vec![]), pb::DirectiveState::Triggered);
    assert_eq!(
        state(vec![received(), suspended()]),
        pb::DirectiveState::Suspended
    );
    let over = after([lifted(false)]).state.present().expect("made");
    assert_eq!(
        (over.state(), over.lift_reason()),
        (pb::DirectiveState::Lifted, LiftReason::Removed)
    );
}
