use jiff::civil::date;
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::aggregate::given;
use tally_eventlog::pb::DocumentRef;
use tally_rpc::Fault;

use super::*;

const RESPONDER: &str = "11990102MB000030XF";
const INITIATOR: &str = "11990000MB0000107X";

fn at() -> Timestamp {
    "2026-03-02T01:00:00Z".parse().expect("a timestamp")
}

fn about() -> About {
    About {
        department: RESPONDER.to_owned(),
        initiator: INITIATOR.to_owned(),
        measure: "revoke-honour".to_owned(),
        month: "2026-03".to_owned(),
    }
}

fn owed() -> Due {
    Due {
        subject: "cn-uscc:9152000071430580XT".to_owned(),
        list_type: "serious-violation".to_owned(),
        report_by: date(2026, 3, 16),
        legal_basis: Some(LegalBasisRef::new("tally-credit-regulations/26", 1)),
    }
}

fn event(change: Change) -> Event {
    Event {
        about: about(),
        effective_at: at(),
        change,
    }
}

fn due() -> Event {
    event(Change::Due(owed()))
}

fn report(outcome: Outcome) -> Report {
    Report {
        outcome,
        document: Some(DocumentRef {
            number: "2026-7".to_owned(),
            ..Default::default()
        }),
        done_on: Some(date(2026, 3, 2)),
        check_id: String::new(),
        remarks: String::new(),
    }
}

fn submitted(outcome: Outcome, amended: bool) -> Event {
    event(Change::Submitted {
        report: report(outcome),
        amended,
    })
}

fn returned() -> Event {
    event(Change::Returned {
        reason: "no seal".to_owned(),
        report_by: date(2026, 3, 16),
    })
}

fn escalated() -> Event {
    event(Change::Escalated {
        report_by: date(2026, 3, 16),
    })
}

fn when(history: &[Event], command: Command) -> Result<Vec<Event>, Rejection> {
    given::<Feedback>(history.to_vec()).when(command)
}

/// What a department told sanctions that reports this.
fn answered(outcome: Outcome) -> Answered {
    let stage = match outcome {
        Outcome::Executed => Stage::Executed,
        Outcome::Declined => Stage::Declined,
        Outcome::InProgress => Stage::Received,
    };
    Answered {
        stage,
        standing: false,
    }
}

fn reporting(outcome: Outcome) -> Command {
    Command::Report {
        department: RESPONDER.to_owned(),
        report: report(outcome),
        answered: answered(outcome),
        at: at(),
    }
}

fn accepting() -> Command {
    Command::Accept {
        department: INITIATOR.to_owned(),
        at: at(),
    }
}

fn returning(today: LegalDate) -> Command {
    let (department, reason) = (INITIATOR.to_owned(), "no seal".to_owned());
    Command::Return {
        department,
        reason,
        today,
        at: at(),
    }
}

fn overdue(day: LegalDate) -> Command {
    Command::Escalate {
        due_on: day,
        at: at(),
    }
}

#[test]
fn a_directive_makes_a_report_due_once() {
    let command = || Command::Due {
        about: about(),
        due: owed(),
        at: at(),
    };
    assert_eq!(when(&[], command()), Ok(vec![due()]));
    assert_eq!(when(&[due()], command()), Ok(vec![]));
}

#[test]
fn the_responder_reports_and_the_initiator_accepts() {
    let report = when(&[due()], reporting(Outcome::Executed));
    assert_eq!(report, Ok(vec![submitted(Outcome::Executed, false)]));
    let history = [due(), submitted(Outcome::Executed, false)];
    assert_eq!(
        when(&history, accepting()),
        Ok(vec![event(Change::Accepted)])
    );
}

