//! A responding department: follows its mailbox over every death of the
//! process with one cursor, and answers what it finds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tally_proto::tally::log::v1::{Cursor, ShardCursor};
use tally_proto::tally::sanctions::v1::{SubscribeRequest, SubscribeResponse};
use tokio::task::JoinSet;

use super::cases::{Answering, Dates};
use super::request::Who;
use super::round::Round;

/// A department's desk.
pub struct Desk {
    /// Its system.
    pub system: Who,
    officer: Who,
    dates: Dates,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cursor: Cursor,
    received: Vec<SubscribeResponse>,
    open: Vec<Answering>,
}

impl Desk {
    /// Nothing received yet.
    pub fn new(system: Who, officer: Who, dates: &Dates) -> Self {
        Self {
            system,
            officer,
            dates: dates.clone(),
            state: Mutex::default(),
        }
    }

    /// All that was received, in order.
    pub fn received(&self) -> Vec<SubscribeResponse> {
        self.with(|state| state.received.clone())
    }

    /// Works until the process dies.
    pub async fn work(&self, round: Arc<Round>) {
        let mut answering = JoinSet::new();
        for case in self.with(|state| std::mem::take(&mut state.open)) {
            answering.spawn(case.run(round.clone()));
        }
        let cursor = self.with(|state| state.cursor.clone());
        let request = SubscribeRequest {
            cursor: Some(cursor),
            until_head: false,
        };
        match round
            .client(self.system)
            .sanctions()
            .subscribe(request)
            .await
        {
            Ok(items) => {
                let mut items = items.into_inner();
                loop {
                    match items.message().await {
                        Ok(Some(item)) => {
                            let directive = item
                                .directive
                                .clone()
                                .expect("an item is about a directive");
                            self.receive(item);
                            let case =
                                Answering::new(&directive, self.system, self.officer, &self.dates);
                            answering.spawn(case.run(round.clone()));
                        }
                        Ok(None) => {
                            break assert!(
                                round.trigger.fired(),
                                "the mailbox ended before the kill"
                            );
                        }
                        Err(status) => break assert!(round.lost(&status), "{status:?}"),
                    }
                }
            }
            Err(status) => assert!(round.lost(&status), "{status:?}"),
        }
        while let Some(case) = answering.join_next().await {
            let case = case.expect("no answer is refused");
            if !case.done() {
                self.with(|state| state.open.push(case));
            }
        }
    }

    /// Takes an item and moves the cursor past it.
    fn receive(&self, item: SubscribeResponse) {
        let place = item.cursor.clone().expect("an item has its place");
        self.with(|state| {
            state.cursor.log_id = item.log_id.clone();
            let shards = &mut state.cursor.shards;
            let last = match shards.iter_mut().find(|known| known.shard == place.shard) {
                Some(known) => std::mem::replace(known, place.clone()).number,
                None => {
                    shards.push(place.clone());
                    0
                }
            };
            assert_eq!(
                place.number,
                last + 1,
                "shard {} of the mailbox has no gap and no repeat",
                place.shard
            );
            state.received.push(item);
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Items by shard, with what identifies them.
pub fn by_shard(items: &[SubscribeResponse]) -> HashMap<u32, Vec<(ShardCursor, i32, String)>> {
    let mut shards: HashMap<u32, Vec<_>> = HashMap::new();
    for item in items {
        let place = item.cursor.clone().unwrap_or_default();
        let directive = item
            .directive
            .as_ref()
            .map(|directive| directive.directive_id.clone());
        shards.entry(place.shard).or_default().push((
            place,
            item.kind,
            directive.unwrap_or_default(),
        ));
    }
    shards
}
