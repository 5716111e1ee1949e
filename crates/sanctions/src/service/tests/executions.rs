//! What must hold when an execution commits, and that every end is lifted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tally_domain::policy::Pack;
use tally_eventlog::clock::Clock;
use tally_eventlog::event::{NewEvent, Recorded, StoredRecord};
use tally_eventlog::pb::{DocumentRef, LegalBasisRef};
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::{EventStore, FormerId, LogSource, StoreError};
use tally_proto::tally::lists::v1 as lists;
use tally_service::Sources;
use tokio::sync::watch;

use super::mesh::*;
use super::records::{append, event, load};
use super::tonic_reason::reason;
use super::{ENTRY, execute, execution, listed, respond};
use crate::codec;
use crate::known::event_type;
use crate::service::*;

#[tokio::test]
async fn nothing_is_executed_once_the_measures_basis_has_lapsed() {
    let (mesh, id) = listed().await;
    respond(&mesh, CITY, &id).await.expect("acknowledged");
    let mut pack = tally_catalog::pack::embedded().expect("the built-in pack");
    let last = jiff::civil::date(2026, 3, 1);
    basis_until(&mut pack, "tally-public-funds-rules/9", "2026.2", last);
    activate(&mesh, &pack).await;
    let refused = execute(&mesh, &id).await.expect_err("lapsed yesterday");
    assert!(reason(&refused, "LEGAL_BASIS_NOT_IN_FORCE"), "{refused:?}");
}

#[tokio::test]
async fn what_ends_is_lifted_whatever_ended_it() {
    let ends = [
        (event_type::CORRECTED_OUT, pb::LiftReason::CorrectedOut),
        (event_type::REMOVED, pb::LiftReason::Removed),
        (event_type::EXPIRED, pb::LiftReason::Expired),
        (event_type::DROPPED, pb::LiftReason::NotListed),
    ];
    for (ended, lift_reason) in ends {
        let (mesh, id) = listed().await;
        // The payload of an end is not looked at.
        let payload = lists::EntryExpired::default();
        mesh.lists(MOUTAI, ("entry", ENTRY), ended, payload).await;
        mesh.settled().await;
        let shown = mesh.service.get_directive(by(
            system(CITY),
            pb::GetDirectiveRequest { directive_id: id },
        ));
        let directive = shown.await.expect("its own").into_inner().directive;
        let directive = directive.expect("a directive");
        // Not finished: the department has not confirmed.
        assert_eq!(
            (directive.state(), directive.lift_reason()),
            (pb::DirectiveState::Lifted, lift_reason),
            "{ended}"
        );
    }
}

/// An event about the subject, whose payload is not looked at.
async fn come_to_lists(store: &dyn EventStore, now: Timestamp, what: (&'static str, &str)) {
    let (event_type, entry_id) = what;
    let payload = lists::EntryNominated::default();
    let coming = NewEvent {
        subject: MOUTAI.to_owned(),
        ..event(now, event_type, PROVINCE, payload)
    };
    append(store, logs::LISTS, MOUTAI, ("entry", entry_id), coming).await;
}

/// A clock during whose first questions the reader of lists moves on.
struct Meddling {
    clock: Arc<TestClock>,
    store: Arc<dyn EventStore>,
    reader: Arc<Progress>,
    asked: AtomicU32,
}

impl Meddling {
    async fn meddle(&self) {
        let another = (event_type::NOMINATED, "another");
        come_to_lists(&*self.store, self.clock.now(), another).await;
        let (shard, size) = self.lists_size();
        let wait = Duration::from_secs(20);
        assert!(self.reader.wait_for(shard, size, wait).await);
    }

    fn lists_size(&self) -> (Shard, u64) {
        let shard = self.store.shards().of(MOUTAI);
        (shard, *self.store.watch(logs::LISTS, shard).borrow())
    }
}

impl Clock for Meddling {
    fn now(&self) -> Timestamp {
        if self.asked.fetch_add(1, Ordering::SeqCst) < 4 {
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(self.meddle());
            });
        }
        self.clock.now()
    }

    fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    fn moved(&self) -> watch::Receiver<u64> {
        self.clock.moved()
    }
}

/// An execution rests on what the reader of lists holds when it commits, not
/// on an older look.
#[tokio::test(flavor = "multi_thread")]
async fn an_execution_on_an_old_look_is_not_recorded() {
    let (mesh, id) = listed().await;
    respond(&mesh, CITY, &id).await.expect("acknowledged");
    let clock = Arc::new(Meddling {
        clock: mesh.clock.clone(),
        store: mesh.store.clone(),
        reader: mesh.reader_of_lists(),
        asked: AtomicU32::new(0),
    });
    let mut service = mesh.service.clone();
    service.deps.clock = clock.clone();
    let request = by(officer(CITY), execution(&mesh, &id));
    service.execute(request).await.expect("executed");
    let executed = executions(&mesh).await;
    assert_eq!(executed.len(), 1);
    let (_, size) = clock.lists_size();
    assert_eq!(executed[0].1.lists_basis, size);
}

