//! Waiting for what happens behind a call, by asking, a bounded number of times.

use std::time::Duration;

use tally_proto::tally::log::v1::{GetHeadsRequest, GetHeadsResponse};
use tally_proto::tally::node::v1::GetStatusRequest;
use tally_service::logs;

use super::error::Answered as _;
use super::{Demo, DemoError};
use crate::client::Client;
use crate::role::Role;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks before it is given up: with the pause, a minute and more.
const LOOKS_MAX: u32 = 3_000;

/// Looks until `reached` says so.
///
/// # Errors
///
/// [`DemoError::NeverCame`], or what `reached` fails with.
pub async fn until(
    what: &str,
    mut reached: impl AsyncFnMut() -> Result<bool, DemoError>,
) -> Result<(), DemoError> {
    for _ in 0..LOOKS_MAX {
        if reached().await? {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(DemoError::NeverCame {
        what: what.to_owned(),
        after: PAUSE * LOOKS_MAX,
    })
}

/// The heads of every log, by name.
pub async fn heads(operator: &Client) -> Result<Vec<(&'static str, GetHeadsResponse)>, DemoError> {
    let mut heads = Vec::with_capacity(logs::ALL.len());
    for log in logs::ALL {
        let request = GetHeadsRequest {
            log: log.0.to_owned(),
        };
        let answer = operator
            .log(Role::owner_of(log))
            .get_heads(request)
            .await
            .during("read the heads of a log")?;
        heads.push((log.0, answer.into_inner()));
    }
    Ok(heads)
}

impl Demo {
    /// Waits until every reader has applied everything and nothing follows from
    /// it any more.
    ///
    /// An effect is in its log before the checkpoint of its cause moves. So when
    /// no reader lags between two equal looks at the heads, nothing is under way.
    pub(super) async fn quiet(&self) -> Result<(), DemoError> {
        let operator = &self.cast.operator;
        until("every reader has caught up", async || {
            let before = heads(operator).await?;
            let status = operator
                .node(Role::Catalog)
                .get_status(GetStatusRequest {})
                .await;
            let readers = status.during("ask for the status")?.into_inner().readers;
            if let Some(reader) = readers.iter().find(|reader| !reader.stopped.is_empty()) {
                return Err(DemoError::ReaderStopped {
                    consumer: reader.consumer.clone(),
                    reason: reader.stopped.clone(),
                });
            }
            Ok(readers.iter().all(|reader| reader.lag == 0) && before == heads(operator).await?)
        })
        .await
    }
}
