//! The push stream: chunks of what has arrived, judged while others commit,
//! answered in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::future::FutureExt as _;
use futures::stream::{self, BoxStream, FuturesOrdered, Stream, StreamExt as _};
use prost::Message as _;
use tally_proto::tally::collection::v1 as pb;
use tally_rpc::{Fault, inbound};
use tally_telemetry::{set_parent, traceparent_of_current};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::unconstrained;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tracing::Instrument as _;

use crate::answer::Answer;
use crate::chunk::Chunk;
use crate::intake::Intake;

/// Records in one chunk. More share a commit, and wait for it together.
const CHUNK_RECORDS_MAX: usize = 512;

/// Bytes in one chunk, roughly: bounds what one stream holds in memory.
const CHUNK_BYTES_MAX: usize = 4 << 20;

/// Chunks that are judged and sealed while the one before waits for its keys.
const CHUNKS_PREPARED_MAX: usize = 4;

/// Chunks that wait for their commits.
const CHUNKS_EXECUTED_MAX: usize = 4;

/// Answers that wait for the caller. Beyond it nothing more is read.
const ANSWERS_MAX: usize = CHUNK_RECORDS_MAX;

/// When the caller is told to send the rest again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// What has arrived, and how the stream broke if it did.
struct Arrived {
    requests: Vec<pb::PushRecordsRequest>,
    broken: Option<Fault>,
}

/// A chunk on its way, and what ends the stream after it.
struct Step<T> {
    chunk: T,
    end: Option<Fault>,
}

/// Takes in `requests`; the answers come in their order. The stream ends with
/// the requests, or with a status that says how many were answered.
pub(crate) fn start(
    intake: Intake,
    requests: impl Stream<Item = Result<pb::PushRecordsRequest, Status>> + Send + Unpin + 'static,
) -> BoxStream<'static, Result<pb::PushRecordsResponse, Status>> {
    let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
    // A task of its own: while it judges, the connection's task reads and writes.
    let running = tokio::spawn(run(
        Arc::new(intake),
        requests,
        sender,
        traceparent_of_current(),
    ));
    let ended = async move {
        match running.await {
            Ok(()) => None,
            // Without this a caller would take the missing answers for the end.
            Err(error) => Some(Err(Status::from(Fault::internal(error)))),
        }
    };
    let ended = stream::once(ended).filter_map(std::future::ready);
    ReceiverStream::new(receiver).chain(ended).boxed()
}

async fn run(
    intake: Arc<Intake>,
    requests: impl Stream<Item = Result<pb::PushRecordsRequest, Status>> + Send + Unpin + 'static,
    sender: mpsc::Sender<Result<pb::PushRecordsResponse, Status>>,
    call: String,
) {
    let prepared = chunks(requests)
        .map(|arrived| {
            let span =
                tracing::info_span!(parent: None, "push_chunk", records = arrived.requests.len());
            set_parent(&span, &call);
            let intake = intake.clone();
            let work = async move { prepare(&intake, arrived).await }.instrument(span.clone());
            // A task of its own: it holds the key ring's turn, for which chunks
            // before it may wait, and would keep it while nobody polls it.
            let work = tokio::spawn(work);
            async move {
                let step = work.await.unwrap_or_else(|error| Step {
                    chunk: None,
                    end: Some(Fault::internal(error)),
                });
                (step, span)
            }
        })
        .buffered(CHUNKS_PREPARED_MAX);
    let mut prepared = std::pin::pin!(prepared.fuse());
    let mut executed = FuturesOrdered::new();
    let mut answers = Answers::default();
    loop {
        let takes_more = executed.len() < CHUNKS_EXECUTED_MAX
            && answers.ready.len() < CHUNK_RECORDS_MAX
            && !answers.ended;
        // What is under way is polled also while the caller reads nothing: it
        // may hold what others wait for.
        tokio::select! {
            biased;
            place = sender.reserve(), if !answers.ready.is_empty() => {
                let Ok(place) = place else { return };
                if !answers.send(place, &sender) {
                    return;
                }
            }
            Some(step) = executed.next(), if !executed.is_empty() => answers.take(step),
            // Chunks reach the log in the order in which they are first polled.
            // tokio's budget would break that: it suspends futures before the queue
            // and wakes the last one first. Freed of it, a chunk is in the queue
            // after its first poll.
            Some((step, span)) = prepared.next(), if takes_more => {
                executed.push_back(unconstrained(execute(intake.clone(), step).instrument(span)));
            }
            else => return,
        }
    }
}

/// Answers that wait for the caller.
#[derive(Default)]
struct Answers {
    ready: VecDeque<Result<pb::PushRecordsResponse, Status>>,
    count: u64,
    /// Nothing is answered after this.
    ended: bool,
}

impl Answers {
    fn take(&mut self, step: Step<Vec<Answer>>) {
        for answer in step.chunk {
            if self.ended {
                return;
            }
            match answer.into_response() {
                Ok(response) => {
                    self.ready.push_back(Ok(response));
                    self.count += 1;
                }
                Err(fault) => self.end(fault),
            }
        }
        if let Some(fault) = step.end {
            self.end(fault);
        }
    }

    fn end(&mut self, fault: Fault) {
        if !self.ended {
            self.ready.push_back(Err(ended(fault, self.count).into()));
            self.ended = true;
        }
    }

    /// Sends what there is place for. False: that was the last, or the caller has gone.
    fn send(
        &mut self,
        place: mpsc::Permit<'_, Result<pb::PushRecordsResponse, Status>>,
        sender: &mpsc::Sender<Result<pb::PushRecordsResponse, Status>>,
    ) -> bool {
        if let Some(answer) = self.ready.pop_front() {
            place.send(answer);
        }
        while let Some(answer) = self.ready.pop_front() {
            match sender.try_send(answer) {
                Ok(()) => {}
                Err(TrySendError::Full(answer)) => {
                    self.ready.push_front(answer);
                    break;
                }
                Err(TrySendError::Closed(_)) => return false,
            }
        }
        !(self.ended && self.ready.is_empty())
    }
}

