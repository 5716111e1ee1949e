//! Step 3: departments read their mailboxes from a cursor and act on what is in
//! them, all at once, each directive by the temperament of whoever has it on
//! the desk.

use futures::future::try_join_all;
use jiff::civil::Date;
use tally_proto::tally::feedback::v1::{ReportRequest, ReportedOutcome};
use tally_proto::tally::sanctions::v1::{
    AcknowledgeRequest, CheckOutcome, ConfirmLiftRequest, DeclineRequest, Directive,
    ExecuteRequest, LiftReason, MailboxItemKind, StartRequest, SubscribeRequest, SubscribeResponse,
};

use super::cast::Desk;
use super::checking::{check, question};
use super::error::Answered as _;
use super::ledger::{Book, Listing, Note, Report, Temperament, temperament};
use super::push::document;
use super::world::{Dept, Due, World};
use super::{Demo, DemoError, texts};
use crate::client::command_id;

/// Items of one reading; a mailbox of the demo never holds so many.
const ITEMS_MAX: usize = 10_000;

impl Demo {
    /// Every department reads what is new in its mailbox and acts on it.
    pub(super) async fn respond(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::RESPOND);
        let books = std::mem::take(&mut self.ledger.books);
        let before: u64 = books.iter().map(|book| book.items).sum();
        let acting = self.world.depts().zip(books).map(|(dept, book)| {
            let responder = Responder {
                world: &self.world,
                desk: self.cast.desk(dept),
                listings: &self.ledger.listings,
                today: self.today,
                dept,
                book,
            };
            responder.act()
        });
        self.ledger.books = try_join_all(acting).await?;
        let items: u64 = self.ledger.books.iter().map(|book| book.items).sum();
        let mailboxes = self.ledger.books.len();
        self.summary
            .line(&texts::NEW_ITEMS.with(&[&(items - before), &mailboxes]));
        self.quiet().await
    }

    /// What is known of a directive.
    pub(super) fn note(&mut self, id: &str) -> Result<&mut Note, DemoError> {
        let mut books = self.ledger.books.iter_mut();
        let note = books.find_map(|book| book.notes.get_mut(id));
        note.during("find the directive in the ledger")
    }

    /// Reports on a directive, first or again.
    pub(super) async fn report_again(&mut self, dept: Dept, id: &str) -> Result<(), DemoError> {
        let today = self.today;
        let desk = self.cast.desk(dept);
        let notes = &mut self.ledger.books[dept.index()].notes;
        let note = notes
            .get_mut(id)
            .during("find the directive in the ledger")?;
        let outcome = note.outcome.during("find what was reported")?;
        report(desk, note, today, outcome).await
    }

    /// Compares the directives that came with those that the pack asks for.
    pub(super) fn compare_directives(&mut self) {
        let mut other = 0;
        let mut due = 0;
        for (at, listing) in self.ledger.listings.iter().enumerate() {
            let of_note = |note: &Note| Due {
                measure: note.directive.measure.clone(),
                dept: note.dept,
            };
            let mut came: Vec<Due> = self.ledger.notes_of(at).map(of_note).collect();
            let mut expected = self
                .world
                .directives_due(&listing.list_type, listing.term_from);
            came.sort();
            expected.sort();
            due += expected.len();
            other += usize::from(came != expected);
        }
        let late = |note: &&Note| {
            let from = self.ledger.listings[note.listing].term_from;
            let memorandum = self.world.pack.memorandum(&note.directive.memorandum);
            let days = memorandum.map(|m| m.report_within_working_days);
            let last = days.map(|days| self.world.working_days.after(from, days).date);
            last.map(|day| day.to_string()).as_ref() != Some(&note.directive.report_by)
        };
        let late = self.ledger.notes().filter(late).count();
        let came = self.ledger.notes().count();
        let with = |wanted| {
            let notes = self.ledger.notes();
            notes.filter(|note| note.temperament == wanted).count()
        };
        let line = texts::DIRECTIVES.with(&[
            &came,
            &with(Temperament::Prompt),
            &with(Temperament::Declining),
            &with(Temperament::Slow),
            &with(Temperament::Silent),
        ]);
        self.summary.line(&line);
        self.summary.equal(&texts::CHECK_DIRECTIVES, &due, &came);
        self.summary
            .equal(&texts::CHECK_DIRECTIVES_OTHER, &0, &other);
        self.summary.equal(&texts::CHECK_REPORT_BY, &0, &late);
        self.summary.count("directives", came as u64);
    }
}

/// A department at its mailbox.
struct Responder<'a> {
    world: &'a World,
    desk: &'a Desk,
    listings: &'a [Listing],
    today: Date,
    dept: Dept,
    book: Book,
}

