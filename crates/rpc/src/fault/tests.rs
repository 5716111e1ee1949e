use std::time::Duration;

use tonic::{Code, Status};

use super::*;
use crate::FaultReport;

fn report(fault: Fault) -> FaultReport {
    FaultReport::from(&Status::from(fault))
}

#[test]
fn every_violation_reaches_the_client() {
    let seen = report(Fault::invalid(vec![
        FieldFault::new("subject", "CHECK_CHARACTER", "ends in 1, expected T"),
        FieldFault::new("fields.fine", "NOT_A_DECIMAL", "not a decimal number"),
    ]));
    assert_eq!(seen.code, Code::InvalidArgument);
    assert_eq!(seen.reason, "CHECK_CHARACTER");
    let fields: Vec<_> = seen
        .violations
        .iter()
        .map(|violation| (violation.field.as_str(), violation.reason.as_str()))
        .collect();
    assert_eq!(
        fields,
        [
            ("subject", "CHECK_CHARACTER"),
            ("fields.fine", "NOT_A_DECIMAL")
        ]
    );
    assert!(seen.to_string().contains("fields.fine: not a decimal"));
    assert_eq!(seen.retry, None);
}

#[test]
fn an_empty_list_of_violations_still_has_a_reason() {
    assert_eq!(Fault::invalid(Vec::new()).reason(), reason::INVALID_MESSAGE);
}

#[test]
fn violations_that_no_header_carries_are_counted() {
    let many = (0..1_000)
        .map(|n| FieldFault::new(format!("records[{n}].subject"), "EMPTY", "必填".repeat(5)))
        .collect();
    let status = Status::from(Fault::invalid(many));
    let headers = status.clone().into_http::<tonic::body::Body>();
    let bytes: usize = headers
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 32)
        .sum();
    // Beyond 8 KiB clients on gRPC's C core refuse at random, and lose the answer.
    assert!(bytes < 8 * 1024, "{bytes} bytes of headers");
    let seen = FaultReport::from(&status);
    let omitted: usize = seen.metadata["violations_omitted"]
        .parse()
        .expect("a count");
    assert_eq!(omitted + seen.violations.len(), 1_000);
    assert!(seen.violations.len() > 40);
}

#[test]
fn a_retry_says_when_and_how() {
    let seen = report(Fault::unknown_outcome(
        "store closed",
        Duration::from_millis(250),
    ));
    assert_eq!(seen.code, Code::Unavailable);
    assert_eq!(seen.reason, reason::OUTCOME_UNKNOWN);
    assert_eq!(seen.retry, Some(Duration::from_millis(250)));
    assert!(seen.message.ends_with("retry with the same command id"));

    let busy = report(Fault::resource_exhausted(
        "QUEUE_FULL",
        "too busy",
        Duration::from_secs(1),
    ));
    assert_eq!(
        (busy.code, busy.retry),
        (Code::ResourceExhausted, Some(Duration::from_secs(1)))
    );
}

#[test]
fn a_denial_names_the_right() {
    let seen = report(Fault::permission("lists.nominate", "officers only"));
    assert_eq!(seen.code, Code::PermissionDenied);
    assert_eq!(seen.reason, reason::RIGHT_MISSING);
    assert_eq!(seen.metadata["right"], "lists.nominate");
}

#[test]
fn a_diverged_log_names_both_and_the_remedy() {
    let seen = report(Fault::diverged("log a at 7", "log b", "tally reconcile"));
    assert_eq!(seen.code, Code::FailedPrecondition);
    assert_eq!(seen.reason, reason::LOG_DIVERGED);
    assert_eq!(
        seen.message,
        "the cursor is of log a at 7, this log is log b; reconcile with `tally reconcile`"
    );
    assert_eq!(seen.metadata["cursor"], "log a at 7");
}

#[test]
fn an_internal_fault_does_not_leak() {
    let fault = Fault::internal("password of the database");
    assert!(std::error::Error::source(&fault).is_some());
    let status = Status::from(fault);
    assert_eq!(status.code(), Code::Internal);
    assert!(!format!("{status:?}").contains("password"));
    assert!(!String::from_utf8_lossy(status.details()).contains("password"));
}

#[test]
fn business_refusals_have_their_codes() {
    let cases = [
        (
            Fault::rejected("SUSPENDED", "suspended"),
            Code::FailedPrecondition,
        ),
        (
            Fault::not_found("RECORD_UNKNOWN", "no such record"),
            Code::NotFound,
        ),
        (
            Fault::already_exists("RECORD_EXISTS", "it exists"),
            Code::AlreadyExists,
        ),
        (
            Fault::aborted("CONTENDED", "others were first"),
            Code::Aborted,
        ),
    ];
    for (fault, code) in cases {
        let reason = fault.reason();
        let seen = report(fault.with("version", "3"));
        assert_eq!((seen.code, seen.reason.as_str()), (code, reason));
        assert_eq!(seen.metadata["version"], "3");
    }
}

#[test]
fn a_foreign_status_is_unexplained() {
    let seen = FaultReport::from(&Status::unavailable("proxy says no"));
    assert_eq!(seen.reason, reason::UNEXPLAINED);
    assert_eq!(seen.message, "proxy says no");
}
