//! Answers checks in batches: look up, record, answer.
//!
//! What waits while a batch commits is the next batch, so that batches grow
//! with the load and a lone question waits for nobody.

mod record;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tally_eventlog::append::AppendError;
use tally_eventlog::execute::ExecuteError;
use tally_eventlog::sequence::Hasher;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::StoreError;
use tally_proto::tally::sanctions::v1 as pb;
use tally_rpc::Fault;
use tally_service::{Deps, execute_fault, logs, store_fault};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

pub use record::check_stream;

use crate::basis::{ListsBasis, id_bytes};
use crate::check::{Asked, Known, LINKED_MAX, ReaderSeen, Seen, Verdict, evaluate};
use crate::projection::subject_row;
use crate::question::Question;
use crate::token::Tokens;

/// Stream category of checks.
pub const CHECK_CATEGORY: &str = "check";

/// How often a question is decided before it is given up.
const TRIES_MAX: u32 = 8;

/// How long a question that lost against the reader waits for what it read.
const READER_WAIT: Duration = Duration::from_millis(200);

/// Bounds of checks.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// The oldest that what is known of `lists` may be, by the wall clock;
    /// beyond it the answer is undetermined.
    pub freshness: Duration,
    /// Questions in one batch. More raise throughput and the latency of each: as
    /// streams are spread over their index, every commit writes most of its leaves.
    pub batch_questions_max: usize,
    /// Callers that may wait; beyond it they are held back.
    pub queue_max: usize,
    /// Batches under way at once: one looks up while another commits.
    pub batches_max: usize,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            freshness: Duration::from_secs(5),
            batch_questions_max: 2_048,
            queue_max: 1_024,
            batches_max: 2,
        }
    }
}

type Answer = Result<pb::CheckResponse, Fault>;

struct Job {
    questions: Vec<Question>,
    reply: oneshot::Sender<Vec<Answer>>,
}

/// The way into the engine.
#[derive(Clone)]
pub struct Engine {
    queue: mpsc::Sender<Job>,
}

impl Engine {
    /// Starts the engine. It ends when the last way into it is dropped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(deps: Deps, tokens: Arc<Tokens>, options: CheckOptions) -> Self {
        let (queue, jobs) = mpsc::channel(options.queue_max);
        let worker = Arc::new(Worker::new(deps, tokens, options.freshness));
        tokio::spawn(run(worker, jobs, options));
        Self { queue }
    }

    /// Answers questions, in order; each stands for itself.
    ///
    /// # Errors
    ///
    /// [`Fault`], per question.
    pub async fn answer(&self, questions: Vec<Question>) -> Vec<Answer> {
        let count = questions.len();
        if count == 0 {
            return Vec::new();
        }
        let (reply, answer) = oneshot::channel();
        let sent = self.queue.send(Job { questions, reply }).await.is_ok();
        match answer.await {
            Ok(answers) if sent => answers,
            _ => (0..count)
                .map(|_| Err(Fault::internal("the check engine has ended")))
                .collect(),
        }
    }
}

async fn run(worker: Arc<Worker>, mut jobs: mpsc::Receiver<Job>, options: CheckOptions) {
    let places = Arc::new(Semaphore::new(options.batches_max.max(1)));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let Some(first) = jobs.recv().await else {
            return;
        };
        let mut count = first.questions.len();
        let mut batch = vec![first];
        while count < options.batch_questions_max {
            let Ok(job) = jobs.try_recv() else { break };
            count += job.questions.len();
            batch.push(job);
        }
        let worker = worker.clone();
        tokio::spawn(async move {
            worker.serve(batch).await;
            drop(place);
        });
    }
}

struct Worker {
    deps: Deps,
    tokens: Arc<Tokens>,
    /// Sizes of the own log's shards, in order.
    sanctions: Vec<watch::Receiver<u64>>,
    freshness: Duration,
}

/// A question that was decided, and what is to be recorded of it.
struct Decided {
    verdict: Verdict,
    answered: pb::CheckAnswered,
}

impl Worker {
    fn new(deps: Deps, tokens: Arc<Tokens>, freshness: Duration) -> Self {
        let watch = |shard| deps.store.watch(logs::SANCTIONS, shard);
        let sanctions = deps.store.shards().all().map(watch).collect();
        Self {
            deps,
            tokens,
            sanctions,
            freshness,
        }
    }

    async fn serve(&self, batch: Vec<Job>) {
        let mut replies = Vec::with_capacity(batch.len());
        let mut questions = Vec::with_capacity(batch.iter().map(|job| job.questions.len()).sum());
        for job in batch {
            replies.push((job.questions.len(), job.reply));
            questions.extend(job.questions);
        }
        let mut answers = self.answer(&questions).await.into_iter();
        for (count, reply) in replies {
            // A caller that went away learns nothing; its check stands.
            let _ = reply.send(answers.by_ref().take(count).collect());
        }
    }