#[test]
fn nobody_else_reports_or_decides() {
    let stranger = "11990100MB0000203C".to_owned();
    for department in [stranger.clone(), INITIATOR.to_owned()] {
        let command = Command::Report {
            department,
            report: report(Outcome::Executed),
            answered: answered(Outcome::Executed),
            at: at(),
        };
        assert_eq!(when(&[due()], command), Err(Rejection::NotResponder));
    }
    let history = [due(), submitted(Outcome::Executed, false)];
    for department in [stranger, RESPONDER.to_owned()] {
        let accept = Command::Accept {
            department: department.clone(),
            at: at(),
        };
        let right = RIGHT_ACCEPT;
        assert_eq!(
            when(&history, accept),
            Err(Rejection::NotInitiator { right })
        );
        let (reason, today) = ("x".to_owned(), date(2026, 3, 3));
        let command = Command::Return {
            department,
            reason,
            today,
            at: at(),
        };
        let right = RIGHT_RETURN;
        assert_eq!(
            when(&history, command),
            Err(Rejection::NotInitiator { right })
        );
    }
}

#[test]
fn without_a_directive_there_is_nothing_to_report() {
    assert_eq!(
        when(&[], reporting(Outcome::Executed)),
        Err(Rejection::Unknown)
    );
    assert_eq!(when(&[], accepting()), Err(Rejection::Unknown));
    assert_eq!(
        when(&[], returning(date(2026, 3, 3))),
        Err(Rejection::Unknown)
    );
    for command in [
        overdue(date(2026, 3, 17)),
        Command::Suspend { at: at() },
        Command::Resume {
            today: date(2026, 3, 3),
            at: at(),
        },
        Command::Close { at: at() },
    ] {
        assert_eq!(when(&[], command), Ok(vec![]));
    }
}

#[test]
fn a_final_report_is_amended_only_after_a_return() {
    let history = [due(), submitted(Outcome::Executed, false)];
    assert_eq!(
        when(&history, reporting(Outcome::Declined)),
        Err(Rejection::NotOwed)
    );
    let history = [due(), submitted(Outcome::Executed, false), returned()];
    let amended = when(&history, reporting(Outcome::Declined));
    assert_eq!(amended, Ok(vec![submitted(Outcome::Declined, true)]));
    let history = [
        due(),
        submitted(Outcome::Executed, false),
        event(Change::Accepted),
    ];
    assert_eq!(
        when(&history, reporting(Outcome::Executed)),
        Err(Rejection::Accepted)
    );
    assert_eq!(when(&history, accepting()), Err(Rejection::Accepted));
    assert_eq!(
        when(&history, returning(date(2026, 3, 3))),
        Err(Rejection::Accepted)
    );
}

#[test]
fn there_is_nothing_to_decide_before_a_report() {
    for history in [
        vec![due()],
        vec![due(), submitted(Outcome::Executed, false), returned()],
        vec![due(), escalated()],
    ] {
        assert_eq!(when(&history, accepting()), Err(Rejection::NoReport));
        assert_eq!(
            when(&history, returning(date(2026, 3, 3))),
            Err(Rejection::NoReport)
        );
    }
}

#[test]
fn an_interim_report_still_owes_the_final_one() {
    let history = [due(), submitted(Outcome::InProgress, false)];
    assert_eq!(when(&history, accepting()), Err(Rejection::Interim));
    let amended = when(&history, reporting(Outcome::Executed));
    assert_eq!(amended, Ok(vec![submitted(Outcome::Executed, true)]));
    assert_eq!(
        when(&history, overdue(date(2026, 3, 17))),
        Ok(vec![escalated()])
    );
    // Once overdue, an interim report neither undoes nor repeats it.
    let history = [due(), escalated(), submitted(Outcome::InProgress, false)];
    assert_eq!(when(&history, overdue(date(2026, 3, 17))), Ok(vec![]));
}

#[test]
fn it_is_overdue_on_the_day_after_the_last_day() {
    assert_eq!(
        when(&[due()], overdue(date(2026, 3, 17))),
        Ok(vec![escalated()])
    );
    assert_eq!(when(&[due()], overdue(date(2026, 3, 16))), Ok(vec![]));
    let history = [due(), submitted(Outcome::Executed, false), returned()];
    assert_eq!(
        when(&history, overdue(date(2026, 3, 17))),
        Ok(vec![escalated()])
    );
    for over in [
        submitted(Outcome::Executed, false),
        escalated(),
        event(Change::Closed),
    ] {
        assert_eq!(when(&[due(), over], overdue(date(2026, 3, 17))), Ok(vec![]));
    }
}

