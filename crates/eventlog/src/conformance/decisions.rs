//! Cases on commands that are decided and on timers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, LOG, VIEW, command, decode, event, name, payload, position, row, set};
use super::reader::{Start, WAIT_MAX};
use crate::aggregate::{Aggregate, Codec, Encoded};
use crate::append::ExpectedVersion::{Any, NoStream};
use crate::append::{Append, CommandKey, StreamAppend};
use crate::clock::Clock as _;
use crate::consumer::ReactError;
use crate::event::{DecodeError, NewEvent, Recorded};
use crate::execute::{ExecuteError, Executor, TRIES_MAX, Task};
use crate::ids::{Cause, named_id};
use crate::shard::Shard;
use crate::store::EventStore;
use crate::timer::{Timer, TimerHandler};

/// Counts the events of its stream.
#[derive(Debug, Clone, Default)]
struct Count(u64);

/// Asks for the next number, up to a limit.
struct Next {
    limit: u64,
    /// What happens while it is decided, with the number of the try, from 1.
    meanwhile: Box<dyn Fn(u32) + Send + Sync>,
    tries: AtomicU32,
}

impl Aggregate for Count {
    type Command = Arc<Next>;
    type Event = String;
    type Rejection = &'static str;

    const CATEGORY: &'static str = "case";

    fn decide(&self, next: &Arc<Next>) -> Result<Vec<String>, &'static str> {
        (next.meanwhile)(next.tries.fetch_add(1, Ordering::SeqCst) + 1);
        if self.0 >= next.limit {
            return Err("the limit is reached");
        }
        Ok(vec![format!("number {}", self.0)])
    }

    fn evolve(&mut self, _: &String) {
        self.0 += 1;
    }
}

impl Codec for Count {
    fn encode(text: &String) -> Encoded {
        let like = event(text);
        Encoded {
            event_type: like.event_type,
            payload: like.payload,
            effective_at: like.effective_at,
            legal_basis: None,
        }
    }

    fn decode(recorded: &Recorded) -> Result<String, DecodeError> {
        Ok(String::from_utf8_lossy(&recorded.envelope.payload).into_owned())
    }
}

/// A decision during which others append to the stream, at the first `meddled` tries.
fn next(bench: &Bench, limit: u64, meddled: u32) -> Arc<Next> {
    let store = bench.store().clone();
    let append = bench.one("s", Any);
    let meanwhile = Box::new(move |attempt| {
        if attempt > meddled {
            return;
        }
        let append = store.append(vec![append.clone()]);
        let answers =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(append));
        assert!(answers.iter().all(Result::is_ok));
    });
    Arc::new(Next {
        limit,
        meanwhile,
        tries: AtomicU32::new(0),
    })
}

fn task(next: &Arc<Next>, key: &CommandKey) -> Task<Count> {
    Task {
        stream_id: "s".to_owned(),
        subject: String::new(),
        command: next.clone(),
        key: key.clone(),
        context: event("").context,
        note: Bytes::from_static(b"note"),
        fresh: false,
        guards: Vec::new(),
    }
}

fn executor(bench: &Bench) -> Executor {
    Executor {
        store: bench.store().clone(),
        clock: bench.clock.clone(),
    }
}

pub(super) async fn losing_command_is_decided_again(bench: Bench) {
    bench
        .append(bench.one("s", NoStream))
        .await
        .expect("it is the first");
    let next = next(&bench, 9, 2);
    let key = command("d", 2, 1);
    let answer = executor(&bench)
        .execute(LOG, task(&next, &key))
        .await
        .expect("it is decided again");
    assert_eq!(next.tries.load(Ordering::SeqCst), 3, "it lost twice");
    assert_eq!((position(&answer), answer.repeated), (3, false));
    let last = bench.payloads(LOG, bench.shard("s")).await.pop();
    assert_eq!(
        last.as_deref(),
        Some("number 3"),
        "on the new state, not the old one"
    );
    let again = executor(&bench)
        .execute(LOG, task(&next, &key))
        .await
        .expect("it is known");
    assert_eq!((position(&again), again.repeated), (3, true));
    assert_eq!(bench.versions("s").await, [0, 1, 2, 3]);
}

