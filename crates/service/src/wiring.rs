//! What a service hands to the composition root: the consumers and timers it
//! needs. The root starts them and hands back how far they are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tally_eventlog::consumer::{ProcessManager, Progress, Projection};
use tally_eventlog::shard::LogName;
use tally_eventlog::timer::TimerHandler;

/// A consumer that a service needs.
pub struct ConsumerSpec {
    /// Name, `role.source`, for example `sanctions.lists`.
    pub name: &'static str,
    /// The log it reads.
    pub source: LogName,
    /// Its views.
    pub projection: Arc<dyn Projection>,
    /// Its effects.
    pub process: Option<Arc<dyn ProcessManager>>,
    /// How often it writes down that it knows all there is; nothing where
    /// nobody judges its freshness.
    pub idle_checkpoint: Option<Duration>,
    /// How long what has come waits for more; only where nobody waits for it.
    pub gather: Option<Duration>,
}

/// A timer that a service needs.
pub struct TimerSpec {
    /// What fires.
    pub handler: Arc<dyn TimerHandler>,
    /// The consumer that writes its view.
    pub consumer: &'static str,
}

/// How far the consumers of a process are, by name.
#[derive(Debug, Clone, Default)]
pub struct Readers(HashMap<&'static str, Arc<Progress>>);

/// How long a question waits for a view to catch up with the log.
pub const CATCH_UP_WAIT: Duration = Duration::from_secs(2);

impl Readers {
    /// Adds a started consumer.
    pub fn insert(&mut self, progress: Arc<Progress>) {
        self.0.insert(progress.consumer(), progress);
    }

    /// A consumer of this process.
    ///
    /// # Panics
    ///
    /// If the composition root did not start it: a wiring mistake that the
    /// first start shows.
    pub fn get(&self, consumer: &'static str) -> Arc<Progress> {
        self.0
            .get(consumer)
            .unwrap_or_else(|| panic!("consumer `{consumer}` is not wired"))
            .clone()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Progress>> {
        self.0.values()
    }
}
