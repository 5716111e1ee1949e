//! What happens to directives makes reports due, suspends and closes them; what
//! is overdue is escalated.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{Timestamp, ToSpan as _};
use prost::Message as _;
use tally_domain::date::{LegalDate, parse_legal_date, today};
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::consumer::{Lost, Poison, ProcessManager, ReactError, Settled, ViewRows};
use tally_eventlog::event::Recorded;
use tally_eventlog::execute::{ExecuteError, Executor, Task};
use tally_eventlog::ids::{Cause, timer_id};
use tally_eventlog::shard::Shard;
use tally_eventlog::timer::TimerHandler;
use tally_proto::tally::feedback::v1 as pb;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_service::{Catalogue, Deps, Policy, logs, process_context, process_key, self_context};

use crate::directives::answered;
use crate::feedback::{About, Command, Due, Feedback, Rejection, Stage};
use crate::projection::TIMER_VIEW;

/// How long an effect waits for the pack that its cause was judged by, before
/// it is tried again.
const PACK_WAIT: Duration = Duration::from_secs(2);

/// Event types of sanctions.
pub(crate) mod event_type {
    pub const TRIGGERED: &str = "tally.sanctions.v1.DirectiveTriggered";
    pub const SUSPENDED: &str = "tally.sanctions.v1.DirectiveSuspended";
    pub const RESUMED: &str = "tally.sanctions.v1.DirectiveResumed";
    pub const LIFTED: &str = "tally.sanctions.v1.DirectiveLifted";

    pub const RECEIVED: &str = "tally.sanctions.v1.DirectiveReceived";
    pub const STARTED: &str = "tally.sanctions.v1.DirectiveStarted";
    pub const EXECUTED: &str = "tally.sanctions.v1.DirectiveExecuted";
    pub const DECLINED: &str = "tally.sanctions.v1.DirectiveDeclined";

    /// Every event type of that log; those without a name of their own are passed over.
    pub const ALL: &[&str] = &[
        TRIGGERED,
        SUSPENDED,
        RESUMED,
        LIFTED,
        RECEIVED,
        STARTED,
        EXECUTED,
        DECLINED,
        "tally.sanctions.v1.DirectiveLiftConfirmed",
        "tally.sanctions.v1.CorrectionOpened",
        "tally.sanctions.v1.DecisionAssessed",
    ];
}

/// Follows directives.
pub struct DirectiveProcess {
    executor: Executor,
    catalogue: Arc<Catalogue>,
}

impl DirectiveProcess {
    /// A process manager on these dependencies.
    pub fn new(deps: &Deps) -> Self {
        Self {
            executor: deps.executor.clone(),
            catalogue: deps.catalogue.clone(),
        }
    }

    /// The legal date of a recorded time, by the pack that the event was judged by.
    async fn recorded_on(&self, event: &Recorded) -> Result<LegalDate, ReactError> {
        let version = &event.envelope.pack_version;
        let policy = match version.as_str() {
            "" => self.catalogue.try_active(),
            version => self.catalogue.wait_for_version(version, PACK_WAIT).await,
        };
        let policy = policy.ok_or_else(|| ReactError::Retry {
            reason: format!("policy pack {version} is not known yet"),
        })?;
        Ok(today(event.recorded_at, &policy.time_zone))
    }

    async fn command(&self, event: &Recorded) -> Result<Option<Command>, ReactError> {
        let at = event.effective_at;
        Ok(match event.envelope.event_type.as_str() {
            event_type::TRIGGERED => {
                let made_on = self.recorded_on(event).await?;
                Some(due(event, made_on)?)
            }
            event_type::SUSPENDED => Some(Command::Suspend { at }),
            event_type::RESUMED => Some(Command::Resume {
                today: self.recorded_on(event).await?,
                at,
            }),
            event_type::LIFTED => Some(Command::Close { at }),
            _ => None,
        })
    }
}

fn due(event: &Recorded, made_on: LegalDate) -> Result<Command, Poison> {
    let triggered: sanctions::DirectiveTriggered = event.payload()?;
    let directive = triggered
        .directive
        .ok_or_else(|| Poison::new("the directive is missing"))?;
    let report_by = parse_legal_date(&directive.report_by)
        .map_err(|fault| Poison::new(format!("report_by of the directive: {fault}")))?;
    let basis = directive.legal_basis.as_ref();
    Ok(Command::Due {
        about: About {
            department: directive.department,
            initiator: directive.initiator,
            measure: directive.measure,
            month: made_on.strftime("%Y-%m").to_string(),
        },
        due: Due {
            subject: event.envelope.subject.clone(),
            list_type: directive.list_type,
            report_by,
            legal_basis: basis.map(|basis| LegalBasisRef::new(basis.id.clone(), basis.version)),
        },
        at: event.effective_at,
    })
}

