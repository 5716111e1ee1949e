//! Days for an answer that were provisional until the holiday notice came.

use jiff::civil::date;
use tally_domain::calendar::HolidayNotice;
use tally_eventlog::store::EventStore as _;
use tally_proto::tally::lists::v1 as pb;
use tally_proto::tally::lists::v1::lists_service_server::ListsService as _;
use tally_service::logs;

use crate::mesh::*;

const TERM: (&str, &str) = ("2026-01-05", "2027-12-31");

/// Told on the last Friday of the last year that has a notice.
async fn told(mesh: &Mesh) -> String {
    mesh.clock
        .advance_to(at("2026-12-25T01:00:00Z"))
        .expect("forward");
    let ground = mesh.push(MOUTAI, "administrative-penalty").await;
    let nominated = mesh
        .lists
        .nominate(by(CITY, 1, nominate(MOUTAI, &ground, TERM)))
        .await
        .expect("nominated");
    let entry_id = nominated.into_inner().entry_id;
    let request = pb::NotifyRequest {
        served_on: "2026-12-25".into(),
        ..notify(&entry_id)
    };
    let told = mesh.lists.notify(by(CITY, 1, request)).await;
    let told = told.expect("notified").into_inner();
    assert_eq!(
        (told.representation_until.as_str(), told.provisional),
        ("2027-01-01", true)
    );
    mesh.known(tally_lists::SELF, MOUTAI).await;
    entry_id
}

fn publish_notice(mesh: &Mesh, version: &str) {
    let mut pack = tally_catalog::pack::embedded().expect("its own tests pass");
    pack.meta.version = version.into();
    let notice = HolidayNotice {
        year: 2027,
        off: [date(2027, 1, 1), date(2027, 1, 2), date(2027, 1, 3)].into(),
        makeup: Vec::new(),
    };
    pack.holidays.insert(2027, notice);
    load(&mesh.deps.catalogue, &pack);
}

async fn fixed_events(mesh: &Mesh) -> usize {
    let records = mesh.records(logs::LISTS, MOUTAI).await.into_iter();
    let fixed = records.filter(|it| it.envelope.event_type == "tally.lists.v1.DeadlineFixed");
    fixed.count()
}

#[tokio::test]
async fn a_provisional_day_is_fixed_by_an_event_when_the_notice_arrives() {
    let mesh = Mesh::start().await;
    let entry_id = told(&mesh).await;
    let entry = mesh.entry(&entry_id).await;
    assert!(entry.representation_provisional);
    assert_eq!(mesh.subject_entries(MOUTAI).await.entries, [entry]);

    publish_notice(&mesh, "2027.1");
    let fixed = mesh.happens(MOUTAI, "tally.lists.v1.DeadlineFixed").await;
    assert_eq!(fixed.envelope.pack_version, "2027.1");
    let entry = mesh.entry(&entry_id).await;
    assert_eq!(
        (
            entry.representation_until.as_str(),
            entry.representation_provisional
        ),
        ("2027-01-04", false),
        "new year's day is off"
    );
    assert_eq!(mesh.subject_entries(MOUTAI).await.entries, [entry]);

    mesh.clock
        .advance_to(at("2027-01-04T01:00:00Z"))
        .expect("forward");
    let early = mesh.lists.list(by(CITY, 2, list(&entry_id))).await;
    assert_eq!(
        reason(&early.expect_err("still open")),
        "REPRESENTATION_OPEN"
    );
    mesh.clock
        .advance_to(at("2027-01-05T01:00:00Z"))
        .expect("forward");
    let listed = mesh.lists.list(by(CITY, 2, list(&entry_id))).await;
    listed.expect("the day has passed");
}

#[tokio::test]
async fn a_day_is_fixed_once_however_often_the_timer_starts_over() {
    let mesh = Mesh::start().await;
    told(&mesh).await;
    let shard = mesh.shard(MOUTAI);
    let view = "lists.provisional";
    let rows = mesh.store.scan(view, shard, &[], None, 10).await;
    let (key, value) = rows.expect("readable").pop().expect("one row");
    let timers = tally_lists::timers(&mesh.deps);
    let timer = timers.iter().find(|timer| timer.handler.view() == view);
    let timer = &timer.expect("it is among them").handler;
    // Nothing has changed: the day stays as it is, and may still move.
    let fired = timer.fire(shard, key.clone(), value.clone()).await;
    fired.expect("nothing to do");
    assert_eq!(fixed_events(&mesh).await, 0);

    publish_notice(&mesh, "2027.1");
    for _ in 0..3 {
        // As after a crash between the event and the row that it takes out.
        let fired = timer.fire(shard, key.clone(), value.clone()).await;
        fired.expect("fixed, or fixed before");
    }
    mesh.known(tally_lists::SELF, MOUTAI).await;
    assert_eq!(fixed_events(&mesh).await, 1);
    let rows = mesh.store.scan(view, shard, &[], None, 10).await;
    assert!(rows.expect("readable").is_empty());
}
