//! Who sees another department's entry.

use tally_proto::tally::lists::v1 as pb;
use tally_proto::tally::lists::v1::lists_service_server::ListsService as _;
use tally_rpc::FaultReport;
use tonic::Code;

use crate::mesh::*;

const TERM: (&str, &str) = ("2026-01-05", "2027-01-04");

/// Whether an officer finds the entry by its id; and if not, that the answer is
/// that of an entry that does not exist.
async fn sees(mesh: &Mesh, department: &str, entry_id: &str) -> bool {
    let get = |entry_id: &str| pb::GetEntryRequest {
        entry_id: entry_id.to_owned(),
    };
    let request = pb::GetSubjectEntriesRequest {
        subject: MOUTAI.to_owned(),
    };
    let request = by(department, 9, request);
    let file = mesh.lists.get_subject_entries(request).await;
    let in_file = !file.expect("answered").into_inner().entries.is_empty();
    let by_id = mesh.lists.get_entry(by(department, 9, get(entry_id))).await;
    assert_eq!(by_id.is_ok(), in_file, "the file and the entry agree");
    let Err(hidden) = by_id else { return true };
    let none = mesh
        .lists
        .get_entry(by(department, 9, get(&id())))
        .await
        .expect_err("there is none");
    assert_eq!(hidden.code(), Code::NotFound);
    assert_eq!(hidden.message(), none.message());
    assert_eq!(FaultReport::from(&hidden), FaultReport::from(&none));
    assert_eq!(FaultReport::from(&hidden).metadata["right"], "lists.get");
    false
}

#[tokio::test]
async fn others_see_an_entry_while_it_stands_and_neither_before_nor_after() {
    let mesh = Mesh::start().await;
    let entry_id = mesh.represented(MOUTAI, TERM).await;
    for (department, seen) in [(CITY, true), (PROVINCE, false), (COUNTY, false)] {
        assert_eq!(sees(&mesh, department, &entry_id).await, seen);
    }
    let stranger = mesh
        .lists
        .list(by(PROVINCE, 1, list(&entry_id)))
        .await
        .expect_err("another's nomination");
    assert_eq!(stranger.code(), Code::NotFound);

    mesh.lists
        .list(by(CITY, 2, list(&entry_id)))
        .await
        .expect("listed");
    for department in [CITY, PROVINCE, COUNTY] {
        assert!(sees(&mesh, department, &entry_id).await, "{department}");
    }
    mesh.lists
        .accept_objection(by(PROVINCE, 1, object(&entry_id)))
        .await
        .expect("suspended");
    assert!(sees(&mesh, COUNTY, &entry_id).await);

    mesh.lists
        .correct_out(by(CITY, 3, correct_out(&entry_id)))
        .await
        .expect("corrected out");
    for (department, seen) in [(CITY, true), (PROVINCE, false), (COUNTY, false)] {
        assert_eq!(sees(&mesh, department, &entry_id).await, seen);
    }
}
