//! Step 3: departments read their mailboxes from a cursor and act on what is in
//! them, each directive by the temperament of whoever has it on the desk.

use std::sync::Arc;

use tally_proto::tally::feedback::v1::{ReportRequest, ReportedOutcome};
use tally_proto::tally::sanctions::v1::{
    AcknowledgeRequest, CheckOutcome, ConfirmLiftRequest, DeclineRequest, Directive,
    ExecuteRequest, LiftReason, MailboxItemKind, StartRequest, SubscribeRequest, SubscribeResponse,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cast::{Cast, Dept};
use super::error::Answered as _;
use super::ledger::{Note, Report, Temperament, directives_due, temperament};
use super::push::document;
use super::{Demo, DemoError, wait};
use crate::client::command_id;

/// Items of one reading; a mailbox of the demo never holds so many.
const ITEMS_MAX: usize = 10_000;

impl Demo {
    /// Every department reads what is new in its mailbox and acts on it.
    pub(super) async fn respond(&mut self) -> Result<(), DemoError> {
        self.summary
            .section("departments read their mailboxes and act");
        for dept in Dept::ALL {
            let items = self.read_mailbox(dept).await?;
            let count = items.len();
            for item in items {
                self.handle(dept, item).await?;
            }
            self.summary
                .line(format!("{}: {count} new items", dept.name()));
        }
        self.quiet().await
    }

    async fn read_mailbox(&mut self, dept: Dept) -> Result<Vec<SubscribeResponse>, DemoError> {
        let mailbox = &mut self.ledger.mailboxes[dept.index()];
        let request = SubscribeRequest {
            cursor: Some(mailbox.cursor.clone()),
            until_head: true,
        };
        let stream = self
            .cast
            .desk(dept)
            .system
            .sanctions()
            .subscribe(request)
            .await;
        let mut stream = stream.during("subscribe")?.into_inner();
        let mut items = Vec::new();
        while let Some(mut item) = stream.message().await.during("read the mailbox")? {
            let at = item.cursor.take().during("read the mailbox")?;
            mailbox.advance(item.log_id.clone(), at);
            items.push(item);
            if items.len() == ITEMS_MAX {
                break;
            }
        }
        Ok(items)
    }

    async fn handle(&mut self, dept: Dept, item: SubscribeResponse) -> Result<(), DemoError> {
        let kind = item.kind();
        let directive = item.directive.during("read the mailbox")?;
        let id = directive.directive_id.clone();
        match kind {
            MailboxItemKind::Triggered => self.take_up(dept, directive).await,
            MailboxItemKind::Suspended => {
                self.note(&id)?.suspended = true;
                Ok(())
            }
            MailboxItemKind::Resumed => {
                self.note(&id)?.suspended = false;
                Ok(())
            }
            MailboxItemKind::Lifted => self.let_go(dept, &id, directive.lift_reason()).await,
            MailboxItemKind::Unspecified => Err(DemoError::Incomplete {
                step: "read the mailbox",
                what: "its kind",
            }),
        }
    }

    async fn take_up(&mut self, dept: Dept, directive: Directive) -> Result<(), DemoError> {
        let id = directive.directive_id.clone();
        let of_entry = |listing: &super::ledger::Listing| listing.entry_id == directive.entry_id;
        let listing = self
            .ledger
            .listings
            .iter()
            .position(of_entry)
            .during("find the listing")?;
        let temperament = temperament(&self.ledger.listings[listing], dept, &directive.measure);
        let note = Note {
            directive,
            dept,
            listing,
            temperament,
            check_id: String::new(),
            outcome: None,
            report: Report::None,
            submissions: 0,
            returns: 0,
            suspended: false,
            lifted: None,
            closed: false,
            escalated: false,
        };
        self.ledger.notes.insert(id.clone(), note);
        if temperament == Temperament::Silent {
            return Ok(());
        }
        let mut sanctions = self.cast.desk(dept).system.sanctions();
        let request = AcknowledgeRequest {
            command_id: command_id(),
            directive_id: id.clone(),
        };
        sanctions.acknowledge(request).await.during("acknowledge")?;
        match temperament {
            Temperament::Prompt => self.execute(dept, &id).await,
            Temperament::Declining => self.decline(dept, &id).await,
            Temperament::Slow | Temperament::Silent => Ok(()),
        }
    }

    /// Starts, checks, executes if it is in force, reports.
    async fn execute(&mut self, dept: Dept, id: &str) -> Result<(), DemoError> {
        let mut sanctions = self.cast.desk(dept).system.sanctions();
        let request = StartRequest {
            command_id: command_id(),
            directive_id: id.to_owned(),
        };
        sanctions.start(request).await.during("start")?;
        let listing = self.note(id)?.listing;
        let listing = &self.ledger.listings[listing];
        let (subject, purpose) = (listing.subject.clone(), purpose(listing.is_red()));
        let answer = self.ask(dept, &subject, purpose, None).await?;
        if answer.outcome() != CheckOutcome::InForce {
            // The comparison of directives shows it as not executed.
            return Ok(());
        }
        let decision = document(format!(
            "示执〔2026〕{}-{}号",
            dept.index(),
            self.ledger.checks
        ));
        let request = ExecuteRequest {
            command_id: command_id(),
            directive_id: id.to_owned(),
            decision: Some(decision),
            executed_on: self.today.to_string(),
            check_id: answer.check_id.clone(),
        };
        let officer = &self.cast.desk(dept).officers[0];
        officer
            .sanctions()
            .execute(request)
            .await
            .during("execute")?;
        self.note(id)?.check_id = answer.check_id;
        self.report(dept, id, ReportedOutcome::Executed).await
    }

    async fn decline(&mut self, dept: Dept, id: &str) -> Result<(), DemoError> {
        let directive = &self.note(id)?.directive;
        let request = DeclineRequest {
            command_id: command_id(),
            directive_id: id.to_owned(),
            grounds: "the department has nothing to give to or to take from this subject"
                .to_owned(),
            legal_basis: directive.legal_basis.clone(),
        };
        let officer = &self.cast.desk(dept).officers[0];
        officer
            .sanctions()
            .decline(request)
            .await
            .during("decline")?;
        self.report(dept, id, ReportedOutcome::Declined).await
    }

    /// Reports on a directive, first or again.
    pub(super) async fn report(
        &mut self,
        dept: Dept,
        id: &str,
        outcome: ReportedOutcome,
    ) -> Result<(), DemoError> {
        let note = self.note(id)?;
        let number = format!("示馈〔2026〕{}-{}号", dept.index(), note.submissions + 1);
        let request = ReportRequest {
            command_id: command_id(),
            directive_id: id.to_owned(),
            outcome: outcome.into(),
            document: Some(document(number)),
            done_on: String::new(),
            check_id: note.check_id.clone(),
            remarks: String::new(),
        };
        let request = ReportRequest {
            done_on: self.today.to_string(),
            ..request
        };
        let system = &self.cast.desk(dept).system;
        system.feedback().report(request).await.during("report")?;
        let note = self.note(id)?;
        note.outcome = Some(outcome);
        note.report = Report::Submitted;
        note.submissions += 1;
        Ok(())
    }

    /// Stops applying a lifted directive, and says so.
    async fn let_go(&mut self, dept: Dept, id: &str, reason: LiftReason) -> Result<(), DemoError> {
        let note = self.note(id)?;
        note.lifted = Some(reason);
        note.suspended = false;
        note.closed = note.report == Report::None;
        let executed = note.outcome == Some(ReportedOutcome::Executed);
        let document = executed.then(|| document(format!("示撤〔2026〕{}号", dept.index())));
        let request = ConfirmLiftRequest {
            command_id: command_id(),
            directive_id: id.to_owned(),
            document,
        };
        let system = &self.cast.desk(dept).system;
        system
            .sanctions()
            .confirm_lift(request)
            .await
            .during("confirm a lift")?;
        Ok(())
    }

    /// What is known of a directive.
    pub(super) fn note(&mut self, id: &str) -> Result<&mut Note, DemoError> {
        self.ledger
            .notes
            .get_mut(id)
            .during("find the directive in the ledger")
    }

    /// Compares the directives that came with those that the pack asks for.
    pub(super) fn compare_directives(&mut self) {
        let mut missing = 0;
        let mut due = 0;
        for (at, listing) in self.ledger.listings.iter().enumerate() {
            let mut came: Vec<(String, Dept)> = self
                .ledger
                .notes_of(at)
                .map(|note| (note.directive.measure.clone(), note.dept))
                .collect();
            let mut expected = directives_due(&self.pack, listing.list_type, listing.term_from);
            came.sort();
            expected.sort();
            due += expected.len();
            missing += usize::from(came != expected);
        }
        let calendar = self.pack.working_days();
        let late = |note: &&Note| {
            let from = self.ledger.listings[note.listing].term_from;
            let of = |memorandum: &str| self.pack.memorandum(memorandum);
            let days = of(&note.directive.memorandum).map(|m| m.report_within_working_days);
            let expected = days.map(|days| calendar.after(from, days).date.to_string());
            expected.as_ref() != Some(&note.directive.report_by)
        };
        let late = self.ledger.notes.values().filter(late).count();
        let came = self.ledger.notes.len();
        let with = |wanted| {
            self.ledger
                .notes
                .values()
                .filter(|n| n.temperament == wanted)
                .count()
        };
        self.summary.line(format!(
            "{came} directives: {} prompt, {} declining, {} slow, {} silent",
            with(Temperament::Prompt),
            with(Temperament::Declining),
            with(Temperament::Slow),
            with(Temperament::Silent)
        ));
        self.summary
            .equal("directives, by the memoranda of the pack", due, came);
        self.summary
            .equal("listings with other directives than due", 0, missing);
        self.summary
            .equal("directives with another last day to report", 0, late);
        self.summary.count("directives", came as u64);
    }
}

/// What a department decides on when it asks about such a subject.
pub fn purpose(red: bool) -> &'static str {
    if red { "licence" } else { "procurement" }
}

