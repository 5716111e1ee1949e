//! Takes what waits into transactions, one after the other.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{Backend, CommitError, GroupOptions, Job, SpanLinker, Tail, refused, unavailable};
use crate::BoxError;
use crate::append::{AppendError, Appended, Outcome};
use crate::clock::Clock;
use crate::sequence::{Prepared, Rows, Wanted, sequence};
use crate::throttle::Throttle;

/// The task that owns a backend.
pub(super) struct Group<B> {
    backend: B,
    tail: Arc<Tail>,
    clock: Arc<dyn Clock>,
    options: GroupOptions,
    linker: Option<SpanLinker>,
    /// The last transaction met a store that fails.
    fails: bool,
}

impl<B: Backend> Group<B> {
    pub(super) fn new(
        backend: B,
        tail: Arc<Tail>,
        clock: Arc<dyn Clock>,
        options: GroupOptions,
        linker: Option<SpanLinker>,
    ) -> Self {
        Self {
            backend,
            tail,
            clock,
            options,
            linker,
            fails: false,
        }
    }

    pub(super) async fn run(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        let mut held: Option<Job> = None;
        loop {
            let Some(first) = (match held.take() {
                Some(job) => Some(job),
                None => jobs.recv().await,
            }) else {
                return;
            };
            let mut batch: Vec<Job> = Vec::new();
            let (mut count, mut weight) = (0, 0);
            let mut next = Some(first);
            while let Some(job) = next.take() {
                let full = count + job.appends.len() > self.options.batch_appends_max
                    || weight + job.weight > self.options.batch_weight_max;
                if full && !batch.is_empty() {
                    held = Some(job);
                    break;
                }
                count += job.appends.len();
                weight += job.weight;
                batch.push(job);
                next = jobs.try_recv().ok();
            }
            let appends: Vec<&Prepared> = batch.iter().flat_map(|job| &job.appends).collect();
            let mut outcomes = Vec::with_capacity(count);
            for part in self.options.split(&appends) {
                outcomes.extend(self.commit_traced(part).await);
            }
            let failure = outcomes.last().and_then(|outcome| match outcome {
                Err(AppendError::Unavailable { source, .. }) if self.fails => Some(source.clone()),
                _ => None,
            });
            let mut outcomes = outcomes.into_iter();
            for job in batch {
                let own = outcomes.by_ref().take(job.appends.len()).collect();
                job.answer(own);
            }
            if let Some(failure) = failure {
                held = self.turn_away(held, &mut jobs, &failure);
            }
        }
    }

    /// After a failure refuses those who waited long for it: a store that stands still
    /// would keep each of them waiting once more. Gives back the first who did not.
    fn turn_away(
        &self,
        held: Option<Job>,
        jobs: &mut mpsc::UnboundedReceiver<Job>,
        failure: &Arc<BoxError>,
    ) -> Option<Job> {
        let mut next = held.or_else(|| jobs.try_recv().ok());
        while let Some(job) = next {
            if job.since.elapsed() < self.options.enqueue_deadline {
                return Some(job);
            }
            let outcomes = refused(job.appends.len(), failure, Outcome::NotApplied);
            job.answer(outcomes);
            next = jobs.try_recv().ok();
        }
        None
    }

    async fn commit_traced(&mut self, appends: &[&Prepared]) -> Vec<Result<Appended, AppendError>> {
        let span = tracing::info_span!("append_batch", appends = appends.len());
        if let Some(linker) = &self.linker {
            let mut parents: Vec<&str> = appends
                .iter()
                .flat_map(|prepared| &prepared.append().streams)
                .filter_map(|part| part.events.first())
                .map(|event| event.context.traceparent.as_str())
                .filter(|parent| !parent.is_empty())
                .collect();
            parents.dedup();
            linker(&span, &parents);
        }
        self.commit(appends).instrument(span).await
    }

    async fn commit(&mut self, appends: &[&Prepared]) -> Vec<Result<Appended, AppendError>> {
        match self.transact(appends).await {
            Ok(outcomes) => outcomes,
            Err(CommitError::Constraint(error)) if appends.len() > 1 => {
                tracing::error!(error = %error, "constraint violated, batch replayed one by one");
                let mut outcomes = Vec::with_capacity(appends.len());
                for append in appends {
                    match self.transact(&[append]).await {
                        Ok(one) => outcomes.extend(one),
                        Err(error) => outcomes.extend(failed(1, error)),
                    }
                }
                outcomes
            }
            Err(error) => failed(appends.len(), error),
        }
    }

    async fn transact(
        &mut self,
        appends: &[&Prepared],
    ) -> Result<Vec<Result<Appended, AppendError>>, CommitError> {
        let done = self.try_transact(appends).await;
        self.fails = matches!(
            done,
            Err(CommitError::NotApplied(_) | CommitError::Unknown(_))
        );
        done
    }

    async fn try_transact(
        &mut self,
        appends: &[&Prepared],
    ) -> Result<Vec<Result<Appended, AppendError>>, CommitError> {
        let mut loaded = match self.backend.begin(&Wanted::of(appends)).await {
            Ok(loaded) => loaded,
            Err(error) => {
                self.backend.rollback().await;
                return Err(CommitError::NotApplied(error));
            }
        };
        // After an unknown outcome the store may hold more than readers were told.
        self.tail.catch_up_all(&loaded);
        let (rows, outcomes) = sequence(appends, &mut loaded, self.clock.now());
        if rows.is_empty() {
            self.backend.rollback().await;
            return Ok(outcomes);
        }
        if let Err(error) = self.backend.commit(&rows).await {
            self.backend.rollback().await;
            if matches!(error, CommitError::Unknown(_)) {
                self.look_again(&rows).await;
            }
            return Err(error);
        }
        self.tail.publish(&rows);
        Ok(outcomes)
    }

    /// Looks whether a commit of unknown outcome took effect, so that readers
    /// see its records even if nobody retries and nothing more is appended.
    async fn look_again(&mut self, rows: &Rows) {
        let heads = rows.heads.keys().copied().collect();
        match self
            .backend
            .begin(&Wanted {
                heads,
                ..Wanted::default()
            })
            .await
        {
            Ok(loaded) => self.tail.catch_up_all(&loaded),
            // The next append to the shard looks again.
            Err(error) => tracing::warn!(error = %error, "outcome of a batch stays unknown"),
        }
        self.backend.rollback().await;
    }
}

fn failed(count: usize, error: CommitError) -> Vec<Result<Appended, AppendError>> {
    let (source, outcome) = match error {
        CommitError::NotApplied(source) | CommitError::Constraint(source) => {
            (source, Outcome::NotApplied)
        }
        CommitError::Unknown(source) => (source, Outcome::Unknown),
    };
    static THROTTLE: Throttle = Throttle::minutely();
    let error = source.to_string();
    if let Some(held_back) = THROTTLE.pass(&error) {
        tracing::error!(error, outcome = ?outcome, held_back, "batch did not commit");
    }
    unavailable(count, source, outcome)
}
