//! A mesh of one process goes on in several, exactly there.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tally::client::{Client, command_id};
use tally::data_dir::DataDir;
use tally::mesh::MeshOptions;
use tally_eventlog::append::{Append, RowKey, ViewWrite};
use tally_eventlog::clock::SystemClock;
use tally_eventlog::group::GroupOptions;
use tally_eventlog::shard::ShardCount;
use tally_eventlog::store::{EventStore as _, LogSource as _, Row};
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::log::v1::Cursor;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_rpc::FaultReport;
use tally_sanctions::view;
use tally_service::logs;
use tally_store_sqlite::{SqliteOptions, SqliteStore};
use tally_tests::harness::*;
use tally_tests::organisations::subjects;
use tally_tests::processes::{Processes, command, prefix};
use tempfile::TempDir;

use super::{Done, copy_keys, roots, text};

/// A third company.
static THIRD_COMPANY: LazyLock<String> = LazyLock::new(|| subjects(1).remove(0));

/// Bound on waiting; only a test that fails waits that long.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Takes what sanctions knows of a company out of a stopped mesh, or gives it back.
async fn on_row(dir: &Path, row: Option<Row>) -> Row {
    let path = DataDir::new(dir).store(None);
    let info = SqliteStore::inspect(&path).await.expect("readable");
    let store = SqliteStore::open(SqliteOptions {
        path,
        logs: logs::ALL.to_vec(),
        shards: info.expect("the mesh has made it").shards,
        clock: Arc::new(SystemClock::default()),
        group: GroupOptions::default(),
        linker: None,
        create: None,
    });
    let store = store.await.expect("nobody else has it open");
    let shard = store.shards().of(OTHER_COMPANY);
    let rows = store.scan(view::SUBJECT, shard, &[], None, 100).await;
    let found = rows.expect("readable").into_iter();
    let mut found = found.filter(|row| row.0.as_ref() == OTHER_COMPANY.as_bytes());
    let (key, value) = match &row {
        Some((key, value)) => (key.clone(), Some(value.clone())),
        None => (found.next().expect("it is listed").0, None),
    };
    let taken = store
        .rows(&[RowKey {
            view: view::SUBJECT,
            shard,
            key: key.clone(),
        }])
        .await;
    let taken = taken.expect("readable").remove(0);
    let append = Append {
        views: vec![ViewWrite {
            row: RowKey {
                view: view::SUBJECT,
                shard,
                key: key.clone(),
            },
            value: value.clone(),
        }],
        ..Append::to(logs::SANCTIONS, shard)
    };
    for written in store.append(vec![append]).await {
        written.expect("written");
    }
    store.close().await.expect("closed");
    (key, taken.or(value).expect("a row"))
}

async fn subscribe(client: &Client, cursor: Option<Cursor>) -> Vec<sanctions::SubscribeResponse> {
    let request = sanctions::SubscribeRequest {
        cursor,
        until_head: true,
    };
    let mut stream = client
        .sanctions()
        .subscribe(request)
        .await
        .expect("subscribed")
        .into_inner();
    let mut items = Vec::new();
    while let Some(item) = stream.message().await.expect("the stream goes on") {
        items.push(item);
    }
    // No order holds across shards.
    let place = |item: &sanctions::SubscribeResponse| {
        let cursor = item.cursor.as_ref().expect("every item has a cursor");
        (cursor.shard, cursor.number)
    };
    items.sort_by_key(place);
    items
}

fn parked_events(told: &Done) -> u64 {
    let events = |one: &serde_json::Value| one["events"].as_str()?.parse::<u64>().ok();
    told.lines().iter().filter_map(events).sum()
}

/// What the first mesh leaves, and the client of it remembers.
struct Left {
    dir: MeshDir,
    suspended: String,
    command: collection::PushRecordRequest,
    first: collection::PushRecordResponse,
    cursor: Cursor,
    rest: Vec<sanctions::SubscribeResponse>,
}

