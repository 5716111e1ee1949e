use jiff::civil::date;
use tally_rpc::FaultReport;
use tonic::{Code, Status};

use super::*;

const BUREAU: &str = "11990000MB0000107X";
const COUNTY: &str = "11990102MB000030XF";

fn bureau() -> Caller {
    Caller::system(BUREAU.parse().expect("valid"))
}

fn ask(caller: &Caller, request: pb::GetTimelinessRequest) -> Result<Question, FaultReport> {
    let pack = tally_catalog::pack::embedded().expect("the embedded pack is consistent");
    Question::decode(caller, &request, &pack, date(2026, 3, 31))
        .map_err(|fault| FaultReport::from(&Status::from(fault)))
}

fn about(from: &str, to: &str) -> pb::GetTimelinessRequest {
    pb::GetTimelinessRequest {
        from_month: from.into(),
        to_month: to.into(),
        ..Default::default()
    }
}

fn reasons(request: pb::GetTimelinessRequest) -> Vec<(String, String)> {
    let fault = ask(&Caller::operator(), request).err().expect("refused");
    let violations = fault.violations.into_iter();
    violations.map(|one| (one.field, one.reason)).collect()
}

#[test]
fn without_months_it_is_about_this_one() {
    let asked = |from, to| {
        let question = ask(&Caller::operator(), about(from, to)).expect("asked well");
        (question.from, question.to)
    };
    let march = date(2026, 3, 1);
    assert_eq!(asked("", ""), (march, march));
    assert_eq!(asked("2025-12", ""), (date(2025, 12, 1), march));
    assert_eq!(asked("", "2024-02"), (date(2024, 2, 1), date(2024, 2, 1)));
    assert_eq!(asked("2023-04", "2026-03"), (date(2023, 4, 1), march));
}

#[test]
fn every_fault_is_named_at_once() {
    let bad = pb::GetTimelinessRequest {
        department: "x".into(),
        page_size: 501,
        page_token: "x".into(),
        ..about("2026-13", "2026-3")
    };
    let fields: Vec<String> = reasons(bad).into_iter().map(|(field, _)| field).collect();
    let all = [
        "department",
        "to_month",
        "from_month",
        "page_size",
        "page_token",
    ];
    assert_eq!(fields, all);
    let one = |field: &str, reason: &str| vec![(field.to_owned(), reason.to_owned())];
    let reversed = one("to_month", "DATES_REVERSED");
    assert_eq!(reasons(about("2026-03", "2026-02")), reversed);
    let too_many = one("from_month", "VALUE_TOO_LARGE");
    assert_eq!(reasons(about("2023-03", "2026-03")), too_many);
}

#[test]
fn a_department_sees_its_own_division_and_those_below() {
    let of = |department: &str| pb::GetTimelinessRequest {
        department: department.into(),
        ..Default::default()
    };
    let county = Caller::system(COUNTY.parse().expect("valid"));
    for (caller, department) in [(&county, COUNTY), (&bureau(), BUREAU), (&bureau(), COUNTY)] {
        let question = ask(caller, of(department)).expect("its own, or below");
        assert_eq!(
            question.department,
            Some(department.parse().expect("valid"))
        );
    }
    let fault = ask(&county, of(BUREAU)).err().expect("above");
    assert_eq!(
        (fault.code, fault.metadata["right"].as_str()),
        (Code::PermissionDenied, RIGHT)
    );
    let seen = |caller| ask(caller, of("")).expect("all it sees").reader;
    assert_eq!(seen(&county), Some(COUNTY.parse().expect("valid")));
    assert_eq!(seen(&Caller::operator()), None);
}

#[test]
fn a_token_leads_back_to_its_place() {
    let rows = [
        None,
        Some(("2026-03".to_owned(), String::new())),
        Some(("2026-03".to_owned(), "a.b".to_owned())),
    ];
    for row in rows {
        let place = Place {
            department: BUREAU.to_owned(),
            row,
        };
        assert_eq!(Place::parse(&place.to_token()), Some(place));
    }
    for wrong in [
        "",
        "x",
        &format!("{BUREAU}.2026-03"),
        &format!("{BUREAU}.2026-3.x"),
    ] {
        assert_eq!(Place::parse(wrong), None, "{wrong}");
    }
}
