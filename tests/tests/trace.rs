//! One trace from push to feedback. In a process of its own: a subscriber is
//! global.

use tally_proto::tally::audit::v1 as audit;
use tally_tests::harness::*;
use tracing::Instrument as _;

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_push_to_feedback() {
    let spans = tally_telemetry::in_memory();
    let scene = Scene::start().await;
    let case = tracing::info_span!("case");
    async {
        scene.listed(COMPANY).await;
        scene.mesh.settle().await;
        let directive = mailbox(&scene.responder).await[0]
            .directive
            .clone()
            .expect("a directive");
        let officer = scene.mesh.officer(TAX, "7").await;
        let (id, on) = (&directive.directive_id, "2026-03-02");
        execute(&scene.responder, &officer, id, on).await;
        report(&scene.responder, id, on).await;
    }
    .instrument(case.clone())
    .await;
    let traceparent = case.in_scope(tally_telemetry::traceparent_of_current);
    drop(case);
    let trace_id = traceparent
        .split('-')
        .nth(1)
        .expect("a W3C trace context")
        .to_owned();
    scene.mesh.settle().await;

    // Every event of the chain carries the trace: also the directive, which no
    // caller asked for, and the feedback that is due because of it.
    let request = audit::ReplayRequest {
        subject: COMPANY.to_owned(),
        ..Default::default()
    };
    let history = scene.mesh.replay(request).await;
    let traced: Vec<&String> = history
        .iter()
        .filter(|line| line.contains(&trace_id))
        .collect();
    for event in [
        "RecordAccepted",
        "EntryListed",
        "DirectiveTriggered",
        "FeedbackDue",
        "FeedbackSubmitted",
    ] {
        assert!(
            traced.iter().any(|json| json.contains(event)),
            "{event} is not in the trace"
        );
    }
    scene.mesh.stop().await;

    let of_trace = spans.of_trace(&trace_id);
    for method in ["PushRecord", "Nominate", "List", "Report"] {
        assert!(
            of_trace.iter().any(|span| span.name.contains(method)),
            "no span of {method}"
        );
    }
    // Group commit serves many traces; its spans link to the commands in them.
    let linked = spans
        .spans()
        .into_iter()
        .filter(|span| span.name == "append_batch")
        .any(|span| span.links.iter().any(|(trace, _)| *trace == trace_id));
    assert!(linked, "no batch links to the commands in it");
}
