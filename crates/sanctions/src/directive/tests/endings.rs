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

#[test]
fn what_a_restored_log_lost_the_listing_of_is_withheld_until_it_is_decided_again() {
    let withhold = || Command::Withhold { at: AT };
    let withheld = || happened(EventKind::Withheld);
    let trigger = || Command::Trigger {
        directive: Box::new(made()),
        at: AT,
    };
    let resumed = |stage| Ok(vec![happened(EventKind::Resumed { stage })]);
    assert_eq!(after([received()]).when(withhold()), Ok(vec![withheld()]));
    assert_eq!(
        after([received(), withheld()]).when(execute()),
        Err(Rejection::Suspended)
    );
    assert_eq!(after([withheld()]).when(withhold()), Ok(vec![]));
    // Where the department was is where it goes on: nothing is executed twice.
    let executed_before = [received(), executed(), withheld()];
    assert_eq!(
        after(executed_before).when(trigger()),
        resumed(Stage::Executed)
    );
    // What was suspended stays so, whoever lists again.
    assert_eq!(after([suspended()]).when(withhold()), Ok(vec![]));
    // A listing that comes again by itself resumes nothing that lists suspended.
    assert_eq!(after([suspended()]).when(trigger()), Ok(vec![]));
    let again = happened(EventKind::Resumed {
        stage: Stage::Triggered,
    });
    assert_eq!(
        after([withheld(), again, suspended()]).when(trigger()),
        Ok(vec![])
    );
    assert_eq!(after([lifted(false)]).when(withhold()), Ok(vec![]));
}