/// A mesh in the middle of its work.
async fn at_work() -> Left {
    let dir = TempDir::new().expect("a temporary directory");
    let options = MeshOptions {
        test_clock: Some("2026-03-02T01:00:00Z".parse().expect("a timestamp")),
        // As the processes are configured.
        shards: ShardCount::new(4).expect("in range"),
        ..MeshOptions::in_dir(DataDir::new(dir.path()))
    };
    let scene = Scene::on(Harness::with(options, dir).await).await;
    let (suspended, _) = scene.listed(COMPANY).await;
    let (parked, _) = scene.listed(OTHER_COMPANY).await;
    scene.listed_until(&THIRD_COMPANY, "2026-03-20").await;
    let request = collection::PushRecordRequest {
        command_id: command_id(),
        record: Some(penalty(COMPANY, "penalty 77", "2026-03-01")),
        ..Default::default()
    };
    let first = scene.system.collection().push_record(request.clone()).await;
    let first = first.expect("accepted").into_inner();
    accept_objection(&scene.third, &suspended).await;
    scene.mesh.settle().await;
    let items = subscribe(&scene.responder, None).await;
    let cursor = Cursor {
        log_id: items[0].log_id.clone(),
        shards: items[0].cursor.clone().into_iter().collect(),
    };
    let rest = subscribe(&scene.responder, Some(cursor.clone())).await;
    assert!(!rest.is_empty() && rest.len() < items.len(), "{items:#?}");

    // An event that sanctions cannot apply: it knows nothing of the company.
    let dir = scene.mesh.stop().await;
    let row = on_row(dir.path(), None).await;
    let options = MeshOptions::in_dir(DataDir::new(dir.path()));
    let again = Harness::with(options, dir).await;
    let third = again.officer(MARKET, "3").await;
    accept_objection(&third, &parked).await;
    let told = tokio::time::timeout(WAIT_MAX, async {
        loop {
            let told = Done::of(command(again.dir.path(), &["--json", "parked", "list"])).await;
            if parked_events(&told) > 0 {
                return;
            }
        }
    });
    told.await.expect("it is parked");
    again.settle().await;
    let dir = again.stop().await;
    on_row(dir.path(), Some(row)).await;
    Left {
        dir,
        suspended,
        command: request,
        first,
        cursor,
        rest,
    }
}

/// Kills the import while it waits for a lock on a role's schema, after others were loaded.
async fn import_killed(processes: &Processes, dir: &Path, archives: &Path) {
    let schema = format!("{}_sanctions", prefix(dir));
    let url = std::env::var("DATABASE_URL").expect("the services run");
    let mut other = PgConnection::connect(&url).await.expect("it answers");
    let mut lock = other.begin().await.expect("a transaction");
    // Reading goes on beside it, loading does not.
    let statement = format!("LOCK TABLE \"{schema}\".log IN ROW EXCLUSIVE MODE");
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut *lock)
        .await
        .expect("locked");
    let mut child = processes
        .configured(&["import-log", "--from", &text(archives)])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let waits = format!(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = '\"{schema}\".log'::regclass)"
    );
    let waiting = tokio::time::timeout(WAIT_MAX, async {
        while !sqlx::query_scalar::<_, bool>(AssertSqlSafe(waits.clone()))
            .fetch_one(&mut *lock)
            .await
            .expect("it answers")
        {
            assert!(
                child.try_wait().expect("it is a child").is_none(),
                "it has ended"
            );
        }
    });
    waiting.await.expect("it waits for the lock");
    child.kill().expect("it is killed");
    child.wait().expect("it is dead");
    lock.rollback().await.expect("unlocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_of_one_process_goes_on_in_several() {
    let left = at_work().await;
    let place = TempDir::new().expect("a temporary directory");
    let archives = place.path().join("archives");
    let exported = command(
        left.dir.path(),
        &["--json", "export", "--to", &text(&archives)],
    );
    let exported = Done::of(exported).await.exits(0);
    assert_eq!(exported.lines().len(), 7, "six roles and the key ring");

    // The source has ended; it can be exported again, and nothing is written over.
    let up = ["up", "--listen", "127.0.0.1:0"];
    let up = Done::of(command(left.dir.path(), &up)).await.exits(4);
    up.says(&[
        "exported at",
        "goes on in the mesh that it was imported into",
    ]);
    let again = command(left.dir.path(), &["export", "--to", &text(&archives)]);
    Done::of(again)
        .await
        .exits(2)
        .says(&["nothing is written over"]);
    let second = place.path().join("second");
    let again = command(
        left.dir.path(),
        &["--json", "export", "--to", &text(&second)],
    );
    assert_eq!(roots(&Done::of(again).await.exits(0)), roots(&exported));

    let target = TempDir::new().expect("a temporary directory");
    let dir = target.path();
    copy_keys(left.dir.path(), dir);
    let processes = Processes::prepared(dir, None).await;
    let mut mesh = Harness::of(processes, target);
    let dir = mesh.dir.path().to_owned();
    let mut lacking = mesh
        .processes()
        .configured(&["import-log", "--from", &text(&archives)]);
    lacking.args(["--set", "store.schema=t_nobody"]);
    let lacking = Done::of(lacking).await.exits(2);
    lacking.says(&[
        "catalog: there is no store",
        "feedback: there is no store",
        "tally migrate",
    ]);
    import_killed(mesh.processes(), &dir, &archives).await;
    let import = ["--json", "import-log", "--from", &text(&archives)];
    let imported = Done::of(mesh.processes().configured(&import))
        .await
        .exits(0);
    assert_eq!(roots(&imported), roots(&exported));
    let before = |one: &serde_json::Value| one["loaded_before"] == true;
    let of = |one: &serde_json::Value| one["of"].as_str().expect("a name").to_owned();
    let loaded: Vec<String> = imported
        .lines()
        .iter()
        .filter(|one| before(one))
        .map(of)
        .collect();
    assert_eq!(loaded, ["key ring", "catalog", "collection", "lists"]);
    let imported = Done::of(mesh.processes().configured(&import))
        .await
        .exits(0);
    // The role that has nothing is there in any case.
    let holds = |one: &serde_json::Value| of(one) != "audit";
    let mut lines = imported.lines();
    lines.retain(holds);
    assert!(lines.iter().all(before), "{}", imported.out);

    mesh.processes().serve().await;
    goes_on(&left, mesh, &import).await;
}

