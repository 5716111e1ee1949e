//! Pages over several readers, and what is refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use jiff::Timestamp;
use tally_eventlog::append::{Append, ExpectedVersion, RowKey, StreamAppend};
use tally_eventlog::clock::SystemClock;
use tally_eventlog::consumer::{Consumer, ConsumerOptions, Poison, Projection, ViewRows};
use tally_eventlog::event::{EventContext, NewEvent, Recorded, StreamName};
use tally_eventlog::group::GroupOptions;
use tally_eventlog::lease::Held;
use tally_eventlog::memory::MemoryStore;
use tally_eventlog::shard::{LogName, ShardCount};
use tally_eventlog::store::{EventStore, LogSource};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use uuid::Uuid;

use super::*;

const LOG: LogName = LogName("node-test");
const TYPE: &str = "tally.test.v1.Happened";
const COMPANIES: [&str; 3] = ["a:1", "a:2", "b/1"];

/// Applies nothing until it is mended.
#[derive(Default)]
struct Picky {
    mended: AtomicBool,
}

impl Projection for Picky {
    fn views(&self) -> &'static [&'static str] {
        &[]
    }

    fn knows(&self, _: &str) -> bool {
        true
    }

    fn reads(&self, _: &Recorded) -> Result<Vec<RowKey>, Poison> {
        Ok(Vec::new())
    }

    fn apply(&self, _: &Recorded, _: &mut ViewRows) -> Result<(), Poison> {
        match self.mended.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(Poison::new("broken")),
        }
    }
}

struct Stage {
    handles: Vec<ConsumerHandle>,
    projection: Arc<Picky>,
    stop: CancellationToken,
    parked: Parked,
}

impl Stage {
    /// Two readers, for each of which an event of every company waits, and another behind it.
    async fn set() -> Self {
        let shards = ShardCount::new(2).expect("2 is in range");
        let clock = Arc::new(SystemClock::default());
        let store = MemoryStore::open(&[LOG], shards, clock.clone(), GroupOptions::default(), None);
        let store: Arc<dyn EventStore> = Arc::new(store);
        for subject in COMPANIES {
            let append = Append {
                streams: vec![StreamAppend {
                    stream: StreamName::new("test", subject),
                    expected: ExpectedVersion::Any,
                    events: vec![event(subject), event(subject)],
                }],
                ..Append::to(LOG, shards.of(subject))
            };
            for answer in store.append(vec![append]).await {
                answer.expect("nobody else writes");
            }
        }
        let (projection, stop) = (Arc::new(Picky::default()), CancellationToken::new());
        let start = |name| {
            let consumer = Consumer {
                name,
                log: LOG,
                source: store.clone() as Arc<dyn LogSource>,
                store: store.clone(),
                projection: projection.clone(),
                process: None,
                clock: clock.clone(),
                held: Held::all(1),
                options: ConsumerOptions::default(),
            };
            consumer.start(stop.clone())
        };
        let handles: Vec<_> = ["test.one", "test.two"].into_iter().map(start).collect();
        for handle in &handles {
            for shard in shards.all() {
                let size = *store.watch(LOG, shard).borrow();
                let reached = handle.progress().wait_for(shard, size, REPLAY_WAIT).await;
                assert!(reached, "{:?}", handle.progress().all());
            }
        }
        Self {
            parked: Parked::of(&handles),
            handles,
            projection,
            stop,
        }
    }

    async fn page(
        &self,
        consumer: &str,
        page_size: u32,
        page_token: &str,
    ) -> pb::ListParkedResponse {
        let request = pb::ListParkedRequest {
            consumer: consumer.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
        };
        self.parked.list(&request).await.expect("a page")
    }

    async fn replay(&self, subject: &str) -> Result<pb::ReplayParkedResponse, Fault> {
        let request = pb::ReplayParkedRequest {
            consumer: "test.two".to_owned(),
            subject: subject.to_owned(),
        };
        self.parked.replay(&request).await
    }
}

fn event(subject: &str) -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        event_type: TYPE,
        subject: subject.to_owned(),
        payload: Bytes::new(),
        effective_at: Timestamp::UNIX_EPOCH,
        context: Arc::new(EventContext {
            actor: Default::default(),
            pack_version: String::new(),
            command_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            correlation_id: Uuid::nil(),
            traceparent: String::new(),
        }),
        legal_basis: None,
    }
}