impl Responder<'_> {
    async fn act(mut self) -> Result<Book, DemoError> {
        for item in self.read_mailbox().await? {
            self.handle(item).await?;
        }
        Ok(self.book)
    }

    async fn read_mailbox(&mut self) -> Result<Vec<SubscribeResponse>, DemoError> {
        let request = SubscribeRequest {
            cursor: Some(self.book.cursor.clone()),
            until_head: true,
        };
        let stream = self.desk.system.sanctions().subscribe(request).await;
        let mut stream = stream.during("subscribe")?.into_inner();
        let mut items = Vec::new();
        while let Some(mut item) = stream.message().await.during("read the mailbox")? {
            let at = item.cursor.take().during("read the mailbox")?;
            self.book.advance(item.log_id.clone(), at);
            items.push(item);
            if items.len() == ITEMS_MAX {
                break;
            }
        }
        Ok(items)
    }

    async fn handle(&mut self, item: SubscribeResponse) -> Result<(), DemoError> {
        let kind = item.kind();
        let directive = item.directive.during("read the mailbox")?;
        let id = directive.directive_id.clone();
        match kind {
            MailboxItemKind::Triggered => self.take_up(directive).await,
            MailboxItemKind::Suspended => {
                self.note(&id)?.suspended = true;
                Ok(())
            }
            MailboxItemKind::Resumed => {
                self.note(&id)?.suspended = false;
                Ok(())
            }
            MailboxItemKind::Lifted => self.let_go(&id, directive.lift_reason()).await,
            MailboxItemKind::Unspecified => Err(DemoError::Incomplete {
                step: "read the mailbox",
                what: "its kind",
            }),
        }
    }

    fn note(&mut self, id: &str) -> Result<&mut Note, DemoError> {
        let note = self.book.notes.get_mut(id);
        note.during("find the directive in the ledger")
    }

    async fn take_up(&mut self, directive: Directive) -> Result<(), DemoError> {
        let id = directive.directive_id.clone();
        let of_entry = |listing: &Listing| listing.entry_id == directive.entry_id;
        let listing = self.listings.iter().position(of_entry);
        let listing = listing.during("find the listing")?;
        let listed = &self.listings[listing];
        let temperament = temperament(self.world, listed, self.dept, &directive.measure);
        let note = Note {
            directive,
            dept: self.dept,
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
        self.book.notes.insert(id.clone(), note);
        if temperament == Temperament::Silent {
            return Ok(());
        }
        let request = AcknowledgeRequest {
            command_id: command_id(),
            directive_id: id.clone(),
        };
        let mut sanctions = self.desk.system.sanctions();
        sanctions.acknowledge(request).await.during("acknowledge")?;
        match temperament {
            Temperament::Prompt => self.execute(&id).await,
            Temperament::Declining => self.decline(&id).await,
            Temperament::Slow | Temperament::Silent => Ok(()),
        }
    }

    /// Starts, checks, executes if it is in force, reports.
    async fn execute(&mut self, id: &str) -> Result<(), DemoError> {
        let request = StartRequest {
            command_id: command_id(),
            directive_id: id.to_owned(),
        };
        let mut sanctions = self.desk.system.sanctions();
        sanctions.start(request).await.during("start")?;
        let note = self.note(id)?;
        let (listing, measure) = (note.listing, note.directive.measure.clone());
        let asked = question(
            self.world,
            &self.listings[listing].subject,
            self.world.purpose_of(&measure),
            self.book.checks,
        );
        let answer = check(&self.desk.system, asked).await?;
        self.book.checks += 1;
        if answer.outcome() != CheckOutcome::InForce {
            // The comparison of directives shows it as not executed.
            return Ok(());
        }
        let number = format!("示执〔2026〕{}-{}号", self.dept.index(), self.book.checks);
        let request = ExecuteRequest {
            command_id: command_id(),
            directive_id: id.to_owned(),
            decision: Some(document(number)),
            executed_on: self.today.to_string(),
            check_id: answer.check_id.clone(),
        };
        let mut sanctions = self.desk.officers[0].sanctions();
        sanctions.execute(request).await.during("execute")?;
        self.note(id)?.check_id = answer.check_id;
        self.report(id, ReportedOutcome::Executed).await
    }

    async fn decline(&mut self, id: &str) -> Result<(), DemoError> {
        let directive = &self.note(id)?.directive;
        let request = DeclineRequest {
            command_id: command_id(),
            directive_id: id.to_owned(),
            grounds: "the department has nothing to give to or to take from this subject"
                .to_owned(),
            legal_basis: directive.legal_basis.clone(),
        };
        let mut sanctions = self.desk.officers[0].sanctions();
        sanctions.decline(request).await.during("decline")?;
        self.report(id, ReportedOutcome::Declined).await
    }

    async fn report(&mut self, id: &str, outcome: ReportedOutcome) -> Result<(), DemoError> {
        let (desk, today) = (self.desk, self.today);
        report(desk, self.note(id)?, today, outcome).await
    }

    /// Stops applying a lifted directive, and says so.
    async fn let_go(&mut self, id: &str, reason: LiftReason) -> Result<(), DemoError> {
        let number = format!("示撤〔2026〕{}号", self.dept.index());
        let note = self.note(id)?;
        note.lifted = Some(reason);
        note.suspended = false;
        note.closed = note.report == Report::None;
        let executed = note.outcome == Some(ReportedOutcome::Executed);
        let request = ConfirmLiftRequest {
            command_id: command_id(),
            directive_id: id.to_owned(),
            document: executed.then(|| document(number)),
        };
        let mut sanctions = self.desk.system.sanctions();
        let confirmed = sanctions.confirm_lift(request).await;
        confirmed.during("confirm a lift")?;
        Ok(())
    }
}

async fn report(
    desk: &Desk,
    note: &mut Note,
    today: Date,
    outcome: ReportedOutcome,
) -> Result<(), DemoError> {
    let number = format!(
        "示馈〔2026〕{}-{}号",
        note.dept.index(),
        note.submissions + 1
    );
    let request = ReportRequest {
        command_id: command_id(),
        directive_id: note.directive.directive_id.clone(),
        outcome: outcome.into(),
        document: Some(document(number)),
        done_on: today.to_string(),
        check_id: note.check_id.clone(),
        remarks: String::new(),
    };
    let reported = desk.system.feedback().report(request).await;
    reported.during("report")?;
    note.outcome = Some(outcome);
    note.report = Report::Submitted;
    note.submissions += 1;
    Ok(())
}
