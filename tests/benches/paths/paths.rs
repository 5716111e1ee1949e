//! The paths: ours first, then bare with what ours has made.

use tally::data_dir::DataDir;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_service::logs;
use tally_tests::harness::question;

use crate::bare::Bare;
use crate::content;
use crate::load::{self, KINDS, PLAIN};
use crate::material::Material;
use crate::material::sqlite::Before;
use crate::meter::Meter;
use crate::ours::{client_tls, server_tls, start_again};
use crate::report::{Report, Turn, percentile};
use crate::stage::{LISTED_EVERY, Stage};

/// Streams on which records are pushed, and connections of unary checks.
pub const CLIENTS: usize = 4;

/// Streams on which checks are asked.
const CHECK_STREAMS: usize = 2;

/// Pushes `count` records, one in `personal_every` with sealed fields, until the
/// last receipt is there and every view has caught up.
pub async fn ingest(
    stage: &mut Stage,
    count: usize,
    personal_every: Option<usize>,
    report: &mut Report,
) {
    let numbers = stage.numbers(count);
    let requests = content::records(stage.world(), numbers, personal_every);
    let ours = stage.open().await;
    let clients = ours.connect(CLIENTS).await;
    let before = Before::read(&ours.store()).await;
    let ours_requests = requests.clone();
    let meter = Meter::start();
    let kept = load::push(&clients, ours_requests).await;
    let answered = meter.read().elapsed;
    ours.caught_up(logs::COLLECTION).await;
    let settled = meter.read();
    assert_eq!(kept.counts[PLAIN], count, "every record is accepted");
    drop(clients);
    let dir = stage.close(ours.stop().await);
    if personal_every.is_none() {
        report.add_start(start_again(&dir).await);
    }

    let data = DataDir::new(&dir);
    let material = Material::read(
        &data.store(None),
        &data.keyring(),
        logs::COLLECTION,
        &before,
        count,
    )
    .await;
    describe(&material);
    let bare = Bare::collection(stage.bare(), &server_tls(&dir), material, kept.samples).await;
    let clients = load::connect(&bare.endpoint, &client_tls(&dir), CLIENTS).await;
    let meter = Meter::start();
    let kept = load::push(&clients, requests).await;
    let bare_took = meter.read();
    assert_eq!(kept.counts[PLAIN], count);
    drop(clients);
    bare.stop().await;
    let path = if personal_every.is_some() {
        "1b ingest, one in ten personal"
    } else {
        "1a ingest"
    };
    let notes = vec![
        ("last receipt", answered),
        ("views caught up", settled.elapsed),
    ];
    report.add(
        path,
        Turn {
            count,
            ours: settled,
            bare: bare_took,
            notes,
            gated: true,
        },
    );
}

