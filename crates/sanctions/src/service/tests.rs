mod checks;
mod decisions;
mod executions;
pub(crate) mod mesh;
mod reconciler;
mod records;
mod subscriptions;
mod tokens;

use tally_eventlog::pb::{Cursor, LegalBasisRef};
use tonic::Code;
use tonic_reason::reason;

use super::*;
use mesh::*;

/// What a status says beyond its code.
mod tonic_reason {
    use tonic::Status;

    /// The stable reason stands in the status's details as text.
    pub fn reason(status: &Status, wanted: &str) -> bool {
        String::from_utf8_lossy(status.details()).contains(wanted)
    }
}

pub(crate) const ENTRY: &str = "00000000-0000-8000-8000-000000000001";

fn kinds(items: &[pb::SubscribeResponse]) -> Vec<(u64, pb::MailboxItemKind)> {
    items
        .iter()
        .map(|item| (item.cursor.as_ref().expect("a cursor").number, item.kind()))
        .collect()
}

fn cursor_of(item: &pb::SubscribeResponse) -> Option<Cursor> {
    Some(Cursor {
        log_id: item.log_id.clone(),
        shards: vec![item.cursor.clone().expect("a cursor")],
    })
}

async fn respond(mesh: &Mesh, department: &str, directive_id: &str) -> Result<(), Status> {
    let request = pb::AcknowledgeRequest {
        command_id: mesh.id(),
        directive_id: directive_id.to_owned(),
    };
    mesh.service
        .acknowledge(by(system(department), request))
        .await
        .map(|_| ())
}

fn execution(mesh: &Mesh, directive_id: &str) -> pb::ExecuteRequest {
    pb::ExecuteRequest {
        command_id: mesh.id(),
        directive_id: directive_id.to_owned(),
        decision: document(),
        executed_on: "2026-03-02".to_owned(),
        check_id: String::new(),
    }
}

async fn execute(mesh: &Mesh, directive_id: &str) -> Result<pb::ExecuteResponse, Status> {
    let request = execution(mesh, directive_id);
    Ok(mesh
        .service
        .execute(by(officer(CITY), request))
        .await?
        .into_inner())
}

async fn state(
    mesh: &Mesh,
    caller: Caller,
    directive_id: &str,
) -> Result<pb::DirectiveState, Status> {
    let request = pb::GetDirectiveRequest {
        directive_id: directive_id.to_owned(),
    };
    let response = mesh
        .service
        .get_directive(by(caller, request))
        .await?
        .into_inner();
    Ok(response.directive.expect("a directive").state())
}

/// A listed subject and the city's directive to exclude it from funds.
async fn listed() -> (Mesh, String) {
    let mesh = Mesh::start().await;
    mesh.list(MOUTAI, ENTRY, "2027-01-31").await;
    mesh.settled().await;
    (
        mesh,
        crate::memoranda::directive_id(ENTRY, "exclude-from-funds", CITY),
    )
}

#[tokio::test]
async fn a_listing_fills_the_mailboxes_of_its_departments_only() {
    let (mesh, _) = listed().await;
    let triggered = pb::MailboxItemKind::Triggered;
    for department in [CITY, COUNTY] {
        let items = mesh.mailbox(department, None).await.expect("readable");
        assert_eq!(kinds(&items), [(1, triggered), (2, triggered)]);
        assert!(items.iter().all(|item| {
            item.directive
                .as_ref()
                .is_some_and(|made| made.department == department)
        }));
    }
    assert_eq!(mesh.mailbox(PROVINCE, None).await.expect("readable"), []);
}

#[tokio::test]
async fn a_mailbox_goes_on_from_its_cursor() {
    let (mesh, _) = listed().await;
    let items = mesh.mailbox(CITY, None).await.expect("readable");
    mesh.suspend(ENTRY).await;
    mesh.uphold(ENTRY).await;
    mesh.remove(ENTRY).await;
    mesh.settled().await;
    let rest = mesh
        .mailbox(CITY, cursor_of(&items[0]))
        .await
        .expect("readable");
    let (suspended, resumed, lifted) = (
        pb::MailboxItemKind::Suspended,
        pb::MailboxItemKind::Resumed,
        pb::MailboxItemKind::Lifted,
    );
    let expected = [
        pb::MailboxItemKind::Triggered,
        suspended,
        suspended,
        resumed,
        resumed,
        lifted,
        lifted,
    ];
    assert_eq!(kinds(&rest), (2..).zip(expected).collect::<Vec<_>>());
    let last = rest
        .last()
        .expect("items")
        .directive
        .clone()
        .expect("a directive");
    assert_eq!(last.lift_reason(), pb::LiftReason::Removed);
}