fn get(consumer: &str, subject: &str) -> pb::GetParkedRequest {
    pb::GetParkedRequest {
        consumer: consumer.to_owned(),
        subject: subject.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn pages_of_every_size_have_every_subject_of_every_reader_once() {
    let stage = Stage::set().await;
    let all = stage.page("", 0, "").await;
    assert_eq!(all.next_page_token, "");
    let named = |page: &pb::ListParkedResponse| -> Vec<(String, String)> {
        let one = |one: &pb::ParkedSubject| (one.consumer.clone(), one.subject.clone());
        page.subjects.iter().map(one).collect()
    };
    let found: BTreeSet<_> = named(&all).into_iter().collect();
    let expected = ["test.one", "test.two"]
        .into_iter()
        .flat_map(|consumer| COMPANIES.map(|company| (consumer.to_owned(), company.to_owned())));
    assert_eq!(found, expected.collect());
    for subject in &all.subjects {
        assert_eq!((subject.events, subject.source.as_str()), (2, LOG.0));
        let first = subject
            .first
            .as_ref()
            .expect("one keeps the others waiting");
        assert_eq!(
            (first.event_type.as_str(), first.reason.as_str()),
            (TYPE, "broken")
        );
        assert!(first.recorded_at.is_some());
    }
    for size in 1..=6 {
        let (mut seen, mut token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = stage.page("", size, &token).await;
            assert!(page.subjects.len() <= size as usize);
            seen.extend(named(&page));
            token = page.next_page_token;
            pages += 1;
            assert!(pages <= 6, "by {size}: {seen:?}");
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, named(&all), "by {size}");
        assert_eq!(pages, 6u32.div_ceil(size), "no empty page at the end");
    }
    let two = stage.page("test.two", 0, "").await;
    assert_eq!(named(&two), named(&all)[3..]);
    stage.stop.cancel();
}

#[tokio::test]
async fn the_events_of_a_subject_come_in_pages_and_go_when_they_are_applied() {
    let stage = Stage::set().await;
    let ask = get("test.two", COMPANIES[2]);
    let all = stage.parked.get(&ask).await.expect("it is parked").events;
    assert_eq!(all.len(), 2);
    let ask = pb::GetParkedRequest {
        page_size: 1,
        ..ask
    };
    let first = stage.parked.get(&ask).await.expect("it is parked");
    assert_eq!(first.events, all[..1]);
    let ask = pb::GetParkedRequest {
        page_token: first.next_page_token,
        ..ask
    };
    let second = stage.parked.get(&ask).await.expect("it is parked");
    assert_eq!(
        (second.events, second.next_page_token.as_str()),
        (all[1..].to_vec(), "")
    );

    let replayed = stage.replay(COMPANIES[2]).await.expect("tried");
    assert_eq!((replayed.applied, replayed.left), (0, 2));
    assert_eq!(replayed.stopped_at.as_ref(), all.first());
    stage.projection.mended.store(true, Ordering::SeqCst);
    let replayed = stage.replay(COMPANIES[2]).await.expect("tried");
    let done = pb::ReplayParkedResponse {
        applied: 2,
        left: 0,
        stopped_at: None,
    };
    assert_eq!(replayed, done);
    let gone = stage.replay(COMPANIES[2]).await.expect_err("nothing waits");
    assert_eq!(gone.reason(), "SUBJECT_NOT_PARKED");
    let gone = stage.parked.get(&get("test.two", COMPANIES[2])).await;
    assert_eq!(
        gone.expect_err("nothing waits").reason(),
        "SUBJECT_NOT_PARKED"
    );
    let left = stage.page("", 0, "").await.subjects;
    assert_eq!(left.len(), 5, "the other reader's still wait");
    stage.stop.cancel();
}

#[tokio::test]
async fn a_refusal_names_every_fault_and_repeats_no_subject() {
    let stage = Stage::set().await;
    let bad = pb::GetParkedRequest {
        page_size: 501,
        page_token: "x".to_owned(),
        ..Default::default()
    };
    let fault = stage.parked.get(&bad).await.expect_err("all is wrong");
    let fields = fault.violations().iter().map(|fault| fault.field.as_str());
    let expected = ["consumer", "subject", "page_size", "page_token"];
    assert_eq!(fields.collect::<Vec<_>>(), expected);
    let bad = pb::ListParkedRequest {
        page_size: 501,
        page_token: "test.one/70000/a".to_owned(),
        ..Default::default()
    };
    let fault = stage.parked.list(&bad).await.expect_err("both are wrong");
    assert_eq!(fault.violations().len(), 2);
    let fault = stage.parked.get(&get("test.three", COMPANIES[0])).await;
    let fault = fault.expect_err("there is none");
    assert_eq!(fault.reason(), "READER_UNKNOWN");
    assert!(fault.message().contains("test.one, test.two"), "{fault}");
    let fault = stage.parked.get(&get("test.two", "cn-resident-id:1")).await;
    let fault = fault.expect_err("nothing waits");
    assert_eq!(fault.reason(), "SUBJECT_NOT_PARKED");
    assert!(!fault.message().contains("cn-resident-id"), "{fault}");
    stage.stop.cancel();
}

#[tokio::test]
async fn a_reader_that_is_held_or_has_stopped_says_so() {
    let mut stage = Stage::set().await;
    stage.handles[1].progress().pause();
    // The runners are on this thread, and notice it now.
    tokio::task::yield_now().await;
    // Held, it never answers: any bound passes.
    stage.parked.replay_wait = Duration::from_millis(1);
    let fault = stage.replay(COMPANIES[0]).await.expect_err("it is held");
    assert_eq!(
        (fault.code(), fault.reason()),
        (Code::Unavailable, "READER_BUSY")
    );
    stage.stop.cancel();
    let Stage {
        handles, parked, ..
    } = stage;
    for handle in handles {
        handle.join().await;
    }
    let request = pb::ReplayParkedRequest {
        consumer: "test.two".to_owned(),
        subject: COMPANIES[0].to_owned(),
    };
    let fault = parked.replay(&request).await.expect_err("it has stopped");
    assert_eq!(
        (fault.code(), fault.reason()),
        (Code::FailedPrecondition, "READER_STOPPED")
    );
    let listed = parked
        .list(&pb::ListParkedRequest::default())
        .await
        .expect("a page");
    assert_eq!(listed.subjects.len(), 6, "what waits is shown all the same");
}
