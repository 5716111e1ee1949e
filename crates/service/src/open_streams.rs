//! Streams that stay open for as long as their caller wants: bounded per
//! caller, in turn at the store, and ended at once when the process stops.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, stream};
use tally_auth::{Caller, CallerKind};
use tally_domain::department::{DepartmentId, OfficerId};
use tally_eventlog::detached::detached;
use tally_rpc::Fault;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Streams of one kind that one certificate's holder may have open.
pub const PER_HOLDER_MAX: usize = 64;

/// Reads of the store for streams at a time. A store has few connections for reads; there
/// may be many streams, which all want to read when something comes, and whoever waits for
/// an answer must not wait behind them until it is refused.
const READS_AT_ONCE: usize = 2;

static READS: Semaphore = Semaphore::const_new(READS_AT_ONCE);

/// When a caller of a process that stops is told to try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Reads the store on behalf of a stream, when it is its turn.
///
/// Elsewhere than in the stream: whoever has the turn would keep it while its caller
/// reads nothing and nobody polls it.
pub async fn in_turn<T: Send + 'static>(read: impl Future<Output = T> + Send + 'static) -> T {
    let turn = async {
        let turn = READS.acquire().await;
        let _turn = turn.expect("the semaphore is never closed");
        read.await
    };
    detached(turn).await
}

/// Whom a certificate names; a renewed one names the same.
type Holder = (CallerKind, Option<DepartmentId>, Option<OfficerId>);

type Counts = Arc<Mutex<HashMap<Holder, usize>>>;

/// The open streams of one kind.
#[derive(Clone, Default)]
pub struct OpenStreams {
    stop: CancellationToken,
    counts: Counts,
}

/// The right to one stream, for as long as it is held.
pub struct Seat {
    stop: CancellationToken,
    counts: Counts,
    holder: Holder,
}

impl OpenStreams {
    /// None yet; all end when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            counts: Counts::default(),
        }
    }

    /// Lets a caller open one more.
    ///
    /// # Errors
    ///
    /// `STREAMS_OPEN`: the caller has [`PER_HOLDER_MAX`] open; end one.
    pub fn admit(&self, caller: &Caller) -> Result<Seat, Fault> {
        let holder = (caller.kind, caller.department.clone(), caller.officer);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(holder.clone()).or_default();
        if *count >= PER_HOLDER_MAX {
            return Err(Fault::resource_exhausted(
                "STREAMS_OPEN",
                format!(
                    "this certificate's holder has {PER_HOLDER_MAX} such streams open; \
                     end one, or read one stream and share it out"
                ),
                RETRY_AFTER,
            ));
        }
        *count += 1;
        Ok(Seat {
            stop: self.stop.clone(),
            counts: self.counts.clone(),
            holder,
        })
    }
}

impl Seat {
    /// The stream, which ends when the process stops and then says to come
    /// again; its seat is free when it is dropped.
    pub fn hold<T: Send + 'static>(
        self,
        items: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> BoxStream<'static, Result<T, Status>> {
        let (stop, stopped) = (self.stop.clone(), self.stop.clone());
        let last = stream::once(async move { stopped.is_cancelled() })
            .filter_map(async |stopped| stopped.then(|| Err(stopping().into())));
        items
            .take_until(stop.cancelled_owned())
            .chain(last)
            .map(move |item| {
                // Moved in here, so that it lives as long as the stream.
                let _seat = &self;
                item
            })
            .boxed()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.holder);
            }
        }
    }
}

fn stopping() -> Fault {
    Fault::unavailable(
        "STOPPING",
        "the process is stopping; open the stream again with the cursor of the last item",
        RETRY_AFTER,
    )
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tonic::Code;

    use super::*;

    fn system(department: &str) -> Caller {
        Caller::system(department.parse().expect("valid"))
    }

    fn open(streams: &OpenStreams, caller: &Caller) -> BoxStream<'static, Result<u32, Status>> {
        let seat = streams.admit(caller).expect("a seat is free");
        seat.hold(stream::iter([Ok(1)]).chain(stream::pending()))
    }

    #[tokio::test]
    async fn a_holder_has_so_many_and_no_more_until_one_ends() {
        let streams = OpenStreams::default();
        let (one, other) = (system("11990100MB0000203C"), system("11990102MB000030XF"));
        let mut held: Vec<_> = (0..PER_HOLDER_MAX).map(|_| open(&streams, &one)).collect();
        let refused = streams.admit(&one).err().expect("one too many");
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(
            streams.admit(&other).is_ok(),
            "another holder's are its own"
        );
        held.pop();
        assert!(streams.admit(&one).is_ok());
        drop(held);
        assert!(streams.counts.lock().expect("no panic").is_empty());
    }

    #[tokio::test]
    async fn who_is_not_polled_keeps_nobody_from_reading() {
        let mut unread = Vec::new();
        for _ in 0..2 * READS_AT_ONCE {
            let mut read = Box::pin(in_turn(async {}));
            assert!((&mut read).now_or_never().is_none(), "it reads elsewhere");
            unread.push(read);
        }
        let read = tokio::time::timeout(Duration::from_secs(10), in_turn(async { 7 })).await;
        assert_eq!(read.ok(), Some(7));
    }

    #[tokio::test]
    async fn so_many_read_at_once_and_no_more() {
        let (done, wait) = tokio::sync::watch::channel(false);
        let reading = Arc::new(Semaphore::new(0));
        let read = || {
            let (mut wait, reading) = (wait.clone(), reading.clone());
            tokio::spawn(in_turn(async move {
                reading.add_permits(1);
                wait.wait_for(|done| *done).await.is_ok()
            }))
        };
        let reads: Vec<_> = (0..READS_AT_ONCE + 1).map(|_| read()).collect();
        let all = u32::try_from(READS_AT_ONCE).expect("a few");
        let begun = reading.acquire_many(all).await.expect("never closed");
        begun.forget();
        assert_eq!(READS.available_permits(), 0);
        assert_eq!(reading.available_permits(), 0, "the next waits");
        done.send_replace(true);
        for read in reads {
            assert!(read.await.expect("no panic"));
        }
    }

    #[tokio::test]
    async fn what_is_open_ends_when_the_process_stops() {
        let stop = CancellationToken::new();
        let streams = OpenStreams::new(stop.clone());
        let mut items = open(&streams, &system("11990100MB0000203C"));
        assert_eq!(items.next().await.expect("an item").ok(), Some(1));
        stop.cancel();
        let end = tokio::time::timeout(Duration::from_secs(10), items.next()).await;
        let end = end.expect("it ends").expect("why").expect_err("no item");
        assert_eq!(end.code(), Code::Unavailable);
        assert!(items.next().await.is_none());
    }

    #[tokio::test]
    async fn a_stream_that_ends_by_itself_says_nothing_more() {
        let streams = OpenStreams::default();
        let seat = streams.admit(&system("11990100MB0000203C")).expect("free");
        let items: Vec<_> = seat.hold(stream::iter([Ok(1)])).collect().await;
        assert_eq!(items.len(), 1);
    }
}