#[async_trait]
impl ProcessManager for DirectiveProcess {
    async fn react(
        &self,
        event: &Recorded,
        _rows: &ViewRows,
        cause: Cause,
    ) -> Result<(), ReactError> {
        let Some(command) = self.command(event).await? else {
            return Ok(());
        };
        let id = cause.derived_id(0);
        let task = Task::<Feedback> {
            stream_id: event.envelope.stream_id.clone(),
            subject: event.envelope.subject.clone(),
            fresh: matches!(command, Command::Due { .. }),
            command,
            key: process_key(id),
            context: process_context(event, id),
            note: Bytes::new(),
            guards: Vec::new(),
        };
        execute(&self.executor, task).await
    }

    /// Directives come again by themselves, since `sanctions` reads `lists` again from
    /// where it was restored to. What departments answered since does not.
    async fn settle(&self, lost: &Lost, _apply: bool) -> Result<Vec<Settled>, ReactError> {
        let mut settled = Vec::new();
        for changed in &lost.rows {
            let before = answered(changed.before.clone())?.stage;
            let now = answered(changed.now.clone())?.stage;
            if before != now && before != Stage::Unanswered {
                let id = String::from_utf8_lossy(&changed.row.key);
                settled.push(Settled {
                    subject: String::new(),
                    what: format!(
                        "directive {id}: its department's answer is lost; ask the department to \
                         repeat it"
                    ),
                    hold: false,
                });
            }
        }
        Ok(settled)
    }
}

async fn execute(executor: &Executor, task: Task<Feedback>) -> Result<(), ReactError> {
    match executor.execute(logs::FEEDBACK, task).await {
        Ok(_) => Ok(()),
        Err(error) => Err(react_error(error)),
    }
}

fn react_error(error: ExecuteError<Rejection>) -> ReactError {
    match error {
        ExecuteError::Rejected(_)
        | ExecuteError::CommandReused { .. }
        | ExecuteError::Decode(_) => ReactError::Poison(Poison::new(error.to_string())),
        ExecuteError::Aborted { .. }
        | ExecuteError::Outdated
        | ExecuteError::Busy
        | ExecuteError::Unavailable { .. } => ReactError::Retry {
            reason: error.to_string(),
        },
    }
}

/// Escalates what is overdue.
pub struct OverdueTimer {
    executor: Executor,
    catalogue: Arc<Catalogue>,
}

impl OverdueTimer {
    /// A timer on these dependencies.
    pub fn new(deps: &Deps) -> Self {
        Self {
            executor: deps.executor.clone(),
            catalogue: deps.catalogue.clone(),
        }
    }
}

#[async_trait]
impl TimerHandler for OverdueTimer {
    fn view(&self) -> &'static str {
        TIMER_VIEW
    }

    fn due_before(&self, now: Timestamp) -> Vec<u8> {
        // Without a pack there is no time zone, and nothing that could be due.
        let tomorrow = |policy: Arc<Policy>| policy.today(now).checked_add(1.day()).ok();
        let tomorrow = self.catalogue.try_active().and_then(tomorrow);
        tomorrow
            .map(|day| day.to_string().into_bytes())
            .unwrap_or_default()
    }

    async fn fire(&self, _shard: Shard, key: Bytes, value: Bytes) -> Result<(), ReactError> {
        execute(&self.executor, self.escalation(&key, value)?).await
    }
}

impl OverdueTimer {
    fn escalation(&self, key: &[u8], value: Bytes) -> Result<Task<Feedback>, ReactError> {
        let damaged = |what: &str| Poison::new(format!("a row of {TIMER_VIEW} is damaged: {what}"));
        let row = pb::TimerRow::decode(value).map_err(|error| damaged(&error.to_string()))?;
        let report_by =
            parse_legal_date(&row.report_by).map_err(|fault| damaged(&fault.to_string()))?;
        let due_on = report_by
            .checked_add(1.day())
            .map_err(|error| damaged(&error.to_string()))?;
        let policy = self.catalogue.try_active();
        let policy = policy.ok_or_else(|| ReactError::Retry {
            reason: "no policy pack is loaded".to_owned(),
        })?;
        let at = policy.start_of(due_on);
        let id = timer_id(at, TIMER_VIEW, key);
        Ok(Task {
            stream_id: row.directive_id,
            subject: row.subject,
            command: Command::Escalate { due_on, at },
            key: process_key(id),
            context: self_context(policy.version(), id),
            note: Bytes::new(),
            fresh: false,
            guards: Vec::new(),
        })
    }
}
