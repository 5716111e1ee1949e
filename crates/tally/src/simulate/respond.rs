//! Departments at their mailboxes: what comes is answered when it comes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tally_proto::tally::feedback::v1::{ReportRequest, ReportedOutcome};
use tally_proto::tally::log::v1::{Cursor, ShardCursor};
use tally_proto::tally::sanctions::v1::{
    AcknowledgeRequest, ConfirmLiftRequest, Directive, ExecuteRequest, MailboxItemKind,
    SubscribeRequest, SubscribeResponse,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Status;

use super::check::mailbox::Numbers;
use super::ledger::Kind;
use super::office::Command;
use super::steps::{Running, document};
use crate::demo::world::Dept;

/// Items that a department has in work at a time. While it has, it reads no more.
const AT_ONCE: usize = 32;
/// Pause before a mailbox that was lost is read on.
const PAUSE: Duration = Duration::from_millis(200);
/// Of a hundred directives so many are executed; the others are only acknowledged.
const EXECUTED: u64 = 80;

/// What the numbers of live streams were found wrong in.
pub type Gaps = Arc<Mutex<Vec<String>>>;

/// Answers what a department's mailbox brings, until the run is stopped; then
/// ends what is in work.
pub async fn respond(running: Arc<Running>, dept: Dept, gaps: Gaps) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut at_work = JoinSet::new();
    let mut reader = Reader::default();
    let stop = running.office.stop.clone();
    loop {
        let read = reader.read(&running, dept, &gaps, &places, &mut at_work);
        tokio::select! {
            () = stop.cancelled() => break,
            _ = read => {}
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    while let Some(ended) = at_work.join_next().await {
        ended.expect("answering an item does not panic");
    }
}

/// How far a department has read.
#[derive(Default)]
struct Reader {
    cursor: Cursor,
    numbers: Numbers,
}

impl Reader {
    /// Reads on, until the stream is lost.
    async fn read(
        &mut self,
        running: &Arc<Running>,
        dept: Dept,
        gaps: &Gaps,
        places: &Arc<Semaphore>,
        at_work: &mut JoinSet<()>,
    ) -> Result<(), Status> {
        let desk = running.cast.desk(dept);
        let request = SubscribeRequest {
            cursor: Some(self.cursor.clone()),
            until_head: false,
        };
        let mut items = desk
            .system()
            .sanctions()
            .subscribe(request)
            .await?
            .into_inner();
        while let Some(item) = items.message().await? {
            let arrived = Instant::now();
            let place = places.clone().acquire_owned().await;
            let place = place.expect("nobody closes it");
            if let Err(gap) = self.take(&item) {
                let mut gaps = gaps.lock().unwrap_or_else(PoisonError::into_inner);
                gaps.push(format!("the stream of {}: {gap}", desk.id));
            }
            let running = running.clone();
            at_work.spawn(async move {
                answer(&running, dept, item, arrived).await;
                drop(place);
            });
            while at_work.try_join_next().is_some() {}
        }
        Ok(())
    }

    fn take(&mut self, item: &SubscribeResponse) -> Result<(), String> {
        let Some(place) = item.cursor.clone() else {
            return Err("an item has no place".to_owned());
        };
        let taken = self.numbers.take(place.shard, place.number, place.position);
        self.cursor.log_id = item.log_id.clone();
        let at = |known: &&mut ShardCursor| known.shard == place.shard;
        match self.cursor.shards.iter_mut().find(at) {
            Some(known) => *known = place,
            None => self.cursor.shards.push(place),
        }
        taken
    }
}

async fn answer(running: &Running, dept: Dept, item: SubscribeResponse, arrived: Instant) {
    let kind = item.kind();
    let directive = item.directive.unwrap_or_default();
    match kind {
        MailboxItemKind::Triggered => take_up(running, dept, &directive, arrived).await,
        MailboxItemKind::Lifted => let_go(running, dept, &directive, arrived).await,
        MailboxItemKind::Unspecified | MailboxItemKind::Suspended | MailboxItemKind::Resumed => {
            None
        }
    };
}

/// Acknowledged, and by most executed and reported on. Refused where the entry has
/// ended or is suspended meanwhile.
async fn take_up(
    running: &Running,
    dept: Dept,
    directive: &Directive,
    arrived: Instant,
) -> Option<()> {
    let (office, desk) = (&running.office, running.cast.desk(dept));
    let command = |kind, intended| Command {
        kind,
        department: &desk.id,
        subject: &directive.subject,
        intended,
    };
    let id = &directive.directive_id;
    let system = desk.system();
    let request = |command_id| AcknowledgeRequest {
        command_id,
        directive_id: id.clone(),
    };
    let attempt = |id| async { system.sanctions().acknowledge(request(id)).await };
    let acknowledged = office.send(command(Kind::Acknowledge, arrived), attempt, |answer| {
        (answer.receipt, String::new())
    });
    acknowledged.await?;
    if !is_executed(directive) {
        return None;
    }
    let officer = &desk.officers[0];
    let on = running.today.to_string();
    let request = |command_id| ExecuteRequest {
        command_id,
        directive_id: id.clone(),
        decision: document(format!("execution {id}")),
        executed_on: on.clone(),
        check_id: String::new(),
    };
    let attempt = |id| async { officer.sanctions().execute(request(id)).await };
    let executed = office.send(command(Kind::Execute, Instant::now()), attempt, |answer| {
        (answer.receipt, String::new())
    });
    executed.await?;
    let request = |command_id| ReportRequest {
        command_id,
        directive_id: id.clone(),
        outcome: ReportedOutcome::Executed.into(),
        document: document(format!("execution {id}")),
        done_on: on.clone(),
        ..ReportRequest::default()
    };
    let attempt = |id| async { system.feedback().report(request(id)).await };
    let reported = office.send(command(Kind::Report, Instant::now()), attempt, |answer| {
        (answer.receipt, String::new())
    });
    reported.await.map(drop)
}

/// By what it is about, so that who executes what is the same in every run.
fn is_executed(directive: &Directive) -> bool {
    let mut hasher = DefaultHasher::new();
    (
        &directive.subject,
        &directive.measure,
        &directive.department,
    )
        .hash(&mut hasher);
    hasher.finish() % 100 < EXECUTED
}

async fn let_go(
    running: &Running,
    dept: Dept,
    directive: &Directive,
    arrived: Instant,
) -> Option<()> {
    let desk = running.cast.desk(dept);
    let command = Command {
        kind: Kind::ConfirmLift,
        department: &desk.id,
        subject: &directive.subject,
        intended: arrived,
    };
    let system = desk.system();
    let request = |command_id| ConfirmLiftRequest {
        command_id,
        directive_id: directive.directive_id.clone(),
        document: document(format!("end {}", directive.directive_id)),
    };
    let attempt = |id| async { system.sanctions().confirm_lift(request(id)).await };
    let confirmed = running
        .office
        .send(command, attempt, |answer| (answer.receipt, String::new()));
    confirmed.await.map(drop)
}