#[tokio::test]
async fn a_department_answers_its_directive() {
    let (mesh, id) = listed().await;
    let refused = respond(&mesh, COUNTY, &id)
        .await
        .expect_err("another's directive");
    assert_eq!(refused.code(), Code::NotFound);
    let early = execute(&mesh, &id).await.expect_err("not acknowledged");
    assert!(reason(&early, "DIRECTIVE_NOT_ACKNOWLEDGED"));
    respond(&mesh, CITY, &id).await.expect("acknowledged");
    let start = pb::StartRequest {
        command_id: mesh.id(),
        directive_id: id.clone(),
    };
    mesh.service
        .start(by(system(CITY), start))
        .await
        .expect("started");
    let request = execution(&mesh, &id);
    let by_system = mesh
        .service
        .execute(by(system(CITY), request.clone()))
        .await
        .expect_err("no officer");
    assert_eq!(by_system.code(), Code::PermissionDenied);
    let first = mesh
        .service
        .execute(by(officer(CITY), request.clone()))
        .await
        .expect("executed")
        .into_inner();
    let again = mesh
        .service
        .execute(by(officer(CITY), request))
        .await
        .expect("the first result")
        .into_inner();
    let (first, again) = (
        first.receipt.expect("a receipt"),
        again.receipt.expect("a receipt"),
    );
    assert_eq!(
        (first.position, again.position, again.repeated),
        (first.position, first.position, true)
    );
    assert!(reason(
        &execute(&mesh, &id).await.expect_err("executed already"),
        "DECISION_RECORDED"
    ));
    assert_eq!(
        state(&mesh, system(CITY), &id).await.expect("its own"),
        pb::DirectiveState::Executed
    );
    assert_eq!(
        state(&mesh, officer(PROVINCE), &id)
            .await
            .expect("its initiator"),
        pb::DirectiveState::Executed
    );
    assert_eq!(
        state(&mesh, Caller::operator(), &id)
            .await
            .expect("the operator"),
        pb::DirectiveState::Executed
    );
    assert_eq!(
        state(&mesh, system(COUNTY), &id)
            .await
            .expect_err("a third")
            .code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn what_is_suspended_or_over_is_not_executed() {
    let (mesh, id) = listed().await;
    respond(&mesh, CITY, &id).await.expect("acknowledged");
    // Not settled on purpose: the execution itself waits until it knows.
    mesh.suspend(ENTRY).await;
    assert!(reason(
        &execute(&mesh, &id).await.expect_err("suspended"),
        "ENTRY_SUSPENDED"
    ));
    mesh.uphold(ENTRY).await;
    mesh.settled().await;
    execute(&mesh, &id).await.expect("upheld");
    mesh.remove(ENTRY).await;
    mesh.settled().await;
    let mut confirm = pb::ConfirmLiftRequest {
        command_id: mesh.id(),
        directive_id: id.clone(),
        document: None,
    };
    let refused = mesh
        .service
        .confirm_lift(by(system(CITY), confirm.clone()))
        .await
        .expect_err("to be undone");
    assert!(reason(&refused, "DOCUMENT_REQUIRED"));
    confirm.document = document();
    mesh.service
        .confirm_lift(by(system(CITY), confirm))
        .await
        .expect("confirmed");
    assert_eq!(
        state(&mesh, system(CITY), &id).await.expect("its own"),
        pb::DirectiveState::LiftConfirmed
    );
    let silent = crate::memoranda::directive_id(ENTRY, "revoke-honour", CITY);
    assert_eq!(
        state(&mesh, system(CITY), &silent).await.expect("its own"),
        pb::DirectiveState::Lifted
    );
    assert!(reason(
        &execute(&mesh, &silent).await.expect_err("over"),
        "DIRECTIVE_LIFTED"
    ));
}

#[tokio::test]
async fn nothing_is_executed_while_the_reader_is_behind() {
    let (mesh, id) = listed().await;
    respond(&mesh, CITY, &id).await.expect("acknowledged");
    mesh.progress(crate::consumer::LISTS).pause();
    mesh.suspend(ENTRY).await;
    assert!(reason(
        &execute(&mesh, &id).await.expect_err("behind"),
        "LISTS_BEHIND"
    ));
}

#[tokio::test]
async fn an_execution_names_every_fault_and_a_decline_its_basis() {
    let (mesh, id) = listed().await;
    let faulty = pb::ExecuteRequest {
        command_id: "x".to_owned(),
        directive_id: "y".to_owned(),
        decision: None,
        executed_on: "2026-03-03".to_owned(),
        check_id: "z".to_owned(),
    };
    let refused = mesh
        .service
        .execute(by(officer(CITY), faulty))
        .await
        .expect_err("faulty");
    for field in [
        "command_id",
        "directive_id",
        "decision",
        "executed_on",
        "check_id",
    ] {
        assert!(reason(&refused, field), "{field}");
    }
    let unasked = pb::ExecuteRequest {
        check_id: mesh.id(),
        ..execution(&mesh, &id)
    };
    let refused = mesh
        .service
        .execute(by(officer(CITY), unasked))
        .await
        .expect_err("no such check");
    assert!(reason(&refused, "CHECK_UNKNOWN"));
    respond(&mesh, CITY, &id).await.expect("acknowledged");
    let basis = |id: &str| {
        Some(LegalBasisRef {
            id: id.to_owned(),
            version: 1,
        })
    };
    let decline = |legal_basis| pb::DeclineRequest {
        command_id: mesh.id(),
        directive_id: id.clone(),
        grounds: "a court forbids it".to_owned(),
        legal_basis,
    };
    let free = mesh
        .service
        .decline(by(officer(CITY), decline(None)))
        .await
        .expect_err("mandatory");
    assert!(reason(&free, "LEGAL_BASIS_REQUIRED"));
    let lapsed = mesh
        .service
        .decline(by(
            officer(CITY),
            decline(basis("tally-interim-measures/3")),
        ))
        .await;
    assert!(reason(
        &lapsed.expect_err("lapsed"),
        "LEGAL_BASIS_NOT_IN_FORCE"
    ));
    let held = decline(basis("tally-credit-regulations/18"));
    mesh.service
        .decline(by(officer(CITY), held))
        .await
        .expect("declined");
}

#[tokio::test]
async fn who_is_not_in_the_pack_takes_no_part() {
    let mesh = Mesh::start().await;
    let stranger = "11990000MB0000001M";
    let refused = mesh.mailbox(stranger, None).await.expect_err("unknown");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let check = mesh
        .service
        .check(by(system(stranger), mesh.question(MOUTAI)))
        .await;
    assert_eq!(check.expect_err("unknown").code(), Code::PermissionDenied);
}
