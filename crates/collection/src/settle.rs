//! What becomes of the records of a chunk: executed, known before, refused, and
//! kept in quarantine.

use futures::future::join;
use tally_domain::fault::FieldFault;
use tally_eventlog::aggregate::Aggregate as _;
use tally_eventlog::append::CommandKey;
use tally_eventlog::event::{Recorded, StreamName};
use tally_eventlog::execute::{ExecuteError, Task};
use tally_rpc::Fault;
use tally_service::repeat::firsts;
use tally_service::reply::store_fault;
use tally_service::{execute_fault, logs};
use uuid::Uuid;

use crate::answer::{Answer, Failure, Refused, accepted, as_appended};
use crate::intake::{Chunk, Common, Entry, Intake};
use crate::quarantine::keep::{Keep, became};
use crate::quarantine::{Quarantine, Rejection};
use crate::record::Record;
use crate::refusals;

/// A record that waits for its answer.
struct Waiting {
    /// Its place among the requests.
    at: usize,
    command_id: String,
    id: Option<Uuid>,
    place: Option<Uuid>,
    keep: Option<Keep>,
}

/// A row that goes into quarantine or out of it, and the answer it belongs to.
struct Move {
    answer: usize,
    place: Uuid,
    task: Task<Quarantine>,
}

impl Intake {
    /// Executes what was prepared; the answers are in the order of the requests.
    pub async fn execute(&self, chunk: Chunk) -> Vec<Answer> {
        let Chunk {
            mut entries,
            tasks,
            common,
        } = chunk;
        let rows: Vec<_> = entries
            .iter_mut()
            .map(|entry| (entry.identity, std::mem::take(&mut entry.record_type)))
            .collect();
        let answers = self.answered(entries, tasks, &common).await;
        let refused = refusals::of(&answers, rows);
        if !refused.is_empty() {
            refusals::count(&self.deps, &common, refused).await;
        }
        answers
    }