/// What was begun before the move ends after it.
async fn goes_on(left: &Left, mut mesh: Harness, import: &[&str]) {
    let system = mesh.system(MARKET).await;
    let (second, fourth) = (
        mesh.officer(MARKET, "2").await,
        mesh.officer(MARKET, "4").await,
    );
    let responder = mesh.system(TAX).await;
    mesh.settle().await;

    let repeated = system.collection().push_record(left.command.clone()).await;
    let repeated = repeated.expect("the first result").into_inner();
    let accepted = |answer: &collection::PushRecordResponse| {
        let accepted = answer.accepted.clone().expect("accepted");
        let receipt = accepted.receipt.expect("a receipt");
        (
            accepted.record_id,
            receipt.position,
            receipt.leaf_hash,
            receipt.log_id,
        )
    };
    assert_eq!(accepted(&repeated), accepted(&left.first));
    assert_eq!(
        subscribe(&responder, Some(left.cursor.clone())).await,
        left.rest
    );

    let asked = async |subject: &str| check(&responder, question(subject)).await;
    assert_eq!(
        asked(COMPANY).await.outcome(),
        sanctions::CheckOutcome::Clear,
        "suspended"
    );
    assert_eq!(
        asked(&THIRD_COMPANY).await.outcome(),
        sanctions::CheckOutcome::InForce
    );
    assert_eq!(
        asked(OTHER_COMPANY).await.undetermined_reason,
        "SUBJECT_PARKED"
    );
    let parked = Done::of(mesh.processes().tally(&["--json", "parked", "list"]))
        .await
        .exits(0);
    assert_eq!(parked_events(&parked), 1, "{}", parked.out);
    Done::of(
        mesh.processes()
            .tally(&["parked", "replay", "sanctions.lists"]),
    )
    .await
    .exits(0);

    let request = lists::UpholdRequest {
        command_id: command_id(),
        entry_id: left.suspended.clone(),
        decision: document("upheld 1"),
        reason: "the facts stand".to_owned(),
    };
    // An officer is the same person as before: who listed cannot decide on it.
    let own = second.lists().uphold(request.clone()).await;
    let own = FaultReport::from(&own.expect_err("it was the second officer"));
    assert_eq!(own.reason, "OTHER_OFFICER_REQUIRED", "{own}");
    let upheld = fourth.lists().uphold(request).await.expect("upheld");
    let upheld = upheld.into_inner().receipt.expect("a receipt");
    let answer = check_after(&responder, COMPANY, &upheld).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::InForce);

    // A term ends by a timer, whose row came along.
    mesh.advance("2026-03-23T01:00:00Z").await;
    let expired = tokio::time::timeout(WAIT_MAX, async {
        let request = || tally_proto::tally::audit::v1::ReplayRequest {
            log: "lists".to_owned(),
            ..Default::default()
        };
        loop {
            let history = mesh.replay(request()).await;
            if history.iter().any(|line| line.contains("EntryExpired")) {
                return;
            }
        }
    });
    expired.await.expect("it expires");
    mesh.settle().await;
    mesh.assert_history_holds().await;

    // It is no place for an import any more.
    let refused = Done::of(mesh.processes().configured(import)).await.exits(2);
    refused.says(&["sanctions", "lists", "is not empty", "records", "openings"]);
    mesh.stop().await;
}
