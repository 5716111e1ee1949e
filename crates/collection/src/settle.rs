//! What becomes of the records of a chunk: executed, known before, refused, and
//! kept in quarantine.

use futures::future::{join, join3};
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
use crate::chunk::{Chunk, Common, Entry};
use crate::intake::Intake;
use crate::quarantine::Quarantine;
use crate::quarantine::keep::{Keep, became, take};
use crate::quarantine::places::{Places, Waits};
use crate::record::Record;
use crate::refusals;

/// A record that waits for its answer.
struct Waiting {
    /// Its place among the requests.
    at: usize,
    command_id: String,
    id: Option<Uuid>,
    place: Option<Waits>,
    keep: Option<Keep>,
}

/// Records that are right in themselves, and their tasks.
#[derive(Default)]
struct Sent {
    rows: Vec<(Waiting, Uuid)>,
    tasks: Vec<Task<Record>>,
}

/// A row that goes into quarantine or out of it, and the answer it belongs to.
struct Move {
    answer: usize,
    place: Uuid,
    /// The row was handed in again from there, and refused.
    again: bool,
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
        let (mut sent, mut again) = (Sent::default(), Sent::default());
        let mut tasks = tasks.into_iter();
        for (at, entry) in entries.into_iter().enumerate() {
            let waiting = Waiting {
                at,
                command_id: entry.command_id,
                id: entry.id,
                place: entry.place,
                keep: entry.keep,
            };
            match entry.judged {
                Ok(record_id) => {
                    let to = match waiting.place {
                        None => &mut sent,
                        Some(_) => &mut again,
                    };
                    to.rows.push((waiting, record_id));
                    to.tasks.extend(tasks.next());
                }
                Err((what, key)) => refused.push((waiting, what, key)),
            }
        }
        let sent = self.sent(sent, common);
        if refused.is_empty() && again.rows.is_empty() {
            return sent.await.into_iter().map(|(_, answer)| answer).collect();
        }
        // Together, so that good records do not wait for bad ones.
        let again = self.sent_again(again, common);
        let (mut answers, others, bad) = join3(sent, again, self.refused(refused, common)).await;
        answers.extend(others);
        answers.extend(bad);
        answers.sort_unstable_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Executes records that are handed in again: first each takes its place, and
    /// one that does not get it is refused.
    async fn sent_again(&self, again: Sent, common: &Common) -> Vec<(usize, Answer)> {
        let now = self.deps.clock.now();
        let both = again.rows.into_iter().zip(again.tasks);
        let (rows, takes): (Vec<_>, Vec<_>) = both
            .filter_map(|((waiting, record_id), task)| {
                let (place, command_id) = (waiting.place.as_ref()?, task.key.id);
                let context = common.context(command_id);
                let take = take(place, record_id, &self.department, command_id, now, context);
                Some(((waiting, record_id, task), take))
            })
            .unzip();
        if rows.is_empty() {
            return Vec::new();
        }
        let executor = &self.deps.executor;
        let results = executor.execute_many(logs::COLLECTION, takes).await;
        let mut sent = Sent::default();
        let (mut answers, mut refused) = (Vec::new(), Vec::new());
        for ((mut waiting, record_id, task), result) in rows.into_iter().zip(results) {
            match result {
                Ok(_) => {
                    sent.rows.push((waiting, record_id));
                    sent.tasks.push(task);
                }
                Err(ExecuteError::Rejected(_)) => {
                    waiting.keep = None;
                    refused.push((waiting, Refused::left(), Some(task.key)));
                }
                Err(error) => {
                    let failure = Failure::Unsettled(execute_fault(error, Fault::from));
                    answers.push((waiting.at, Answer::failed(waiting.command_id, failure)));
                }
            }
        }
        let (sent, refused) = join(self.sent(sent, common), self.refused(refused, common)).await;
        answers.extend(sent);
        answers.extend(refused);
        answers
    }

    /// Executes records that are right in themselves.
    async fn sent(&self, sent: Sent, common: &Common) -> Vec<(usize, Answer)> {
        let Sent { rows: sent, tasks } = sent;
        let executor = &self.deps.executor;
        let results = executor.execute_many(logs::COLLECTION, tasks).await;
        let mut answers = Vec::with_capacity(sent.len());
        let mut keeps = Vec::new();
        let mut identical = Vec::new();
        let mut moves = Vec::new();
        for ((waiting, record_id), result) in sent.into_iter().zip(results) {
            let answer = answers.len();
            let outcome = match result {
                Err(error) => {
                    if let (ExecuteError::Rejected(rejection), Some(keep)) = (&error, waiting.keep)
                    {
                        keeps.push((answer, keep, rejection.field_faults()));
                    }
                    Err(Failure::NotExecuted { error, record_id })
                }
                Ok(appended) => {
                    if appended.last.is_none() {
                        identical.push((answer, record_id));
                        // No event of the record says that its row has left.
                        if let (Some(place), Some(id)) = (waiting.place, waiting.id) {
                            moves.push(self.left(answer, place.id, record_id, id, common));
                        }
                    }
                    Ok(accepted(record_id, &appended))
                }
            };
            let answer = Answer {
                command_id: waiting.command_id,
                outcome,
                quarantine_id: None,
            };
            answers.push((waiting.at, answer));
        }
        if !keeps.is_empty() {
            self.let_go(&mut keeps, &mut answers).await;
            let kept = |(answer, keep, faults): (usize, Keep, Vec<FieldFault>)| {
                self.kept(answer, keep, &faults, common)
            };
            moves.extend(keeps.into_iter().map(kept));
        }
        if !identical.is_empty() {
            self.answer_identical(identical, &mut answers).await;
        }
        self.execute_moves(moves, &mut answers).await;
        answers
    }

    /// Finds which of the places that these records took they do not hold, now
    /// that they are refused.
    async fn let_go(
        &self,
        keeps: &mut Vec<(usize, Keep, Vec<FieldFault>)>,
        answers: &mut [(usize, Answer)],
    ) {
        let ids = keeps.iter().map(|(_, keep, _)| keep.place).collect();
        match Places::load(&self.deps, ids).await {
            Ok(places) => {
                for (_, keep, _) in keeps {
                    keep.released = places.released(keep.place);
                }
            }
            Err(fault) => {
                // The stream ends with the first of them.
                if let Some((answer, ..)) = keeps.first() {
                    answers[*answer].1.outcome = Err(Failure::Unsettled(fault));
                }
                keeps.clear();
            }
        }
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
            let failure = Failure::Refused(what);
            answers.push((waiting.at, Answer::failed(waiting.command_id, failure)));
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
        let (place, again) = (keep.place, keep.again);
        let task = keep.task(&self.department, faults, self.deps.clock.now(), context);
        Move {
            answer,
            place,
            again,
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
        let at = (now, common.today);
        let task = became(place, record_id, &self.department, command_id, at, context);
        Move {
            answer,
            place,
            again: false,
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
            .map(|it| ((it.answer, it.place, it.again), it.task))
            .unzip();
        let executor = &self.deps.executor;
        let results = executor.execute_many(logs::COLLECTION, tasks).await;
        for ((at, place, again), result) in places.into_iter().zip(results) {
            let answer = &mut answers[at].1;
            match result {
                Ok(_) if answer.outcome.is_err() => answer.quarantine_id = Some(place),
                // It is not kept, and the refusal says why.
                Err(ExecuteError::Rejected(rejection)) => {
                    if let Err(Failure::Refused(what)) = &mut answer.outcome
                        && again
                    {
                        what.faults.push(rejection.field_fault());
                    }
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