async fn executions(mesh: &Mesh) -> Vec<(Recorded, pb::DirectiveExecuted)> {
    let events = mesh.events(logs::SANCTIONS).await.into_iter();
    events
        .filter(|event| event.envelope.event_type == codec::event_type::EXECUTED)
        .map(|event| {
            let executed = event.payload().expect("decodes");
            (event, executed)
        })
        .collect()
}

/// Logs whose entry is suspended as soon as their length has been told.
struct Overtaken {
    store: Arc<dyn EventStore>,
    now: Timestamp,
    answered: AtomicU32,
}

#[tonic::async_trait]
impl LogSource for Overtaken {
    fn shards(&self) -> ShardCount {
        self.store.shards()
    }

    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        self.store.read(log, shard, from, limit).await
    }

    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        let heads = self.store.heads(log).await;
        if self.answered.fetch_add(1, Ordering::SeqCst) == 0 {
            come_to_lists(&*self.store, self.now, (event_type::SUSPENDED, ENTRY)).await;
        }
        heads
    }

    async fn former_ids(&self, log: LogName) -> Result<Vec<FormerId>, StoreError> {
        self.store.former_ids(log).await
    }

    fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.store.watch(log, shard)
    }
}

/// A suspension between the look and the commit, which the reader has not seen.
#[tokio::test]
async fn nothing_is_executed_after_a_suspension_that_the_reader_has_not_seen() {
    let (mesh, id) = listed().await;
    respond(&mesh, CITY, &id).await.expect("acknowledged");
    mesh.progress(crate::consumer::LISTS).pause();
    let mut service = mesh.service.clone();
    service.deps.sources = Sources::all_in(Arc::new(Overtaken {
        store: mesh.store.clone(),
        now: mesh.clock.now(),
        answered: AtomicU32::new(0),
    }));
    let request = by(officer(CITY), execution(&mesh, &id));
    let refused = service.execute(request).await.expect_err("suspended");
    assert!(reason(&refused, "LISTS_BEHIND"), "{refused:?}");
    assert!(executions(&mesh).await.is_empty());
}

