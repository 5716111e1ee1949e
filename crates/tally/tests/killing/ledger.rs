//! What the clients know: every command is written down before it is sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tally_proto::tally::log::v1::Receipt;
use uuid::Uuid;

use super::request::{Reply, Request, Who};

/// A command and what is known of it.
#[derive(Debug, Clone)]
pub struct Line {
    /// Who sends it.
    pub who: Who,
    /// The command, with its id and content.
    pub request: Request,
    /// The answer, once there was one.
    pub reply: Option<Reply>,
}

/// The ledger. It outlives every server process.
#[derive(Debug, Default)]
pub struct Ledger {
    lines: Mutex<BTreeMap<Uuid, Line>>,
}

/// Sizes of logs, by log and shard.
pub type Sizes = HashMap<(String, u32), u64>;

impl Ledger {
    /// Writes a command down.
    pub fn write(&self, who: Who, request: Request) -> Uuid {
        let id = request.id();
        let before = self.lines().insert(
            id,
            Line {
                who,
                request,
                reply: None,
            },
        );
        assert!(before.is_none(), "{id} is new");
        id
    }

    /// Writes the answer to a command down.
    pub fn acknowledge(&self, id: Uuid, reply: Reply) {
        let mut lines = self.lines();
        let line = lines
            .get_mut(&id)
            .expect("an answer is to a command that was written down");
        assert!(line.reply.is_none(), "{id} is answered once");
        line.reply = Some(reply);
    }

    /// A command.
    pub fn line(&self, id: Uuid) -> Line {
        self.lines()[&id].clone()
    }

    /// The answer to a command, if there was one.
    pub fn reply(&self, id: Uuid) -> Option<Reply> {
        self.lines()[&id].reply.clone()
    }

    /// Commands without an answer, oldest first.
    pub fn unknown(&self) -> Vec<Uuid> {
        self.lines()
            .iter()
            .filter(|(_, line)| line.reply.is_none())
            .map(|(id, _)| *id)
            .collect()
    }

    /// All of it.
    pub fn all(&self) -> BTreeMap<Uuid, Line> {
        self.lines().clone()
    }

    /// Numbers of commands, by the type of their event.
    pub fn kinds(&self) -> BTreeMap<&'static str, usize> {
        let mut kinds = BTreeMap::new();
        for line in self.lines().values() {
            *kinds.entry(line.request.event().1).or_default() += 1;
        }
        kinds
    }

    /// Number of commands.
    pub fn len(&self) -> usize {
        self.lines().len()
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<Uuid, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True if a receipt points at what was there already.
pub fn was_there(receipt: &Receipt, before: &Sizes) -> bool {
    let size = before
        .get(&(receipt.log.clone(), receipt.shard))
        .copied()
        .unwrap_or(0);
    receipt.position < size
}
