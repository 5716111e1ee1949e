//! The measures of a province's lists: what each department is told to do, and what its own
//! questions bring up.

use tally::client::{Client, command_id};
use tally_catalog::pack::BuiltIn;
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_rpc::FaultReport;
use tally_tests::harness::*;
use tally_tests::records::minimal;

const DEVELOPMENT: &str = "11990000MB0001011X";
const SUPERVISION: &str = "11990000MB00010701";
const TAXES: &str = "11990000MB00011264";
const LABOUR: &str = "11990000MB00011857";
const FINANCE: &str = "11990000MB000129X8";
const HOUSING: &str = "11990000MB0001345E";
const LABOUR_OF_CITY: &str = "11990100MB0002081H";

/// Pushes a record of an item by the department that lists on it, and gives its id.
async fn ground(mesh: &Harness, department: &str, record_type: &str) -> String {
    let pack = BuiltIn::Province.load().expect("the pack is consistent");
    let record_type = pack.record_type(record_type).expect("an item");
    let record = minimal(record_type, COMPANY, "ground 1", "2026-03-01");
    push(&mesh.system(department).await, record).await.0
}

/// Directive and measure of each item in a department's mailbox, by measure.
async fn told(mesh: &Harness, department: &str) -> Vec<(String, String)> {
    let items = mailbox(&mesh.system(department).await).await;
    let mut told: Vec<_> = items
        .into_iter()
        .map(|item| {
            let directive = item.directive.expect("a directive");
            assert_eq!(
                (directive.subject.as_str(), directive.department.as_str()),
                (COMPANY, department)
            );
            (directive.measure, directive.directive_id)
        })
        .collect();
    told.sort();
    told
}

fn names(told: &[(String, String)]) -> Vec<&str> {
    told.iter().map(|(measure, _)| measure.as_str()).collect()
}

/// Measures that a department's question brings up, each with whether it must be applied.
async fn asked(client: &Client, purpose: &str) -> Vec<(String, bool)> {
    let request = sanctions::CheckRequest {
        purpose: purpose.to_owned(),
        ..question(COMPANY)
    };
    let answer = check(client, request).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::InForce);
    let mut measures: Vec<_> = answer.entries[0]
        .measures
        .iter()
        .map(|measure| (measure.measure.clone(), measure.mandatory))
        .collect();
    measures.sort();
    measures
}

fn recommended(measures: &[&str]) -> Vec<(String, bool)> {
    let of = |measure: &&str| ((*measure).to_owned(), false);
    measures.iter().map(of).collect()
}

async fn decline(client: &Client, directive_id: &str) -> Result<(), FaultReport> {
    let request = sanctions::DeclineRequest {
        command_id: command_id(),
        directive_id: directive_id.to_owned(),
        grounds: "none is held this year".to_owned(),
        legal_basis: None,
    };
    let answer = client.sanctions().decline(request).await;
    answer
        .map(|_| ())
        .map_err(|status| FaultReport::from(&status))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_red_list_brings_its_incentives_to_each_department_and_its_questions() {
    let mesh = Harness::province("2026-03-02T01:00:00Z").await;
    let (first, second) = (
        mesh.officer(TAXES, "1").await,
        mesh.officer(TAXES, "2").await,
    );
    let request = lists::NominateRequest {
        term_until: String::new(),
        ..nomination(&BlackListing {
            list_type: "honest-taxpayer".to_owned(),
            basis: "tally-tax-rules/4".to_owned(),
            ..BlackListing::today(COMPANY, &ground(&mesh, TAXES, "tax-credit").await, "")
        })
    };
    let nominated = first.lists().nominate(request).await.expect("nominated");
    let entry = nominated.into_inner().entry_id;
    // An honour is no harm: nobody has to be heard on it.
    let listed = second.lists().list(confirmation(&entry)).await;
    listed.expect("listed by a second officer");
    mesh.settle().await;

    for (department, measures) in [
        (DEVELOPMENT, &["grant-honour", "priority-in-funds"][..]),
        (
            SUPERVISION,
            &["accept-on-promise", "fewer-inspections", "green-channel"],
        ),
        (LABOUR, &["fewer-inspections"]),
        (FINANCE, &["priority-in-funds"]),
        (TAXES, &[]),
    ] {
        assert_eq!(
            names(&told(&mesh, department).await),
            measures,
            "{department}"
        );
    }
    let supervision = mesh.system(SUPERVISION).await;
    let finance = mesh.system(FINANCE).await;
    for (client, purpose, measures) in [
        (
            &supervision,
            "licence",
            &["accept-on-promise", "green-channel"][..],
        ),
        (&supervision, "inspection", &["fewer-inspections"]),
        (&finance, "public-funds", &["priority-in-funds"]),
        (&finance, "procurement", &[]),
    ] {
        assert_eq!(
            asked(client, purpose).await,
            recommended(measures),
            "{purpose}"
        );
    }
    mesh.assert_history_holds().await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_applied_is_declined_only_by_law() {
    let mesh = Harness::province("2026-03-02T01:00:00Z").await;
    let (first, second) = (
        mesh.officer(LABOUR, "1").await,
        mesh.officer(LABOUR, "2").await,
    );
    let listing = BlackListing {
        list_type: "wage-arrears".to_owned(),
        basis: "tally-wage-rules/9".to_owned(),
        ..BlackListing::today(
            COMPANY,
            &ground(&mesh, LABOUR, "wage-arrears").await,
            "2027-03-01",
        )
    };
    list_black(&first, &second, &listing).await;
    mesh.settle().await;
    // Supervision by class: more inspections by those who inspect, of the province and of a city.
    let inspecting = told(&mesh, LABOUR_OF_CITY).await;
    assert_eq!(names(&inspecting), ["more-inspections"]);
    let inspections = asked(&mesh.system(LABOUR_OF_CITY).await, "inspection").await;
    assert_eq!(inspections, recommended(&["more-inspections"]));
    // It inspects too, but the memorandum of this list does not name it.
    assert_eq!(told(&mesh, SUPERVISION).await, []);
    let supervision = mesh.system(SUPERVISION).await;
    assert_eq!(asked(&supervision, "inspection").await, []);

    let housing = mesh.system(HOUSING).await;
    let directives = told(&mesh, HOUSING).await;
    assert_eq!(
        names(&directives),
        ["exclude-from-tenders", "limit-qualification"]
    );
    let excluded = ("exclude-from-tenders".to_owned(), true);
    assert_eq!(asked(&housing, "tender").await, [excluded]);
    let officer = mesh.officer(HOUSING, "7").await;
    for (_, directive_id) in &directives {
        let request = sanctions::AcknowledgeRequest {
            command_id: command_id(),
            directive_id: directive_id.clone(),
        };
        let acknowledged = housing.sanctions().acknowledge(request).await;
        acknowledged.expect("acknowledged");
    }
    let refused = decline(&officer, &directives[0].1).await;
    let reason = refused.expect_err("it must be applied").reason;
    assert_eq!(reason, "LEGAL_BASIS_REQUIRED");
    decline(&officer, &directives[1].1)
        .await
        .expect("a recommendation is declined freely");
    mesh.assert_history_holds().await;
    mesh.stop().await;
}
