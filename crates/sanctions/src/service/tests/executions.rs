//! What must hold when an execution commits, and that every end is lifted.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tally_eventlog::clock::Clock;
use tally_eventlog::event::NewEvent;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::EventStore;
use tally_proto::tally::lists::v1 as lists;
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
    pack.meta.version = "2026.2".to_owned();
    for basis in pack
        .legal_bases
        .values_mut()
        .filter(|basis| basis.id == "tally-public-funds-rules/9")
    {
        basis.in_force.until = Some(jiff::civil::date(2026, 3, 1));
    }
    load(&*mesh.store, mesh.clock.now(), &pack).await;
    let wait = Duration::from_secs(20);
    let active = mesh.deps().catalogue.wait_for_version("2026.2", wait).await;
    assert!(active.is_some());
    let refused = execute(&mesh, &id).await.expect_err("lapsed yesterday");
    assert!(reason(&refused, "LEGAL_BASIS_NOT_IN_FORCE"), "{refused:?}");
}

#[tokio::test]
async fn what_ends_is_lifted_whatever_ended_it() {
    let ends = [
        (event_type::CORRECTED_OUT, pb::LiftReason::CorrectedOut),
        (event_type::REMOVED, pb::LiftReason::Removed),
        (event_type::EXPIRED, pb::LiftReason::Expired),
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

/// A clock during whose first questions the reader of lists moves on.
struct Meddling {
    clock: Arc<TestClock>,
    store: Arc<dyn EventStore>,
    reader: Arc<Progress>,
    asked: AtomicU32,
}

impl Meddling {
    async fn meddle(&self) {
        let nominated = NewEvent {
            subject: MOUTAI.to_owned(),
            ..event(
                self.clock.now(),
                event_type::NOMINATED,
                PROVINCE,
                lists::EntryNominated::default(),
            )
        };
        let stream = ("entry", "another");
        append(&*self.store, logs::LISTS, MOUTAI, stream, nominated).await;
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
    let executed: Vec<pb::DirectiveExecuted> = mesh
        .events(logs::SANCTIONS)
        .await
        .iter()
        .filter(|event| event.envelope.event_type == codec::event_type::EXECUTED)
        .map(|event| event.payload().expect("decodes"))
        .collect();
    assert_eq!(executed.len(), 1);
    let (_, size) = clock.lists_size();
    assert_eq!(executed[0].lists_basis, size);
}