pub(super) async fn losing_command_may_be_refused_on_the_new_state(bench: Bench) {
    let next = next(&bench, 1, 1);
    let key = command("d", 2, 1);
    let answer = executor(&bench).execute(LOG, task(&next, &key)).await;
    assert!(matches!(
        answer,
        Err(ExecuteError::Rejected("the limit is reached"))
    ));
    assert_eq!(
        bench.versions("s").await,
        [0],
        "only what happened meanwhile"
    );
    assert!(!bench.remembers(LOG, &key).await);
}

pub(super) async fn aborted_after_bounded_tries(bench: Bench) {
    let next = next(&bench, u64::MAX, u32::MAX);
    let key = command("d", 2, 1);
    let answer = executor(&bench).execute(LOG, task(&next, &key)).await;
    assert!(matches!(answer, Err(ExecuteError::Aborted { stream }) if stream == name("s")));
    assert_eq!(next.tries.load(Ordering::SeqCst), TRIES_MAX);
    assert_eq!(
        bench.total(LOG).await,
        u64::from(TRIES_MAX),
        "only what happened meanwhile"
    );
    assert!(!bench.remembers(LOG, &key).await);
}

pub(super) async fn repeat_of_a_command_that_would_now_be_refused(mut bench: Bench) {
    let next = next(&bench, 1, 0);
    let key = command("d", 2, 1);
    let first = executor(&bench)
        .execute(LOG, task(&next, &key))
        .await
        .expect("it is the first");
    drop(next);
    bench.crash().await;
    let next = self::next(&bench, 1, 0);
    let again = executor(&bench)
        .execute(LOG, task(&next, &key))
        .await
        .expect("it is known");
    assert_eq!((position(&again), again.repeated), (position(&first), true));
    let other = CommandKey {
        digest: [9; 32],
        ..key
    };
    let reused = executor(&bench).execute(LOG, task(&next, &other)).await;
    assert!(matches!(reused, Err(ExecuteError::CommandReused { .. })));
    let new = executor(&bench)
        .execute(LOG, task(&next, &command("d", 2, 2)))
        .await;
    assert!(matches!(new, Err(ExecuteError::Rejected(_))));
    assert_eq!(bench.versions("s").await, [0]);
}

/// Due dates as seconds, in the key; firing appends an event.
struct Due {
    store: Arc<dyn EventStore>,
    fired: Mutex<Vec<Bytes>>,
}

fn due_key(at: Timestamp) -> [u8; 8] {
    u64::try_from(at.as_second())
        .expect("after 1970")
        .to_be_bytes()
}

#[async_trait]
impl TimerHandler for Due {
    fn view(&self) -> &'static str {
        VIEW
    }

    fn due_before(&self, now: Timestamp) -> Vec<u8> {
        due_key(now + SignedDuration::from_secs(1)).to_vec()
    }

    async fn fire(&self, shard: Shard, key: Bytes, value: Bytes) -> Result<(), ReactError> {
        let seconds = u64::from_be_bytes(key[..].try_into().expect("8 bytes"));
        let due = Timestamp::from_second(i64::try_from(seconds).expect("in range"));
        let due = due.expect("in range");
        let text = String::from_utf8_lossy(&value).into_owned();
        let command = CommandKey {
            department: String::new(),
            id: named_id("timer", &[&text]),
            digest: [0; 32],
        };
        let fired = NewEvent {
            effective_at: due,
            ..event(&text)
        };
        let append = Append {
            command: Some(command),
            streams: vec![StreamAppend {
                stream: name(&text),
                expected: Any,
                events: vec![fired],
            }],
            ..Append::to(LOG, shard)
        };
        let answer = self.store.append(vec![append]).await.remove(0);
        answer.map_err(|error| ReactError::Retry {
            reason: error.to_string(),
        })?;
        self.fired
            .lock()
            .expect("no panic while it is held")
            .push(value);
        Ok(())
    }
}