/// Subscriptions that stay open for the whole run, one per department.
pub struct Live {
    counts: [watch::Receiver<u64>; 3],
    tasks: [JoinHandle<()>; 3],
}

impl Live {
    /// Opens them.
    pub async fn open(cast: &Cast) -> Result<Self, DemoError> {
        let (market, market_task) = follow(cast, Dept::Market).await?;
        let (tax, tax_task) = follow(cast, Dept::Tax).await?;
        let (resources, resources_task) = follow(cast, Dept::Resources).await?;
        Ok(Self {
            counts: [market, tax, resources],
            tasks: [market_task, tax_task, resources_task],
        })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn follow(
    cast: &Cast,
    dept: Dept,
) -> Result<(watch::Receiver<u64>, JoinHandle<()>), DemoError> {
    let request = SubscribeRequest {
        cursor: None,
        until_head: false,
    };
    let stream = cast.desk(dept).system.sanctions().subscribe(request).await;
    let mut stream = stream.during("subscribe for the whole run")?.into_inner();
    let (count, counted) = watch::channel(0);
    let task = tokio::spawn(async move {
        // A broken stream stops the count, and the comparison shows it.
        while let Ok(Some(_)) = stream.message().await {
            count.send_modify(|count| *count += 1);
        }
    });
    Ok((counted, task))
}

impl Demo {
    /// The open subscriptions must have brought what was read from cursors.
    pub(super) async fn compare_live(&mut self, live: Live) -> Result<(), DemoError> {
        let read: Vec<u64> = self
            .ledger
            .mailboxes
            .iter()
            .map(|mailbox| mailbox.items)
            .collect();
        let read = Arc::new(read);
        let counts = || {
            live.counts
                .iter()
                .map(|count| *count.borrow())
                .collect::<Vec<u64>>()
        };
        // Too few at the end is for the comparison to show, not a reason to stop.
        let came = wait::until("open subscriptions bring every item", async || {
            Ok(counts()
                .iter()
                .zip(read.iter())
                .all(|(came, read)| came >= read))
        });
        match came.await {
            Ok(()) => {}
            Err(never @ DemoError::NeverCame { .. }) => self.summary.line(never.to_string()),
            Err(error) => return Err(error),
        }
        let gaps: u64 = self
            .ledger
            .mailboxes
            .iter()
            .map(|mailbox| mailbox.gaps)
            .sum();
        self.summary.equal(
            "mailboxes: items by open subscription",
            format!("{read:?}"),
            format!("{:?}", counts()),
        );
        self.summary
            .equal("mailboxes: gaps in the numbers", 0, gaps);
        Ok(())
    }
}