/// Asks `count` checks one by one and twice as many on streams.
pub async fn checks(stage: &mut Stage, count: usize, report: &mut Report) {
    let subjects = stage.asked();
    let ours = stage.open().await;
    if matches!(stage, Stage::Fresh(_)) {
        let listed: Vec<String> = subjects.iter().step_by(LISTED_EVERY).cloned().collect();
        ours.list(&listed).await;
    }
    let unary: Vec<sanctions::CheckRequest> = questions(&subjects, count);
    let streamed: Vec<sanctions::CheckManyRequest> = questions(&subjects, 2 * count)
        .into_iter()
        .map(|check| sanctions::CheckManyRequest { check: Some(check) })
        .collect();

    let clients = ours.connect(CLIENTS).await;
    let before_unary = Before::read(&ours.store()).await;
    let ours_requests = unary.clone();
    let meter = Meter::start();
    let unary_kept = load::check(&clients, ours_requests).await;
    let unary_answered = meter.read().elapsed;
    ours.caught_up(logs::SANCTIONS_ACCESS).await;
    let unary_settled = meter.read();
    let before_streamed = Before::read(&ours.store()).await;
    let ours_requests = streamed.clone();
    let meter = Meter::start();
    let streamed_kept = load::check_many(&clients[..CHECK_STREAMS], ours_requests).await;
    let streamed_answered = meter.read().elapsed;
    ours.caught_up(logs::SANCTIONS_ACCESS).await;
    let streamed_settled = meter.read();
    drop(clients);
    let dir = stage.close(ours.stop().await);
    let data = DataDir::new(&dir);

    let all = Material::read(
        &data.store(None),
        &data.keyring(),
        logs::SANCTIONS_ACCESS,
        &before_unary,
        3 * count,
    )
    .await;
    let material = first(all, count);
    describe(&material);
    let mut latencies = unary_kept.latencies;
    latencies.sort_unstable();
    judge(&unary_kept.counts);
    let bare = Bare::sanctions(
        stage.bare(),
        &server_tls(&dir),
        material,
        unary_kept.samples,
    )
    .await;
    let clients = load::connect(&bare.endpoint, &client_tls(&dir), CLIENTS).await;
    let meter = Meter::start();
    let bare_kept = load::check(&clients, unary).await;
    let bare_took = meter.read();
    judge(&bare_kept.counts);
    drop(clients);
    bare.stop().await;
    let mut bare_latencies = bare_kept.latencies;
    bare_latencies.sort_unstable();
    let notes = vec![
        ("last answer", unary_answered),
        ("views caught up", unary_settled.elapsed),
        ("one check at p50", percentile(&latencies, 50)),
        ("one check at p99", percentile(&latencies, 99)),
        ("one bare call at p50", percentile(&bare_latencies, 50)),
        ("one bare call at p99", percentile(&bare_latencies, 99)),
    ];
    report.add(
        "2 checks, unary, 64 in flight",
        Turn {
            count,
            ours: unary_settled,
            bare: bare_took,
            notes,
            gated: true,
        },
    );

    let count = 2 * count;
    let material = Material::read(
        &data.store(None),
        &data.keyring(),
        logs::SANCTIONS_ACCESS,
        &before_streamed,
        count,
    )
    .await;
    describe(&material);
    judge(&streamed_kept.counts);
    let bare = Bare::sanctions(
        stage.bare(),
        &server_tls(&dir),
        material,
        streamed_kept.samples,
    )
    .await;
    let clients = load::connect(&bare.endpoint, &client_tls(&dir), CHECK_STREAMS).await;
    let meter = Meter::start();
    let bare_kept = load::check_many(&clients, streamed).await;
    let bare_took = meter.read();
    judge(&bare_kept.counts);
    drop(clients);
    bare.stop().await;
    let notes = vec![
        ("last answer", streamed_answered),
        ("views caught up", streamed_settled.elapsed),
    ];
    report.add(
        "3 checks, 2 streams",
        Turn {
            count,
            ours: streamed_settled,
            bare: bare_took,
            notes,
            gated: true,
        },
    );
}

/// Checks about subjects in turn.
pub fn questions(subjects: &[String], count: usize) -> Vec<sanctions::CheckRequest> {
    (0..count)
        .map(|n| question(&subjects[n % subjects.len()]))
        .collect()
}

/// What is listed is found, and nothing else: a fast wrong answer counts nothing.
fn judge(counts: &[usize; KINDS]) {
    let asked: usize = counts.iter().sum();
    let listed = asked.div_ceil(LISTED_EVERY);
    assert_eq!(*counts, [asked - listed, listed, 0]);
}

/// The rows of the first requests.
fn first(mut material: Material, count: usize) -> Material {
    material.items.truncate(count);
    material
}

/// Says what bare inserts.
pub fn describe(material: &Material) {
    eprintln!(
        "  {} events of {} bytes, {} rows of views, {} more per batch, {} heads, {} checkpoints",
        material.items.len(),
        material.record_bytes() / material.items.len().max(1),
        material.view_rows(),
        material.views.len(),
        material.heads.len(),
        material.checkpoints.len(),
    );
}