    async fn answered(
        &self,
        entries: Vec<Entry>,
        tasks: Vec<Task<Record>>,
        common: &Common,
    ) -> Vec<Answer> {
        let mut refused = Vec::new();
        let mut sent = Vec::with_capacity(tasks.len());
        for (at, entry) in entries.into_iter().enumerate() {
            let waiting = Waiting {
                at,
                command_id: entry.command_id,
                id: entry.id,
                place: entry.place,
                keep: entry.keep,
            };
            match entry.judged {
                Ok(record_id) => sent.push((waiting, record_id)),
                Err((what, key)) => refused.push((waiting, what, key)),
            }
        }
        let sent = self.sent(sent, tasks, common);
        if refused.is_empty() {
            return sent.await.into_iter().map(|(_, answer)| answer).collect();
        }
        // Together, so that good records do not wait for bad ones.
        let (mut answers, others) = join(sent, self.refused(refused, common)).await;
        answers.extend(others);
        answers.sort_unstable_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Executes records that are right in themselves.
    async fn sent(
        &self,
        sent: Vec<(Waiting, Uuid)>,
        tasks: Vec<Task<Record>>,
        common: &Common,
    ) -> Vec<(usize, Answer)> {
        let executor = &self.deps.executor;
        let results = executor.execute_many(logs::COLLECTION, tasks).await;
        let mut answers = Vec::with_capacity(sent.len());
        let mut identical = Vec::new();
        let mut moves = Vec::new();
        for ((waiting, record_id), result) in sent.into_iter().zip(results) {
            let answer = answers.len();
            let outcome = match result {
                Err(error) => {
                    if let (ExecuteError::Rejected(rejection), Some(keep)) = (&error, waiting.keep)
                    {
                        moves.push(self.kept(answer, keep, &rejection.field_faults(), common));
                    }
                    Err(Failure::NotExecuted { error, record_id })
                }
                Ok(appended) => {
                    if appended.last.is_none() {
                        identical.push((answer, record_id));
                        // No event of the record says that its row has left.
                        if let (Some(place), Some(id)) = (waiting.place, waiting.id) {
                            moves.push(self.left(answer, place, record_id, id, common));
                        }
                    }
                    Ok(accepted(record_id, &appended))
                }
            };
            let quarantine_id = waiting.place.filter(|_| outcome.is_err());
            let command_id = waiting.command_id;
            answers.push((
                waiting.at,
                Answer {
                    command_id,
                    outcome,
                    quarantine_id,
                },
            ));
        }
        if !identical.is_empty() {
            self.answer_identical(identical, &mut answers).await;
        }
        self.execute_moves(moves, &mut answers).await;
        answers
    }

    /// Answers records that are wrong, and keeps those that are to be kept. What
    /// was applied before under the same id is answered with its first receipt,
    /// marked as a repeat.
    async fn refused(
        &self,
        refused: Vec<(Waiting, Refused, Option<CommandKey>)>,
        common: &Common,
    ) -> Vec<(usize, Answer)> {
        let mut answers = Vec::with_capacity(refused.len());
        let mut repeats = Vec::new();
        let mut keeps = Vec::new();
        for (waiting, what, key) in refused {
            repeats.extend(key.map(|key| (answers.len(), key)));
            keeps.extend(waiting.keep.map(|keep| (answers.len(), keep)));
            answers.push((
                waiting.at,
                Answer {
                    command_id: waiting.command_id,
                    outcome: Err(Failure::Refused(what)),
                    quarantine_id: waiting.place,
                },
            ));
        }
        if !repeats.is_empty() {
            self.answer_repeats(repeats, &mut answers).await;
        }
        let moves = keeps
            .into_iter()
            .filter_map(|(at, keep)| match &answers[at].1.outcome {
                Err(Failure::Refused(what)) => Some(self.kept(at, keep, &what.faults, common)),
                _ => None,
            })
            .collect();
        self.execute_moves(moves, &mut answers).await;
        answers
    }

    fn kept(&self, answer: usize, keep: Keep, faults: &[FieldFault], common: &Common) -> Move {
        let context = common.context(keep.command_id);
        let place = keep.place;
        let task = keep.task(&self.department, faults, self.deps.clock.now(), context);
        Move {
            answer,
            place,
            task,
        }
    }

    fn left(
        &self,
        answer: usize,
        place: Uuid,
        record_id: Uuid,
        command_id: Uuid,
        common: &Common,
    ) -> Move {
        let now = self.deps.clock.now();
        let context = common.context(command_id);
        let task = became(place, record_id, &self.department, command_id, now, context);
        Move {
            answer,
            place,
            task,
        }
    }

    /// Moves rows into quarantine and out of it, and names their places in the
    /// answers of those that were refused.
    async fn execute_moves(&self, moves: Vec<Move>, answers: &mut [(usize, Answer)]) {
        if moves.is_empty() {
            return;
        }
        let (places, tasks): (Vec<_>, Vec<_>) = moves
            .into_iter()
            .map(|it| ((it.answer, it.place), it.task))
            .unzip();
        let executor = &self.deps.executor;
        let results = executor.execute_many(logs::COLLECTION, tasks).await;
        for ((at, place), result) in places.into_iter().zip(results) {
            let answer = &mut answers[at].1;
            match result {
                Ok(_) if answer.outcome.is_err() => answer.quarantine_id = Some(place),
                // It left meanwhile, and the refusal stands for itself.
                Err(ExecuteError::Rejected(Rejection::Closed | Rejection::Unknown)) => {
                    answer.quarantine_id = None;
                }
                Ok(_) => {}
                Err(error) => {
                    answer.outcome = Err(Failure::Unsettled(execute_fault(error, Fault::from)));
                }
            }
        }
    }

    async fn answer_repeats(
        &self,
        repeats: Vec<(usize, CommandKey)>,
        answers: &mut [(usize, Answer)],
    ) {
        let (places, keys): (Vec<usize>, Vec<CommandKey>) = repeats.into_iter().unzip();
        match firsts(&self.deps, logs::COLLECTION, &keys).await {
            Ok(firsts) => {
                for (at, first) in places.into_iter().zip(firsts) {
                    if let Some(first) = first {
                        answers[at].1.outcome = Ok(accepted(Uuid::nil(), &first));
                    }
                }
            }
            Err(error) => {
                for at in places {
                    answers[at].1.outcome = Err(Failure::Unsettled(store_fault(error.clone())));
                }
            }
        }
    }

    /// Answers records that are there already with their first receipts.
    async fn answer_identical(
        &self,
        identical: Vec<(usize, Uuid)>,
        answers: &mut [(usize, Answer)],
    ) {
        let streams: Vec<StreamName> = identical
            .iter()
            .map(|(_, id)| StreamName::new(Record::CATEGORY, id.to_string()))
            .collect();
        let histories = match self
            .deps
            .store
            .read_streams(logs::COLLECTION, &streams)
            .await
        {
            Ok(histories) => histories,
            Err(error) => {
                for (at, _) in identical {
                    answers[at].1.outcome = Err(Failure::Unsettled(store_fault(error.clone())));
                }
                return;
            }
        };
        for ((at, record_id), history) in identical.into_iter().zip(histories) {
            let first = history
                .first()
                .map(|first| Recorded::decode(logs::COLLECTION, first));
            answers[at].1.outcome = match first {
                Some(Ok(first)) => Ok(accepted(record_id, &as_appended(&first))),
                Some(Err(error)) => Err(Failure::Unsettled(Fault::internal(error))),
                None => Err(Failure::Unsettled(Fault::internal(
                    "a record that exists has no event",
                ))),
            };
        }
    }
}