#[test]
fn an_escalated_one_can_still_be_reported() {
    let report = when(&[due(), escalated()], reporting(Outcome::Executed));
    assert_eq!(report, Ok(vec![submitted(Outcome::Executed, false)]));
}

#[test]
fn a_late_return_is_not_overdue_before_it_was_made() {
    let history = [due(), submitted(Outcome::Executed, false)];
    let day = date(2026, 3, 20);
    let change = Change::Returned {
        reason: "no seal".to_owned(),
        report_by: day,
    };
    assert_eq!(when(&history, returning(day)), Ok(vec![event(change)]));
    let early = when(&history, returning(date(2026, 3, 3)));
    assert_eq!(early, Ok(vec![returned()]));
}

#[test]
fn nothing_becomes_overdue_while_the_directive_is_suspended() {
    let suspended = event(Change::Suspended);
    assert_eq!(
        when(&[due()], Command::Suspend { at: at() }),
        Ok(vec![suspended.clone()])
    );
    let history = [due(), suspended.clone()];
    assert_eq!(when(&history, Command::Suspend { at: at() }), Ok(vec![]));
    assert_eq!(when(&history, overdue(date(2026, 3, 17))), Ok(vec![]));
    assert!(when(&history, reporting(Outcome::Executed)).is_ok());
    let resumed = event(Change::Resumed {
        report_by: date(2026, 4, 1),
    });
    let resume = Command::Resume {
        today: date(2026, 4, 1),
        at: at(),
    };
    assert_eq!(when(&history, resume.clone()), Ok(vec![resumed.clone()]));
    let history = [due(), suspended, resumed];
    assert_eq!(when(&history, resume), Ok(vec![]));
    assert_eq!(when(&history, overdue(date(2026, 3, 17))), Ok(vec![]));
    let late = event(Change::Escalated {
        report_by: date(2026, 4, 1),
    });
    assert_eq!(when(&history, overdue(date(2026, 4, 2))), Ok(vec![late]));
}

#[test]
fn a_lift_ends_what_is_owed_and_leaves_what_was_reported() {
    let close = || Command::Close { at: at() };
    let closed = || Ok(vec![event(Change::Closed)]);
    assert_eq!(when(&[due()], close()), closed());
    assert_eq!(when(&[due(), escalated()], close()), closed());
    assert_eq!(
        when(&[due(), submitted(Outcome::InProgress, false)], close()),
        closed()
    );
    assert_eq!(
        when(
            &[due(), submitted(Outcome::Executed, false), returned()],
            close()
        ),
        closed()
    );
    assert_eq!(
        when(&[due(), submitted(Outcome::Executed, false)], close()),
        Ok(vec![])
    );
    let history = [
        due(),
        submitted(Outcome::Executed, false),
        event(Change::Accepted),
    ];
    assert_eq!(when(&history, close()), Ok(vec![]));
    let history = [due(), event(Change::Closed)];
    assert_eq!(when(&history, close()), Ok(vec![]));
    assert_eq!(
        when(&history, reporting(Outcome::Executed)),
        Err(Rejection::Closed)
    );
    assert_eq!(when(&history, accepting()), Err(Rejection::Closed));
    assert_eq!(when(&history, Command::Suspend { at: at() }), Ok(vec![]));
}

#[test]
fn every_refusal_says_what_to_do_and_who_may() {
    let fault = Fault::from(Rejection::NotResponder);
    assert_eq!(
        (fault.code(), fault.reason()),
        (tonic::Code::PermissionDenied, "RIGHT_MISSING")
    );
    let fault = Fault::from(Rejection::Unknown);
    assert_eq!(
        (fault.code(), fault.reason()),
        (tonic::Code::NotFound, "FEEDBACK_UNKNOWN")
    );
    let fault = Fault::from(Rejection::Interim);
    assert_eq!(
        (fault.code(), fault.reason()),
        (tonic::Code::FailedPrecondition, "REPORT_INTERIM")
    );
}

#[test]
fn a_report_that_sanctions_was_not_told_is_refused() {
    let command = Command::Report {
        department: RESPONDER.to_owned(),
        report: report(Outcome::Executed),
        answered: answered(Outcome::InProgress),
        at: at(),
    };
    assert_eq!(when(&[due()], command), Err(Rejection::NotExecuted));
}
