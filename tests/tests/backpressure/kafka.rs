//! Kafka is away while the mesh is at work.

use std::time::{Duration, Instant};

use tally::client::command_id;
use tally::role::Role;
use tally_eventlog::group::GroupOptions;
use tally_eventlog::relay::RelayOptions;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::collection::v1::push_records_response::Outcome;
use tally_proto::tally::log::v1::Receipt;
use tally_proto::tally::sanctions::v1::CheckOutcome;
use tally_sanctions::CheckOptions;
use tally_tests::accounts;
use tally_tests::harness::*;
use tally_tests::load::{Ledger, Load};
use tally_tests::memory::Watch;
use tally_tests::organisations::subjects;
use tally_tests::outage::{Away, FaultLog, alone, outage};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{SETTLES, START, large, mebibytes};

/// The clock of a check is looked at between two of them.
const MARGIN: Duration = Duration::from_secs(2);

/// Records that are pushed and not answered yet.
const UNANSWERED: usize = 64;

/// The least that is withheld from the topics, so that what is held of it would show.
const WITHHELD_MIN: u64 = 96 << 20;

/// Shards of the mesh's logs.
const SHARDS: usize = 4;

/// What a role may hold however much is withheld: of each shard the newest records, and
/// what the relays of its log and of its published topic have handed over, which
/// librdkafka has once more.
fn in_hand() -> u64 {
    let relayed = RelayOptions::default().bytes_in_flight_max;
    let of_shard = GroupOptions::default().tail_bytes_max + 2 * 2 * relayed;
    (SHARDS * of_shard) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn while_kafka_is_away_owners_go_on_checks_are_undetermined_and_memory_is_bounded() {
    let _alone = alone().await;
    let mut scene = Scene::on(Harness::in_processes(START).await).await;
    let mut pushed = Vec::new();
    let mut listed = Vec::new();
    for company in [COMPANY, OTHER_COMPANY] {
        let (record, _) = push(&scene.system, penalty(company, company, "2026-03-01")).await;
        let listing = BlackListing::today(company, &record, "2027-03-01");
        let (entry, receipt) = list_black(&scene.first, &scene.second, &listing).await;
        let answer = scene.check_after(company, &receipt).await;
        assert_eq!(answer.outcome(), CheckOutcome::InForce);
        pushed.push((record, company.to_owned()));
        listed.push((company, entry));
    }
    let load = Load::start(&scene.mesh).await;
    let mut faults = FaultLog::of("Kafka is away");
    let mut ways = [
        ("SIGSTOP of the broker", "kafka-stop", "kafka-cont"),
        ("SIGKILL of the broker", "kafka-kill", "kafka-start"),
    ]
    .into_iter();
    for (company, entry) in &listed {
        let (what, stop, start) = ways.next().expect("a way for each company");
        let watch = Watch::start(scene.mesh.processes());
        let before = load.acknowledged();
        let away = async {
            let away = Away::by(stop, start).await;
            let (records, suspended) = tokio::join!(
                push_large(&scene, what, outage()),
                suspend(&scene, company, entry)
            );
            let went_on = load.acknowledged() - before;
            away.ends().await;
            (records, suspended, went_on)
        };
        let (records, suspended, went_on) = faults.strike(&load, what, away).await;
        assert!(went_on > 0, "owners go on while Kafka is away");
        let answer = scene.check_after(company, &suspended).await;
        assert_eq!(answer.outcome(), CheckOutcome::Clear);
        watch.report(what);
        let withheld: u64 = records.iter().map(|(_, bytes)| bytes).sum();
        println!("{what}: {:.0} MiB were withheld", mebibytes(withheld));
        for role in Role::ALL {
            let growth = watch.growth(role);
            assert!(
                growth < in_hand() + withheld / 4,
                "{role} grew by {:.0} MiB",
                mebibytes(growth)
            );
        }
        pushed.extend(records.into_iter().map(|((id, number), _)| (id, number)));
    }
    let mut ledger: Ledger = load.end().await;
    ledger.records.extend(pushed);
    scene.mesh.settle_within(SETTLES).await;
    accounts::add_up(&scene.mesh, &ledger).await;
    scene.mesh.stop().await;
}

/// Accepts an objection that nobody hears of: within the bound no check says in force.
async fn suspend(scene: &Scene, company: &str, entry: &str) -> Receipt {
    let suspended = accept_objection(&scene.third, entry).await;
    let struck = Instant::now();
    let bound = CheckOptions::default().freshness + MARGIN;
    scene.stale_checks(company, struck, bound).await;
    // After half a minute without anything a reader asks the owner, and knows.
    let answer = scene.check_once(company).await.outcome();
    assert!(
        matches!(answer, CheckOutcome::Undetermined | CheckOutcome::Clear),
        "{answer:?}"
    );
    suspended
}

/// Pushes large records for so long, or until there are enough, and returns each with its bytes.
async fn push_large(scene: &Scene, what: &str, lasts: Duration) -> Vec<((String, String), u64)> {
    let (sender, receiver) = mpsc::channel(1);
    let (note, mut noted) = mpsc::channel(UNANSWERED);
    let numbered = what.to_owned();
    let sending = tokio::spawn(async move {
        let (began, subjects) = (Instant::now(), subjects(3_900));
        let mut sent = 0;
        for n in 0.. {
            if began.elapsed() > lasts && sent > WITHHELD_MIN {
                return;
            }
            // Nobody else pushes about these.
            let subject = &subjects[3_800 + n % 64];
            let number = format!("{numbered} {n}");
            let request = collection::PushRecordsRequest {
                command_id: command_id(),
                record: Some(large(subject, &number)),
                ..Default::default()
            };
            let bytes = prost::Message::encoded_len(&request) as u64;
            sent += bytes;
            // Whoever fails is seen below.
            if note.send((number, bytes)).await.is_err() || sender.send(request).await.is_err() {
                return;
            }
        }
    });
    let mut caller = scene.system.collection();
    let answers = caller.push_records(ReceiverStream::new(receiver)).await;
    let mut answers = answers.expect("a stream").into_inner();
    let mut records = Vec::new();
    while let Some(answer) = answers.message().await.expect("the stream goes on") {
        let Some(Outcome::Accepted(accepted)) = answer.outcome else {
            panic!("refused: {answer:?}");
        };
        let (number, bytes) = noted.recv().await.expect("it was sent");
        records.push(((accepted.record_id, number), bytes));
    }
    sending.await.expect("it is sent");
    records
}
