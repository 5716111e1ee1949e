//! Postgres stands still while the mesh is at work.

use std::future::Future;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tally::client::command_id;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_tests::accounts;
use tally_tests::harness::*;
use tally_tests::load::Load;
use tally_tests::outage::{Away, FaultLog, alone};
use tally_tests::patience::is_hinted;
use tonic::{Code, Response, Status};

use crate::{SETTLES, START};

/// Within this a call is answered that meets a database which hangs: docs/OPERATIONS.md.
const ANSWERED: Duration = Duration::from_secs(16);

/// What the way there and back may take beside it, on a machine that is busy.
const MARGIN: Duration = Duration::from_secs(5);

/// A call and how it was answered.
type Called<'a> = BoxFuture<'a, (&'static str, Result<(), Status>, Duration)>;

fn call<'a, T: 'a>(
    what: &'static str,
    answer: impl Future<Output = Result<Response<T>, Status>> + Send + 'a,
) -> Called<'a> {
    async move {
        let began = Instant::now();
        let answer = answer.await.map(drop);
        (what, answer, began.elapsed())
    }
    .boxed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stands_still_is_answered_for_in_time_and_with_a_hint() {
    let _alone = alone().await;
    let scene = Scene::on(Harness::in_processes(START).await).await;
    let (record, _) = push(&scene.system, penalty(COMPANY, "penalty 1", "2026-03-01")).await;
    let listing = BlackListing::today(COMPANY, &record, "2027-03-01");
    let (entry, _) = list_black(&scene.first, &scene.second, &listing).await;
    scene.mesh.settle().await;
    let directive = mailbox(&scene.responder).await.remove(0);
    let directive = directive.directive.expect("a directive").directive_id;
    let load = Load::start(&scene.mesh).await;
    load.may_hang();
    let mut faults = FaultLog::of("Postgres stands still");

    let away = async {
        let away = Away::by("postgres-stop", "postgres-cont").await;
        let calls = calls(&scene, &record, &entry, &directive);
        let answers = futures::future::join_all(calls).await;
        away.ends().await;
        answers
    };
    let answers = faults.strike(&load, "SIGSTOP of Postgres", away).await;
    let mut refused = 0;
    for (what, answer, took) in answers {
        let code = answer.as_ref().err().map(Status::code);
        faults.write(&format!(
            "{what}: {code:?} after {:.1} s",
            took.as_secs_f64()
        ));
        assert!(took < ANSWERED + MARGIN, "{what} took {took:?}");
        let Err(status) = answer else { continue };
        refused += 1;
        let may = matches!(status.code(), Code::Unavailable | Code::ResourceExhausted);
        assert!(may && is_hinted(&status), "{what}: {status:?}");
    }
    assert!(refused > 0, "nobody needs the database");
    let mut ledger = load.end().await;
    ledger.records.insert(record, "penalty 1".to_owned());
    scene.mesh.settle_within(SETTLES).await;
    // What was in doubt is known again: a repeat of the directive's is answered.
    let acknowledged = acknowledge(&scene, &directive).await;
    acknowledged.expect("the database is back");
    scene.mesh.settle_within(SETTLES).await;
    let (id, number) = pushed_meanwhile(&scene).await;
    ledger.records.insert(id, number);
    accounts::add_up(&scene.mesh, &ledger).await;
    scene.mesh.stop().await;
}

fn unpushed() -> collection::PushRecordRequest {
    collection::PushRecordRequest {
        command_id: command_id(),
        record: Some(penalty(OTHER_COMPANY, "meanwhile", "2026-03-01")),
        ..Default::default()
    }
}

/// The record that was pushed while the database stood still: it may have been taken
/// in after its caller was told that this is not known, and is pushed once more.
async fn pushed_meanwhile(scene: &Scene) -> (String, String) {
    let answer = scene.system.collection().push_record(unpushed()).await;
    let answer = answer.expect("the database is back").into_inner();
    let id = answer.accepted.expect("it is accepted").record_id;
    (id, "meanwhile".to_owned())
}

async fn acknowledge(
    scene: &Scene,
    directive: &str,
) -> Result<Response<sanctions::AcknowledgeResponse>, Status> {
    let request = sanctions::AcknowledgeRequest {
        command_id: command_id(),
        directive_id: directive.to_owned(),
    };
    scene.responder.sanctions().acknowledge(request).await
}

/// Commands and questions to every role.
fn calls<'a>(
    scene: &'a Scene,
    record: &'a str,
    entry: &'a str,
    directive: &'a str,
) -> Vec<Called<'a>> {
    let (system, responder) = (&scene.system, &scene.responder);
    let (first, third) = (&scene.first, &scene.third);
    vec![
        call("push a record", async {
            system.collection().push_record(unpushed()).await
        }),
        call("get a record", async move {
            let request = collection::GetRecordRequest {
                record_id: record.to_owned(),
                ..Default::default()
            };
            system.collection().get_record(request).await
        }),
        call("follow publications", async {
            let request = collection::FollowPublicationsRequest {
                until_head: true,
                ..Default::default()
            };
            system.collection().follow_publications(request).await
        }),
        call("accept an objection", async move {
            let request = lists::AcceptObjectionRequest {
                command_id: command_id(),
                entry_id: entry.to_owned(),
                objection: document("objection 1"),
            };
            third.lists().accept_objection(request).await
        }),
        call("get an entry", async move {
            let request = lists::GetEntryRequest {
                entry_id: entry.to_owned(),
            };
            first.lists().get_entry(request).await
        }),
        call("check", async {
            responder.sanctions().check(question(COMPANY)).await
        }),
        call("acknowledge", acknowledge(scene, directive)),
        call("get a directive", async move {
            let request = sanctions::GetDirectiveRequest {
                directive_id: directive.to_owned(),
            };
            responder.sanctions().get_directive(request).await
        }),
        call("subscribe", async {
            let request = sanctions::SubscribeRequest {
                cursor: None,
                until_head: true,
            };
            responder.sanctions().subscribe(request).await
        }),
    ]
}
