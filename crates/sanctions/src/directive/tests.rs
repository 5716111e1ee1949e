mod endings;

use jiff::civil::date;
use tally_eventlog::aggregate::given;
use tally_eventlog::pb::LegalBasisRef as StoredBasis;

use super::*;
use crate::basis::ListsBasis;

const OURS: &str = "11990100MB0000203C";
const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn made() -> pb::Directive {
    pb::Directive {
        directive_id: "d".to_owned(),
        department: OURS.to_owned(),
        mandatory: true,
        term_from: "2026-03-02".to_owned(),
        legal_basis: Some(StoredBasis {
            id: "rules/9".to_owned(),
            version: 1,
        }),
        state: pb::DirectiveState::Triggered.into(),
        ..pb::Directive::default()
    }
}

fn happened(kind: EventKind) -> Event {
    let legal_basis = match &kind {
        EventKind::Triggered(_) | EventKind::Executed { .. } => {
            Some(LegalBasisRef::new("rules/9", 1))
        }
        _ => None,
    };
    Event {
        department: OURS.to_owned(),
        at: AT,
        legal_basis,
        kind,
    }
}

fn triggered() -> Event {
    happened(EventKind::Triggered(Box::new(made())))
}

fn executed() -> Event {
    happened(EventKind::Executed {
        decision: document(),
        executed_on: date(2026, 3, 2),
        check_id: String::new(),
        lists_basis: ListsBasis::stored(7, &[7; 16]),
    })
}

fn document() -> DocumentRef {
    DocumentRef {
        number: "T 2026 1".to_owned(),
        ..DocumentRef::default()
    }
}

fn acknowledge() -> Command {
    Command::Acknowledge {
        department: OURS.to_owned(),
        at: AT,
    }
}

fn start() -> Command {
    Command::Start {
        department: OURS.to_owned(),
        at: AT,
    }
}

fn execute_when(entry: Standing, competence: Competence) -> Command {
    Command::Execute {
        department: OURS.to_owned(),
        decision: document(),
        executed_on: date(2026, 3, 2),
        check_id: String::new(),
        lists_basis: ListsBasis::stored(7, &[7; 16]),
        entry,
        competence,
        at: AT,
    }
}

fn execute() -> Command {
    execute_when(Standing::InForce, Competence::Held)
}

fn decline(legal_basis: Option<LegalBasisRef>) -> Command {
    Command::Decline {
        department: OURS.to_owned(),
        grounds: "none".to_owned(),
        legal_basis,
        at: AT,
    }
}

fn confirm(document: Option<DocumentRef>) -> Command {
    Command::ConfirmLift {
        department: OURS.to_owned(),
        document,
        at: AT,
    }
}

fn lift() -> Command {
    Command::Lift {
        reason: LiftReason::Removed,
        at: AT,
    }
}

fn lifted(was_executed: bool) -> Event {
    happened(EventKind::Lifted {
        reason: LiftReason::Removed,
        was_executed,
    })
}

fn after(events: impl IntoIterator<Item = Event>) -> tally_eventlog::aggregate::Given<Directive> {
    given([triggered()].into_iter().chain(events))
}

fn received() -> Event {
    happened(EventKind::Received)
}

fn suspended() -> Event {
    happened(EventKind::Suspended)
}

#[test]
fn it_is_made_once() {
    let trigger = Command::Trigger {
        directive: Box::new(made()),
        at: AT,
    };
    assert_eq!(
        given::<Directive>([]).when(trigger.clone()),
        Ok(vec![triggered()])
    );
    assert_eq!(after([]).when(trigger), Ok(vec![]));
}

#[test]
fn the_way_to_execution() {
    assert_eq!(after([]).when(acknowledge()), Ok(vec![received()]));
    assert_eq!(
        after([received()]).when(start()),
        Ok(vec![happened(EventKind::Started)])
    );
    assert_eq!(after([received()]).when(execute()), Ok(vec![executed()]));
    assert_eq!(
        after([received(), happened(EventKind::Started)]).when(execute()),
        Ok(vec![executed()])
    );
}

#[test]
fn steps_out_of_order_are_refused() {
    let unmade = given::<Directive>([]);
    assert_eq!(unmade.when(acknowledge()), Err(Rejection::Unknown));
    for step in [start(), execute(), decline(None)] {
        assert_eq!(after([]).when(step), Err(Rejection::NotAcknowledged));
    }
    assert_eq!(
        after([received()]).when(acknowledge()),
        Err(Rejection::Already(Stage::Received))
    );
    for step in [acknowledge(), start(), execute(), decline(None)] {
        assert_eq!(
            after([received(), executed()]).when(step),
            Err(Rejection::Already(Stage::Executed))
        );
    }
    assert_eq!(after([]).when(confirm(None)), Err(Rejection::NotLifted));
}