/// Groups what has arrived, without waiting for more once there is one.
fn chunks(
    requests: impl Stream<Item = Result<pb::PushRecordsRequest, Status>> + Send + Unpin + 'static,
) -> impl Stream<Item = Arrived> + Send {
    stream::unfold(Some(requests.fuse()), async |requests| {
        let mut requests = requests?;
        let mut arrived = Arrived {
            requests: Vec::new(),
            broken: None,
        };
        let mut bytes = 0;
        let mut next = requests.next().await;
        loop {
            match next {
                None => break,
                Some(Err(status)) => {
                    arrived.broken = Some(inbound::fault(status));
                    return Some((arrived, None));
                }
                Some(Ok(request)) => {
                    bytes += request.encoded_len();
                    arrived.requests.push(request);
                }
            }
            if arrived.requests.len() == CHUNK_RECORDS_MAX || bytes >= CHUNK_BYTES_MAX {
                break;
            }
            let Some(ready) = requests.next().now_or_never() else {
                break;
            };
            next = ready;
        }
        (!arrived.requests.is_empty()).then_some((arrived, Some(requests)))
    })
}

async fn prepare(intake: &Intake, arrived: Arrived) -> Step<Option<Chunk>> {
    match intake.prepare(arrived.requests).await {
        Ok(chunk) => Step {
            chunk: Some(chunk),
            end: arrived.broken,
        },
        Err(fault) => Step {
            chunk: None,
            end: Some(fault),
        },
    }
}

async fn execute(intake: Arc<Intake>, step: Step<Option<Chunk>>) -> Step<Vec<Answer>> {
    let answers = match step.chunk {
        Some(chunk) => intake.execute(chunk).await,
        None => Vec::new(),
    };
    Step {
        chunk: answers,
        end: step.end,
    }
}

/// What the caller is told where the stream ends early.
fn ended(fault: Fault, answered: u64) -> Fault {
    let reason = fault.reason();
    let message = format!(
        "{}; the first {answered} records of this stream are answered and stand, send the rest again with the same command ids",
        fault.message()
    );
    let fault = match fault.code() {
        Code::Unavailable => Fault::unavailable(reason, message, RETRY_AFTER),
        Code::ResourceExhausted if fault.reason() == "LOG_BUSY" => {
            Fault::resource_exhausted(reason, message, RETRY_AFTER)
        }
        Code::Aborted => Fault::aborted(reason, message),
        _ => fault,
    };
    fault.with("answered", answered.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(n: usize, bytes: usize) -> Result<pb::PushRecordsRequest, Status> {
        let record = pb::RecordContent {
            subject: "x".repeat(bytes),
            ..Default::default()
        };
        Ok(pb::PushRecordsRequest {
            command_id: n.to_string(),
            record: Some(record),
            ..Default::default()
        })
    }

    async fn sizes(requests: Vec<Result<pb::PushRecordsRequest, Status>>) -> Vec<(usize, bool)> {
        let chunks = chunks(stream::iter(requests));
        chunks
            .map(|arrived| (arrived.requests.len(), arrived.broken.is_some()))
            .collect()
            .await
    }

    #[tokio::test]
    async fn a_chunk_is_what_has_arrived_within_its_bounds() {
        assert_eq!(sizes(vec![]).await, []);
        assert_eq!(
            sizes((0..3).map(|n| request(n, 1)).collect()).await,
            [(3, false)]
        );
        let many = (0..CHUNK_RECORDS_MAX + 1).map(|n| request(n, 1)).collect();
        assert_eq!(sizes(many).await, [(CHUNK_RECORDS_MAX, false), (1, false)]);
        let large = (0..5).map(|n| request(n, CHUNK_BYTES_MAX / 2)).collect();
        assert_eq!(sizes(large).await, [(2, false), (2, false), (1, false)]);
    }

    #[tokio::test]
    async fn what_came_before_a_break_is_kept() {
        let broken = || Err(Status::cancelled("gone"));
        assert_eq!(
            sizes(vec![request(0, 1), broken(), request(1, 1)]).await,
            [(1, true)]
        );
        assert_eq!(sizes(vec![broken()]).await, [(0, true)]);
    }

    #[tokio::test]
    async fn a_chunk_does_not_wait_for_more() {
        let requests = stream::iter([request(0, 1)]).chain(stream::pending());
        let mut chunks = std::pin::pin!(chunks(requests));
        let first = chunks
            .next()
            .now_or_never()
            .flatten()
            .expect("one has arrived");
        assert_eq!(first.requests.len(), 1);
        assert!(chunks.next().now_or_never().is_none());
    }

    #[test]
    fn an_early_end_says_what_is_known_and_whether_to_retry() {
        let fault = ended(Fault::unknown_outcome("disk full", RETRY_AFTER), 7);
        assert_eq!(
            (fault.code(), fault.reason()),
            (Code::Unavailable, "OUTCOME_UNKNOWN")
        );
        assert!(fault.message().contains("the first 7 records"), "{fault}");
        assert!(
            fault.message().ends_with("with the same command ids"),
            "{fault}"
        );
        let busy = Fault::resource_exhausted("LOG_BUSY", "busy", RETRY_AFTER);
        assert!(ended(busy, 0).message().contains("the first 0 records"));
        assert_eq!(ended(Fault::internal("a bug"), 1).reason(), "INTERNAL");
    }
}
