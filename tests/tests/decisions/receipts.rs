//! The receipt that a department keeps of its check.

use tally::client::{Client, command_id};
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_proto::tally::sanctions::v1::DecisionVerdict as Verdict;
use tally_rpc::FaultReport;
use tally_service::jws::{JwkSet, JwsError};
use tally_tests::harness::*;
use tonic::Code;

use crate::window::{PROVINCE, TODAY, Window, checked};

async fn receipt(client: &Client, check_id: &str) -> Result<String, FaultReport> {
    let request = sanctions::GetSignedReceiptRequest {
        check_id: check_id.to_owned(),
    };
    let answer = client.sanctions().get_signed_receipt(request).await;
    answer
        .map(|answer| answer.into_inner().jws)
        .map_err(|status| FaultReport::from(&status))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_says_what_was_answered_and_verifies_by_itself() {
    let window = Window::open().await;
    let entry = window.list().await;
    let (province, city) = (&window.province, &window.city);
    let check = checked(province, COMPANY, "food-licence").await;
    let jws = receipt(province, &check.check_id).await.expect("signed");
    assert_eq!(receipt(province, &check.check_id).await, Ok(jws.clone()));
    // The id as another writes it is the same id.
    let upper = check.check_id.to_uppercase();
    assert_eq!(receipt(province, &upper).await, Ok(jws.clone()));

    let request = sanctions::GetReceiptKeysRequest {};
    let keys = city.sanctions().get_receipt_keys(request).await;
    let keys = keys.expect("anyone may verify").into_inner().jwk_set;
    let keys = JwkSet::parse(&keys).expect("a set of keys");
    // From here on nothing is asked of the mesh.
    let said = keys.verify(&jws).expect("it holds").payload;
    assert_eq!(said["jti"], check.check_id);
    assert_eq!(said["sub"], COMPANY);
    assert_eq!(said["department"], PROVINCE);
    assert_eq!(said["purpose"], "food-licence");
    assert_eq!(said["case_number"], "case 1");
    assert_eq!(said["legal_basis"]["id"], ASKING);
    assert_eq!(said["on"], TODAY);
    assert_eq!(said["outcome"], "IN_FORCE");
    assert_eq!(said["entries"][0]["entry_id"], entry);
    assert_eq!(said["entries"][0]["list_type"], "food-safety");
    assert_eq!(
        said["entries"][0]["sanctions"],
        serde_json::json!(["refuse-food-licence"])
    );
    let place = check.receipt.expect("a receipt");
    let leaf: String = place
        .leaf_hash
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(said["record"]["leaf_hash"], leaf);
    assert_eq!(said["record"]["position"], place.position);
    assert_eq!(said["record"]["log"], "sanctions-access");

    let (header, rest) = jws.split_once('.').expect("parts");
    let (payload, signature) = rest.split_once('.').expect("parts");
    let changed = if payload.starts_with('A') { "B" } else { "A" };
    let altered = format!("{header}.{changed}{}.{signature}", &payload[1..]);
    assert_eq!(keys.verify(&altered), Err(JwsError::SignatureInvalid));

    let denied = receipt(city, &check.check_id)
        .await
        .expect_err("not its check");
    assert_eq!(denied.reason, "CHECK_UNKNOWN");
    let operator = window.mesh.operator().await;
    let denied = receipt(&operator, &check.check_id).await;
    assert_eq!(
        denied.expect_err("it made none").code,
        Code::PermissionDenied
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_by_a_linked_identifier_counts_and_its_receipt_names_it() {
    /// The organisation code inside the company's USCC.
    const CODE: &str = "cn-orgcode:71430580X";
    let window = Window::open().await;
    let before = checked(&window.province, CODE, "licence").await;
    let request = lists::LinkIdentifiersRequest {
        command_id: command_id(),
        subject: CODE.to_owned(),
        linked_subject: COMPANY.to_owned(),
        evidence: document("registration change 1"),
        legal_basis: basis("tally-food-rules/33"),
    };
    let officer = window.mesh.officer(PROVINCE, "1").await;
    let linked = officer.lists().link_identifiers(request).await;
    linked.expect("linked");
    window.mesh.settle().await;
    let after = checked(&window.province, CODE, "licence").await;
    let request = sanctions::GetReceiptKeysRequest {};
    let keys = window.province.sanctions().get_receipt_keys(request).await;
    let keys = keys.expect("keys").into_inner().jwk_set;
    let keys = JwkSet::parse(&keys).expect("a set of keys");
    for (check, linked, verdict) in [
        (&before, &[][..], Verdict::CheckOtherSubject),
        (&after, &[COMPANY], Verdict::CheckedClear),
    ] {
        let jws = receipt(&window.province, &check.check_id).await;
        let said = keys.verify(&jws.expect("signed")).expect("it holds");
        assert_eq!(said.payload["linked"], serde_json::json!(linked));
        let record = window
            .licensed(COMPANY, &format!("licence {verdict:?}"), &check.check_id)
            .await;
        assert_eq!(window.verdict(&record).await, verdict);
    }
}