#[test]
fn only_its_own_department_responds() {
    let other = "11990102MB000030XF".to_owned();
    let commands = [
        Command::Acknowledge {
            department: other.clone(),
            at: AT,
        },
        Command::Start {
            department: other.clone(),
            at: AT,
        },
        Command::Decline {
            department: other.clone(),
            grounds: "x".to_owned(),
            legal_basis: None,
            at: AT,
        },
        Command::ConfirmLift {
            department: other.clone(),
            document: None,
            at: AT,
        },
        match execute() {
            Command::Execute {
                decision,
                executed_on,
                check_id,
                lists_basis,
                entry,
                competence,
                at,
                ..
            } => Command::Execute {
                department: other,
                decision,
                executed_on,
                check_id,
                lists_basis,
                entry,
                competence,
                at,
            },
            command => command,
        },
    ];
    for command in commands {
        let right = match command {
            Command::Execute { .. } | Command::Decline { .. } => RIGHT_EXECUTE,
            _ => RIGHT_RESPOND,
        };
        assert_eq!(
            after([received()]).when(command),
            Err(Rejection::OtherDepartment { right })
        );
    }
}

#[test]
fn what_is_suspended_is_not_applied_and_goes_on_where_it_was() {
    assert_eq!(
        after([received()]).when(Command::Suspend { at: AT }),
        Ok(vec![suspended()])
    );
    for step in [start(), execute(), decline(None)] {
        assert_eq!(
            after([received(), suspended()]).when(step),
            Err(Rejection::Suspended)
        );
    }
    let resumed = |stage| Ok(vec![happened(EventKind::Resumed { stage })]);
    let resume = Command::Resume { at: AT };
    assert_eq!(
        after([received(), suspended()]).when(resume.clone()),
        resumed(Stage::Received)
    );
    assert_eq!(
        after([received(), executed(), suspended()]).when(resume.clone()),
        resumed(Stage::Executed)
    );
    assert_eq!(
        after([suspended()]).when(acknowledge()),
        Ok(vec![received()])
    );
    assert_eq!(
        after([suspended(), received()]).when(execute()),
        Err(Rejection::Suspended)
    );
    assert_eq!(
        after([suspended(), received()]).when(resume),
        resumed(Stage::Received)
    );
}

#[test]
fn suspending_and_resuming_again_changes_nothing() {
    assert_eq!(
        after([suspended()]).when(Command::Suspend { at: AT }),
        Ok(vec![])
    );
    assert_eq!(after([]).when(Command::Resume { at: AT }), Ok(vec![]));
    let declined = happened(EventKind::Declined {
        grounds: "x".to_owned(),
    });
    assert_eq!(
        after([received(), declined]).when(Command::Suspend { at: AT }),
        Ok(vec![])
    );
    assert_eq!(
        after([lifted(false)]).when(Command::Suspend { at: AT }),
        Ok(vec![])
    );
    for command in [
        Command::Suspend { at: AT },
        Command::Resume { at: AT },
        lift(),
    ] {
        assert_eq!(given::<Directive>([]).when(command), Ok(vec![]));
    }
}

#[test]
fn the_entry_must_be_in_force_at_the_execution() {
    for standing in [
        Standing::Suspended,
        Standing::Ended,
        Standing::NotBegun,
        Standing::TermOver,
        Standing::BasisNotInForce,
        Standing::Unknown,
    ] {
        let outcome = after([received()]).when(execute_when(standing, Competence::Held));
        assert_eq!(outcome, Err(Rejection::NotInForce(standing)));
    }
    assert_eq!(
        Rejection::NotInForce(Standing::Suspended).reason(),
        "ENTRY_SUSPENDED"
    );
}

#[test]
fn power_and_legal_basis_must_stand_at_the_execution() {
    let outcome =
        after([received()]).when(execute_when(Standing::InForce, Competence::PowerMissing));
    assert_eq!(outcome, Err(Rejection::PowerMissing));
    let missing = Competence::BasisMissing("over".to_owned());
    let outcome = after([received()]).when(execute_when(Standing::InForce, missing));
    assert_eq!(outcome, Err(Rejection::BasisMissing("over".to_owned())));
}

#[test]
fn a_mandatory_measure_is_declined_on_a_legal_basis_only() {
    assert_eq!(
        after([received()]).when(decline(None)),
        Err(Rejection::DeclineNeedsBasis)
    );
    let basis = LegalBasisRef::new("rules/2", 1);
    let declined = Event {
        legal_basis: Some(basis.clone()),
        ..happened(EventKind::Declined {
            grounds: "none".to_owned(),
        })
    };
    assert_eq!(
        after([received()]).when(decline(Some(basis))),
        Ok(vec![declined])
    );
}

#[test]
fn a_recommended_measure_is_declined_freely() {
    let free = pb::Directive {
        mandatory: false,
        ..made()
    };
    let free = happened(EventKind::Triggered(Box::new(free)));
    let declined = happened(EventKind::Declined {
        grounds: "none".to_owned(),
    });
    assert_eq!(
        given::<Directive>([free, received()]).when(decline(None)),
        Ok(vec![declined])
    );
}

#[test]
fn nothing_was_executed_before_the_term_began() {
    let mut early = execute();
    if let Command::Execute { executed_on, .. } = &mut early {
        *executed_on = date(2026, 3, 1);
    }
    assert_eq!(
        after([received()]).when(early),
        Err(Rejection::BeforeTerm {
            term_from: "2026-03-02".to_owned()
        })
    );
}
