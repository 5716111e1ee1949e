//! What was backed up while the mesh ran is put back.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tally::data_dir::DataDir;
use tally::role::Role;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_tests::harness::*;
use tally_tests::processes::{command, prefix};
use tempfile::TempDir;

use super::{Done, copy_keys, roots, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_is_backed_up_at_work_and_put_back() {
    let scene = Scene::whole().await;
    let (_, listed) = scene.listed(COMPANY).await;
    scene.mesh.settle().await;
    let place = TempDir::new().expect("a temporary directory");
    let archives = place.path().join("archives");
    let arguments = ["--json", "backup", "--keys", "--to", &text(&archives)];
    // The first call connects, and takes longer than the others.
    push(&scene.system, penalty(COMPANY, "before", "2026-03-01")).await;
    let mut backup = tokio::spawn(Done::of(command(scene.mesh.dir.path(), &arguments)));
    let mut pushed = 0u32;
    let done = loop {
        let record = penalty(COMPANY, &format!("meanwhile {pushed}"), "2026-03-01");
        push(&scene.system, record).await;
        pushed += 1;
        if backup.is_finished() {
            break (&mut backup).await.expect("no panic");
        }
    };
    let done = done.exits(0);
    assert!(pushed > 1, "{pushed} records meanwhile");
    let told = Done::of(command(
        scene.mesh.dir.path(),
        &["backup", "--to", &text(&archives)],
    ))
    .await;
    told.exits(2).says(&["nothing is written over"]);
    let alone = ["export", "--to", &text(&place.path().join("export"))];
    let alone = Done::of(command(scene.mesh.dir.path(), &alone)).await;
    alone.exits(4).says(&["in use by another process"]);
    let dir = scene.mesh.stop().await;

    let target = TempDir::new().expect("a temporary directory");
    let restore = [
        "--json",
        "restore",
        "--all",
        "--keys",
        "--from",
        &text(&archives),
    ];
    let without = Done::of(command(target.path(), &restore)).await.exits(2);
    without.says(&["master.key"]);
    copy_keys(dir.path(), target.path());
    let alone = ["restore", "--role", "lists", "--from", &text(&archives)];
    Done::of(command(target.path(), &alone))
        .await
        .exits(2)
        .says(&["--all"]);

    // A file that is not what was written: nothing is put back.
    let file = archives.join("lists").join("records.lists.0000");
    let kept = std::fs::read(&file).expect("records");
    std::fs::write(&file, &kept[..kept.len() - 1]).expect("cut off");
    let damaged = Done::of(command(target.path(), &restore)).await.exits(2);
    damaged.says(&["records.lists.0000", "bytes"]);
    assert!(!DataDir::new(target.path()).store(None).exists());
    std::fs::write(&file, &kept).expect("as it was");

    let restored = Done::of(command(target.path(), &restore)).await.exits(0);
    assert_eq!(roots(&restored), roots(&done));
    Done::of(command(target.path(), &restore))
        .await
        .exits(2)
        .says(&["there is already", "tally.db"]);
    let mesh = Harness::again(target.into()).await;
    mesh.settle().await;
    let responder = mesh.system(TAX).await;
    let answer = check_after(&responder, COMPANY, &listed).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::InForce);
    let system = mesh.system(MARKET).await;
    push(&system, penalty(COMPANY, "afterwards", "2026-03-01")).await;
    mesh.settle().await;
    mesh.assert_history_holds().await;

    // What was not lost is left as it is.
    let dir = mesh.stop().await;
    let again = text(&place.path().join("again"));
    let backup = command(dir.path(), &["backup", "--to", &again]);
    Done::of(backup).await.exits(0);
    let restore = command(dir.path(), &["restore", "--all", "--from", &again]);
    Done::of(restore).await.exits(0).says(&["loaded before"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_role_of_several_is_put_back_under_another_id() {
    let mut scene = Scene::on(Harness::in_processes("2026-03-02T01:00:00Z").await).await;
    let (_, listed) = scene.listed(COMPANY).await;
    scene.mesh.settle().await;
    let place = TempDir::new().expect("a temporary directory");
    let archives = place.path().join("archives");
    let backup = [
        "--json",
        "backup",
        "--role",
        "lists",
        "--to",
        &text(&archives),
    ];
    let done = Done::of(scene.mesh.processes().configured(&backup))
        .await
        .exits(0);
    assert_eq!(done.lines().len(), 1);

    // The schema is lost.
    let dir = scene.mesh.dir.path().to_owned();
    let processes = scene.mesh.processes();
    let restore = [
        "--json",
        "restore",
        "--role",
        "lists",
        "--from",
        &text(&archives),
    ];
    let refused = Done::of(processes.configured(&restore)).await.exits(2);
    refused.says(&["lists", "is not empty", "records", "openings"]);
    let import = ["import-log", "--from", &text(&archives)];
    let import = Done::of(processes.configured(&import)).await.exits(2);
    import.says(&[
        "it is a backup",
        "no archive of catalog",
        "no archive of keyring",
    ]);
    processes.kill(Role::Lists);
    let url = std::env::var("DATABASE_URL").expect("the services run");
    let mut database = PgConnection::connect(&url).await.expect("it answers");
    let drop = format!("DROP SCHEMA \"{}_lists\" CASCADE", prefix(&dir));
    sqlx::raw_sql(AssertSqlSafe(drop))
        .execute(&mut database)
        .await
        .expect("dropped");
    let missing = Done::of(processes.configured(&restore)).await.exits(2);
    missing.says(&["tally migrate"]);
    processes.migrate();
    let restored = Done::of(processes.configured(&restore)).await.exits(0);
    assert_eq!(roots(&restored), roots(&done));
    let again = Done::of(processes.configured(&restore)).await.exits(2);
    again.says(&["is not empty"]);
    processes.revive(Role::Lists).await;

    scene.mesh.settle().await;
    let (_, other) = scene.listed(OTHER_COMPANY).await;
    assert_ne!(
        other.log_id, listed.log_id,
        "it is another log from there on"
    );
    for (subject, receipt) in [(COMPANY, &listed), (OTHER_COMPANY, &other)] {
        let answer = check_after(&scene.responder, subject, receipt).await;
        assert_eq!(
            answer.outcome(),
            sanctions::CheckOutcome::InForce,
            "{subject}: {}",
            answer.undetermined_reason
        );
    }
    scene.mesh.settle().await;
    scene.mesh.assert_history_holds().await;
    scene.mesh.stop().await;
}