pub(super) async fn timer_fires_once_and_effective_on_the_due_date(mut bench: Bench) {
    let shard = Shard(2);
    let start = bench.clock.wall();
    let dues = [1, 2, 3].map(|day| {
        let due = start + SignedDuration::from_hours(24 * day);
        Timestamp::from_second(due.as_second()).expect("in range")
    });
    let rows = dues.iter().zip(["one", "two", "three"]);
    let views = rows
        .map(|(due, text)| set(row(VIEW, shard, &due_key(*due)), text))
        .collect();
    bench
        .append(Append {
            views,
            ..Append::to(LOG, shard)
        })
        .await
        .expect("rows only");
    // The clock passes one due date, and later, with another process, all of them.
    for (late, count) in [(36, 1), (480, 3)] {
        bench.clock.set(start + SignedDuration::from_hours(late));
        let handler = Due {
            store: bench.store().clone(),
            fired: Mutex::default(),
        };
        let handler = Arc::new(handler);
        let reader = Start::on(&bench).reader(&bench);
        let stop = CancellationToken::new();
        let timer = Timer {
            store: bench.store().clone(),
            handler: handler.clone(),
            progress: reader.handle().progress().clone(),
            clock: bench.clock.clone(),
            interval: Duration::from_secs(3_600),
        };
        let timer = timer.start(stop.clone());
        let mut size = bench.store().watch(LOG, shard);
        let fired = tokio::time::timeout(WAIT_MAX, size.wait_for(|size| *size >= count)).await;
        fired
            .expect("what is due is fired")
            .expect("the store is open");
        stop.cancel();
        timer.await.expect("no panic");
        reader.end().await;
        // Nothing takes the rows out here, so that "one" was fired again.
        let texts = handler
            .fired
            .lock()
            .expect("no panic while it is held")
            .clone();
        assert_eq!(texts.first().map_or(&b"one"[..], |text| text), b"one");
        drop(handler);
        bench.crash().await;
        assert_eq!(
            bench.total(LOG).await,
            count,
            "each at most once, and none before it is due"
        );
    }
    let records = bench.records(LOG, shard).await;
    let texts: Vec<String> = records.iter().map(|record| payload(LOG, record)).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    for (record, due) in records.iter().zip(dues) {
        let recorded = decode(LOG, record);
        assert_eq!(recorded.effective_at, due, "however late it is recorded");
        assert!(recorded.recorded_at > due);
    }
}

/// A cause's commands keep their ids over a restart; another handler's differ.
pub(super) async fn derived_ids_are_remembered(mut bench: Bench) {
    let cause = Cause {
        at: bench.clock.wall(),
        log: LOG,
        shard: Shard(1),
        position: 7,
        handler: "conformance.handler",
    };
    let effect = |bench: &Bench, cause: Cause, n| {
        let id = cause.derived_id(n);
        let command = Some(CommandKey {
            department: String::new(),
            id,
            digest: [0; 32],
        });
        Append {
            command,
            ..bench.one("s", Any)
        }
    };
    for repeated in [false, true] {
        for n in 0..3 {
            let answer = bench
                .append(effect(&bench, cause, n))
                .await
                .expect("it holds");
            assert_eq!(
                (position(&answer), answer.repeated),
                (u64::from(n), repeated)
            );
        }
        bench.crash().await;
    }
    let other = Cause {
        handler: "conformance.other",
        ..cause
    };
    assert!(
        !bench
            .append(effect(&bench, other, 0))
            .await
            .expect("it holds")
            .repeated
    );
}
