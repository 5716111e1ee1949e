//! A process that dies loses nothing that it acknowledged.

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::{LOG, SHARD, append, command, open, stream};
use tally_eventlog::store::{EventStore as _, LogSource as _};
use tokio::task::JoinSet;
use uuid::Uuid;

const STORE: &str = "TALLY_TEST_KILL_STORE";

/// The process that is killed: this test again, with a store to append to. It
/// prints each command that was acknowledged.
#[tokio::test]
async fn child_appends_until_it_is_killed() {
    let Some(path) = std::env::var_os(STORE) else {
        return;
    };
    let store = Arc::new(open(&PathBuf::from(path)).await);
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            loop {
                let id = Uuid::now_v7();
                append(&store, command(id)).await;
                println!("\nacknowledged {id}");
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.db");
    let mut acknowledged: Vec<Uuid> = Vec::new();
    for round in 1..=5 {
        let mut child = Command::new(std::env::current_exe().expect("this test's path"))
            .args(["child_appends_until_it_is_killed", "--exact", "--nocapture"])
            .env(STORE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let ids = lines
            .map_while(Result::ok)
            .filter_map(|line| Uuid::try_parse(line.strip_prefix("acknowledged ")?).ok());
        let mut ids = ids.fuse();
        acknowledged.extend(ids.by_ref().take(50 * round));
        child.kill().expect("it is killed");
        // What it still said before it died counts as well.
        acknowledged.extend(ids);
        child.wait().expect("it is dead");

        let store = open(&path).await;
        assert_eq!(store.epoch(), 2 * round as u64);
        let streams: Vec<_> = acknowledged.iter().map(|id| stream(*id)).collect();
        let found = store.read_streams(LOG, &streams).await.expect("it reads");
        assert!(
            found.iter().all(|records| records.len() == 1),
            "each is there once"
        );
        let size = store.heads(LOG).await.expect("heads")[usize::from(SHARD.0)].size();
        // One unacknowledged command per task may stand.
        assert!(
            (acknowledged.len() as u64..=(acknowledged.len() + 8 * round) as u64).contains(&size)
        );
        let records = store
            .read(LOG, SHARD, 0, usize::MAX)
            .await
            .expect("it reads");
        assert_eq!(records.len() as u64, size);
        let again = append(&store, command(acknowledged[0])).await;
        assert!(again.repeated);
        assert_eq!(
            store.integrity_faults().await.expect("a check"),
            Vec::<String>::new()
        );
        store.close().await.expect("it closes");
    }
}
