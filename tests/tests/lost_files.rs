//! A data directory that lost one of its two databases does not start as if
//! nothing had been there.

use tally::data_dir::{DataDir, DataDirError};
use tally::mesh::{Mesh, MeshOptions, StartError};
use tally_tests::harness::Harness;

/// Starts a mesh where files whose names start with `lost` are gone.
async fn start_without(lost: &str) -> Result<Mesh, StartError> {
    let dir = Harness::start("2026-03-02T04:00:00Z").await.stop().await;
    for file in std::fs::read_dir(dir.path()).expect("the directory") {
        let file = file.expect("an entry");
        if file.file_name().to_string_lossy().starts_with(lost) {
            std::fs::remove_file(file.path()).expect("a file");
        }
    }
    Mesh::start(MeshOptions::in_dir(DataDir::new(dir.path()))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_key_ring_no_log_with_records_is_served() {
    // A new key ring would give every officer a new id, and the same one could
    // then be the first and the second.
    let refused = start_without("keyring.db").await.err();
    assert!(
        matches!(
            refused,
            Some(StartError::DataDir(DataDirError::KeyRingMissing { .. }))
        ),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_log_no_key_ring_is_served() {
    let refused = start_without("tally.db").await.err();
    assert!(
        matches!(
            refused,
            Some(StartError::DataDir(DataDirError::StoreMissing { .. }))
        ),
        "{refused:?}"
    );
}
