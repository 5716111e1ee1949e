//! The cases every [`KeyStore`] must pass, run by [`key_store_conformance!`].
//!
//! [`key_store_conformance!`]: crate::key_store_conformance

mod erasure;
mod integrity;
mod keys;

use std::sync::Arc;

use async_trait::async_trait;

use super::{KeyRing, KeyStore, MasterKey, Opened};

pub use erasure::*;
pub use integrity::*;
pub use keys::*;

/// A place that holds one key store, empty at first.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Opens the store; again after it was dropped, with what it held.
    async fn open(&self) -> Arc<dyn KeyStore>;

    /// Every byte of every file of the store as it is now, journals included.
    async fn stored_bytes(&self) -> Vec<u8>;
}

/// Defines one test per case; `$fixture` is an expression that makes a new
/// [`Fixture`](crate::sealing::conformance::Fixture).
#[macro_export]
macro_rules! key_store_conformance {
    ($fixture:expr) => {
        $crate::key_store_conformance!($fixture;
            first_key_is_kept_under_concurrency
            first_pseudonym_is_kept_under_concurrency
            keys_and_pseudonyms_survive_reopening
            many_keys_at_once_come_back_in_order
            sealing_is_deterministic_per_stream_and_field
            erased_streams_open_as_erased
            erased_pseudonyms_are_unlinked
            erased_bytes_are_gone
            a_key_that_was_never_there_is_not_erased
            swapped_field_or_key_fails_authentication
            altered_rows_are_noticed
            another_master_key_is_refused
            nothing_is_stored_in_clear
        );
    };
    ($fixture:expr; $($case:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let fixture = $fixture;
                $crate::sealing::conformance::$case(&fixture).await;
            }
        )+
    };
}

const NAME: &str = "欧阳测试-Conformance";
const NUMBER: &str = "999999200002291230";

fn master(byte: u8) -> MasterKey {
    let contents = format!("{byte:02x}").repeat(32);
    MasterKey::from_hex_file_contents(&contents).expect("64 digits")
}

async fn ring(fixture: &dyn Fixture) -> KeyRing {
    KeyRing::new(fixture.open().await, master(1))
}

fn text(text: &str) -> Opened {
    Opened::Text(text.to_owned())
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
