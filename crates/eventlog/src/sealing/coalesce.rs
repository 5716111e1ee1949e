//! Group commit for the ring: whoever asks while the store is busy is served
//! together in the next transaction.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::error::KeyRingError;

/// Gathers the items of concurrent callers into batches, one at a time.
pub(super) struct Coalescer<T, V> {
    waiting: Mutex<Vec<Waiter<T, V>>>,
    turn: tokio::sync::Mutex<()>,
}

struct Waiter<T, V> {
    items: Vec<T>,
    answer: oneshot::Sender<Result<Vec<V>, KeyRingError>>,
}

impl<T: Clone, V> Coalescer<T, V> {
    pub fn new() -> Self {
        Self {
            waiting: Mutex::new(Vec::new()),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Answers `items` by `serve`, which gets the items of all that wait and
    /// returns one value for each, in order.
    pub async fn resolve<F, Served>(&self, items: Vec<T>, serve: F) -> Result<Vec<V>, KeyRingError>
    where
        F: Fn(Vec<T>) -> Served,
        Served: Future<Output = Result<Vec<V>, KeyRingError>>,
    {
        loop {
            let (answer, mut answered) = oneshot::channel();
            lock(&self.waiting).push(Waiter {
                items: items.clone(),
                answer,
            });
            tokio::select! {
                biased;
                result = &mut answered => {
                    if let Ok(result) = result {
                        return result;
                    }
                }
                turn = self.turn.lock() => {
                    let batch = std::mem::take(&mut *lock(&self.waiting));
                    serve_batch(batch, &serve).await;
                    drop(turn);
                    if let Ok(result) = answered.await {
                        return result;
                    }
                }
            }
            // Whoever had taken this item into its batch was cancelled. Asking
            // again finds what it may have committed.
        }
    }

    /// Waits until no batch is being served and lets none begin.
    pub async fn exclusive(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }
}

async fn serve_batch<T: Clone, V, F, Served>(batch: Vec<Waiter<T, V>>, serve: &F)
where
    F: Fn(Vec<T>) -> Served,
    Served: Future<Output = Result<Vec<V>, KeyRingError>>,
{
    if batch.is_empty() {
        return;
    }
    let items = batch.iter().flat_map(|waiter| waiter.items.iter().cloned());
    match serve(items.collect()).await {
        Ok(values) => {
            let mut values = values.into_iter();
            for waiter in batch {
                let own = values.by_ref().take(waiter.items.len()).collect();
                // A caller that has gone away wants no answer.
                let _ = waiter.answer.send(Ok(own));
            }
        }
        Err(error) => {
            for waiter in batch {
                let _ = waiter.answer.send(Err(error.clone()));
            }
        }
    }
}

/// Locks what stays consistent even if a holder panicked: each critical section
/// here is a single step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    /// Waits until `count` callers stand in the queue.
    async fn queued(coalescer: &Coalescer<u32, u32>, count: usize) {
        while lock(&coalescer.waiting).len() < count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn callers_who_wait_are_served_together_and_in_order() {
        let coalescer = Arc::new(Coalescer::<u32, u32>::new());
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let busy = coalescer.exclusive().await;
        let callers: Vec<_> = (0..5)
            .map(|caller| {
                let (coalescer, sizes) = (coalescer.clone(), sizes.clone());
                tokio::spawn(async move {
                    let serve = async |items: Vec<u32>| {
                        lock(&sizes).push(items.len());
                        Ok(items.into_iter().map(|item| item * 10).collect())
                    };
                    coalescer.resolve(vec![caller, caller + 100], serve).await
                })
            })
            .collect();
        queued(&coalescer, 5).await;
        drop(busy);
        for (caller, task) in (0..).zip(callers) {
            let values = task.await.expect("no panic").expect("served");
            assert_eq!(values, [caller * 10, (caller + 100) * 10]);
        }
        assert_eq!(*lock(&sizes), [10]);
    }

    #[tokio::test]
    async fn a_cancelled_leader_does_not_take_others_with_it() {
        let coalescer = Arc::new(Coalescer::<u32, u32>::new());
        let serving = Arc::new(Semaphore::new(0));
        let busy = coalescer.exclusive().await;
        let leader = tokio::spawn({
            let (coalescer, serving) = (coalescer.clone(), serving.clone());
            async move {
                let serve = async |_| {
                    serving.add_permits(1);
                    pending().await
                };
                coalescer.resolve(vec![1], serve).await
            }
        });
        queued(&coalescer, 1).await;
        let follower = tokio::spawn({
            let coalescer = coalescer.clone();
            async move { coalescer.resolve(vec![2], async |items| Ok(items)).await }
        });
        queued(&coalescer, 2).await;
        drop(busy);
        serving.acquire().await.expect("open").forget();
        leader.abort();
        let values = follower.await.expect("no panic").expect("served");
        assert_eq!(values, [2]);
    }

    #[tokio::test]
    async fn an_error_reaches_every_caller() {
        let coalescer = Coalescer::<u32, u32>::new();
        let result = coalescer
            .resolve(vec![1], async |_| Err(KeyRingError::WrongMasterKey))
            .await;
        assert!(matches!(result, Err(KeyRingError::WrongMasterKey)));
    }
}