/// Whatever the order in which they arrive: what was executed was executed
/// before the suspension.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn executions_among_suspensions_come_before_them() {
    const SUBJECTS: usize = 24;
    let mesh = Arc::new(Mesh::start().await);
    let subject = |n: usize| format!("name-region:SUBJECT {n}|CN");
    let entry = |n: usize| format!("00000000-0000-8000-8000-{n:012}");
    let directive = |n| crate::memoranda::directive_id(&entry(n), "exclude-from-funds", CITY);
    for n in 0..SUBJECTS {
        mesh.list(&subject(n), &entry(n), "2027-01-31").await;
    }
    mesh.settled().await;
    for n in 0..SUBJECTS {
        respond(&mesh, CITY, &directive(n))
            .await
            .expect("acknowledged");
    }
    mesh.clock.tick();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..SUBJECTS {
        let (ours, id) = (mesh.clone(), directive(n));
        tasks.spawn(async move {
            if let Err(refused) = execute(&ours, &id).await {
                assert!(reason(&refused, "ENTRY_SUSPENDED"), "{refused:?}");
            }
        });
        let (ours, subject, entry) = (mesh.clone(), subject(n), entry(n));
        tasks.spawn(async move { ours.suspend_of(&subject, &entry).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no panic");
    }
    mesh.settled().await;
    let suspended: HashMap<String, Recorded> = mesh
        .events(logs::LISTS)
        .await
        .into_iter()
        .filter(|event| event.envelope.event_type == event_type::SUSPENDED)
        .map(|event| (event.envelope.subject.clone(), event))
        .collect();
    assert_eq!(suspended.len(), SUBJECTS);
    for (event, executed) in executions(&mesh).await {
        let suspension = &suspended[&event.envelope.subject];
        assert!(executed.lists_basis <= suspension.position);
        assert!(event.recorded_at < suspension.recorded_at);
    }
    let opened =
        |event: &Recorded| event.envelope.event_type == codec::event_type::CORRECTION_OPENED;
    assert!(!mesh.events(logs::SANCTIONS).await.iter().any(opened));
}

fn basis_until(pack: &mut Pack, id: &str, version: &str, last: jiff::civil::Date) {
    pack.meta.version = version.to_owned();
    let bases = pack.legal_bases.values_mut();
    for basis in bases.filter(|basis| basis.id == id) {
        basis.in_force.until = Some(last);
    }
}

async fn activate(mesh: &Mesh, pack: &Pack) {
    load(&*mesh.store, mesh.clock.now(), pack).await;
    let wait = Duration::from_secs(20);
    let version = &pack.meta.version;
    let active = mesh.deps().catalogue.wait_for_version(version, wait).await;
    assert!(active.is_some());
}

#[tokio::test]
async fn the_measures_basis_must_be_in_force_on_the_day_of_the_execution() {
    let (mesh, id) = listed().await;
    respond(&mesh, CITY, &id).await.expect("acknowledged");
    let mut pack = tally_catalog::pack::embedded().expect("the built-in pack");
    pack.meta.version = "2026.2".to_owned();
    let bases = pack.legal_bases.values_mut();
    for basis in bases.filter(|basis| basis.id == "tally-public-funds-rules/9") {
        basis.in_force.from = jiff::civil::date(2026, 3, 2);
    }
    activate(&mesh, &pack).await;
    let yesterday = pb::ExecuteRequest {
        executed_on: "2026-03-01".to_owned(),
        ..execution(&mesh, &id)
    };
    let refused = mesh.service.execute(by(officer(CITY), yesterday)).await;
    let refused = refused.expect_err("not in force yesterday");
    assert!(reason(&refused, "LEGAL_BASIS_NOT_IN_FORCE"), "{refused:?}");
    execute(&mesh, &id).await.expect("in force today");
}

/// Each time the subject turns up is a case with its own decision.
#[tokio::test]
async fn a_standing_measure_is_executed_case_by_case() {
    let (mesh, id) = listed().await;
    respond(&mesh, CITY, &id).await.expect("acknowledged");
    let shown = pb::GetDirectiveRequest {
        directive_id: id.clone(),
    };
    let shown = mesh.service.get_directive(by(system(CITY), shown)).await;
    let made = shown.expect("its own").into_inner().directive;
    assert!(made.expect("a directive").standing);
    execute(&mesh, &id).await.expect("the first case");
    let again = execute(&mesh, &id).await.expect_err("the same decision");
    assert!(reason(&again, "DECISION_RECORDED"), "{again:?}");
    let other = |number: &str| pb::ExecuteRequest {
        decision: Some(DocumentRef {
            number: number.to_owned(),
            ..DocumentRef::default()
        }),
        ..execution(&mesh, &id)
    };
    let second = by(officer(CITY), other("T 2026 2"));
    mesh.service.execute(second).await.expect("the next case");
    assert_eq!(executions(&mesh).await.len(), 2);
    mesh.suspend(ENTRY).await;
    let third = by(officer(CITY), other("T 2026 3"));
    let refused = mesh.service.execute(third).await.expect_err("suspended");
    assert!(reason(&refused, "ENTRY_SUSPENDED"), "{refused:?}");
}

/// A caller that lost an answer gets it, whatever today's pack says.
#[tokio::test]
async fn a_repeat_that_would_be_refused_today_gets_its_first_result() {
    let (mesh, id) = listed().await;
    respond(&mesh, CITY, &id).await.expect("acknowledged");
    let decline = |command_id: String, grounds: &str| pb::DeclineRequest {
        command_id,
        directive_id: id.clone(),
        grounds: grounds.to_owned(),
        legal_basis: Some(LegalBasisRef {
            id: "tally-credit-regulations/18".to_owned(),
            version: 1,
        }),
    };
    let declined = async |request| {
        let answer = mesh.service.decline(by(officer(CITY), request)).await;
        answer.map(|answer| answer.into_inner().receipt.expect("a receipt"))
    };
    let first_id = mesh.id();
    let grounds = "a court forbids it";
    let first = declined(decline(first_id.clone(), grounds)).await;
    let first = first.expect("declined");
    let question = mesh.question(MOUTAI);
    mesh.check(question.clone()).await.expect("answered");

    let mut pack = tally_catalog::pack::embedded().expect("the built-in pack");
    let last = jiff::civil::date(2026, 3, 1);
    basis_until(&mut pack, "tally-credit-regulations/18", "2026.2", last);
    activate(&mesh, &pack).await;
    let again = declined(decline(first_id.clone(), grounds)).await;
    let again = again.expect("the first result");
    assert_eq!(
        (again.position, again.leaf_hash, again.repeated),
        (first.position, first.leaf_hash, true)
    );
    let new = declined(decline(mesh.id(), grounds)).await;
    assert!(reason(
        &new.expect_err("lapsed"),
        "LEGAL_BASIS_NOT_IN_FORCE"
    ));
    let other = declined(decline(first_id.clone(), "none of its business")).await;
    other.expect_err("another content is no repeat");
    // What is in force now cannot be told to who may not ask now.
    let asked = mesh.check(question).await.expect_err("lapsed");
    assert!(reason(&asked, "LEGAL_BASIS_NOT_IN_FORCE"));
}