    async fn answer(&self, questions: &[Question]) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = questions.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..questions.len()).collect();
        let own_id = match self.tokens.own_id(&self.deps).await {
            Ok(own_id) => id_bytes(own_id),
            Err(error) => {
                let refused = |_: &Question| Err(store_fault(error.clone()));
                return questions.iter().map(refused).collect();
            }
        };
        for _ in 0..TRIES_MAX {
            let known = match self
                .look_up(open.iter().map(|index| &questions[*index]))
                .await
            {
                Ok(known) => known,
                Err(error) => {
                    for index in open {
                        answers[index] = Some(Err(store_fault(error.clone())));
                    }
                    return finish(answers);
                }
            };
            let decided: Vec<Decided> = open
                .iter()
                .map(|index| self.decide(&questions[*index], &known, &own_id))
                .collect();
            let appends = open
                .iter()
                .zip(&decided)
                .map(|(index, decided)| record::append_of(&self.deps, &questions[*index], decided));
            let outcomes = self.deps.store.append(appends.collect()).await;
            let mut lost = Vec::new();
            let mut moved = None;
            for ((index, decided), outcome) in open.into_iter().zip(decided).zip(outcomes) {
                match outcome {
                    Ok(appended) => answers[index] = Some(Ok(record::response(decided, &appended))),
                    Err(AppendError::Outdated { shard, .. }) => {
                        let used = decided
                            .verdict
                            .shards
                            .iter()
                            .find(|(used, _)| *used == shard);
                        let used = used.map(|(used, lists)| (*used, lists.records));
                        moved = used.or(moved);
                        lost.push(index);
                    }
                    Err(error) => answers[index] = Some(Err(refusal(error))),
                }
            }
            if lost.is_empty() {
                return finish(answers);
            }
            if let Some((shard, next)) = moved {
                // The reader commits before it says so; what it committed must be seen.
                self.tokens
                    .lists()
                    .wait_for(shard, next + 1, READER_WAIT)
                    .await;
            }
            open = lost;
        }
        for index in open {
            answers[index] = Some(Err(execute_fault(ExecuteError::<()>::Outdated, |()| {
                conflict()
            })));
        }
        finish(answers)
    }

    /// Rows of all subjects at once, then of those linked to them, until no new
    /// ones turn up.
    async fn look_up(
        &self,
        questions: impl Iterator<Item = &Question>,
    ) -> Result<Known, StoreError> {
        let shards = self.deps.store.shards();
        let mut known = Known::default();
        let mut wanted: HashSet<String, Hasher> = HashSet::default();
        for question in questions {
            if !wanted.contains(&question.subject) {
                wanted.insert(question.subject.clone());
            }
        }
        for _ in 0..=LINKED_MAX {
            if wanted.is_empty() {
                break;
            }
            // How far the reader is comes before its rows: a row may then be
            // newer than the position, which the guard finds, but never older.
            let found: Vec<(String, Shard, ReaderSeen)> = wanted
                .into_iter()
                .map(|subject| {
                    let shard = shards.of(&subject);
                    let reader = self.reader(shard, &subject);
                    (subject, shard, reader)
                })
                .collect();
            let keys: Vec<_> = found
                .iter()
                .map(|(subject, shard, _)| subject_row(*shard, subject))
                .collect();
            let rows = self.deps.store.rows(&keys).await?;
            let mut linked = HashSet::default();
            known.reserve(found.len());
            for ((subject, shard, reader), row) in found.into_iter().zip(rows) {
                let row = row.map_or_else(
                    || Some(pb::SubjectRow::default()),
                    |row| pb::SubjectRow::decode(row).ok(),
                );
                let links = row.iter().flat_map(|row| row.links.iter().take(LINKED_MAX));
                linked.extend(links.map(|link| link.subject.clone()));
                known.insert(subject, Seen { shard, reader, row });
            }
            linked.retain(|subject| !known.contains_key(subject));
            wanted = linked;
        }
        Ok(known)
    }

    fn reader(&self, shard: Shard, subject: &str) -> ReaderSeen {
        self.tokens.lists().with(shard, |progress| ReaderSeen {
            lists: ListsBasis::of(progress),
            seen_at: progress.seen_at,
            stopped: progress.stopped.is_some(),
            parked: !progress.parked.is_empty() && progress.parked.contains_key(subject),
        })
    }

    fn decide(&self, question: &Question, known: &Known, own_id: &Bytes) -> Decided {
        let asked = Asked {
            subject: &question.subject,
            subject_type: question.subject_type,
            department: &question.department,
            purpose: &question.purpose,
            policy: &question.policy,
            today: question.today,
            wall: self.deps.clock.wall(),
            freshness: self.freshness,
            token: question.token,
        };
        let verdict = evaluate(&asked, known);
        let shards = verdict
            .shards
            .iter()
            .map(|(shard, lists)| pb::ShardBasis {
                shard: u32::from(shard.0),
                lists: lists.records,
                lists_log_id: lists.log_id(),
                sanctions: *self.sanctions[usize::from(shard.0)].borrow(),
                sanctions_log_id: own_id.clone(),
            })
            .collect();
        let pack_version = question.policy.version().to_owned();
        let basis = pb::ConsistencyToken {
            shards,
            pack_version,
        };
        Decided {
            answered: record::answered(question, &verdict, basis),
            verdict,
        }
    }
}

fn refusal(error: AppendError) -> Fault {
    let error = match error {
        AppendError::CommandReused { id } => ExecuteError::<()>::CommandReused { id },
        AppendError::Busy => ExecuteError::Busy,
        AppendError::Unavailable { source, outcome } => {
            ExecuteError::Unavailable { source, outcome }
        }
        AppendError::WrongExpectedVersion { stream, .. } => ExecuteError::Aborted { stream },
        AppendError::CheckpointMoved { .. } | AppendError::Outdated { .. } => {
            ExecuteError::Outdated
        }
    };
    execute_fault(error, |()| conflict())
}

fn conflict() -> Fault {
    Fault::aborted(
        "CONFLICT",
        "what is known changed again and again; retry with the same check id",
    )
}

fn finish(answers: Vec<Option<Answer>>) -> Vec<Answer> {
    answers
        .into_iter()
        .map(|answer| answer.expect("every question was answered or refused"))
        .collect()
}
