//! What names or identifies a person is in no log and in no span, at any level.

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tally::client::command_id;
use tally_proto::tally::collection::v1 as collection;
use tally_tests::harness::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A made-up name, and a number of an unassigned region (DOMAIN.md, GB 11643).
const NAME: &str = "Zhuge Testperson";
const NUMBER: &str = "999999200002291230";
/// An officer's number that no hash or time contains by chance.
const OFFICER: &str = "OFFICER-48151623";

static WRITTEN: Mutex<String> = Mutex::new(String::new());

/// Writes down every field of every span and event.
struct Everything(AtomicU64);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").expect("a string grows");
    }
}

fn write_down(name: &str, visit: impl FnOnce(&mut Line<'_>)) {
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    written.push_str(name);
    visit(&mut Line(&mut written));
    written.push('\n');
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        write_down(span.metadata().name(), |line| span.record(line));
        Id::from_u64(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        write_down("record", |line| values.record(line));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        write_down(event.metadata().target(), |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn field(name: &str, value: &str) -> collection::Field {
    collection::Field {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_span_and_no_event_names_a_person() {
    tracing::subscriber::set_global_default(Everything(AtomicU64::new(1)))
        .expect("the only test of this process");
    let mesh = Harness::start("2026-03-02T01:00:00Z").await;
    let system = mesh.system(MARKET).await;
    let mut record = penalty(COMPANY, "penalty 1", "2026-03-01");
    record.fields.push(field("legal_representative", NAME));
    record.fields.push(field("legal_representative_id", NUMBER));
    let (id, _) = push(&system, record).await;
    let officer = mesh.officer(MARKET, OFFICER).await;
    let listing = BlackListing::today(COMPANY, &id, "2027-03-01");
    let entry = nominate_and_hear(&officer, &listing).await;
    let request = collection::GetRecordRequest {
        record_id: id,
        case_number: "case 7".to_owned(),
    };
    let shown = officer.collection().get_record(request).await;
    let shown = format!("{:?}", shown.expect("its own department"));
    assert!(shown.contains(NAME) && shown.contains(NUMBER));

    // Refusals are logged more than what goes well.
    let again = officer.lists().list(confirmation(&entry)).await;
    again.expect_err("the same officer");
    let person = format!("cn-resident-id:{NUMBER}");
    let request = collection::PushRecordRequest {
        command_id: command_id(),
        record: Some(penalty(&person, "penalty 2", "2026-03-01")),
        ..Default::default()
    };
    // Refused as a whole or in its answer; either way the number is not repeated.
    let refused = format!("{:?}", system.collection().push_record(request).await);
    assert!(!refused.contains(NUMBER), "{refused}");
    let about_a_person = BlackListing {
        subject: person,
        ..listing
    };
    let refused = officer.lists().nominate(nomination(&about_a_person)).await;
    refused.expect_err("natural persons are off");
    mesh.settle().await;
    mesh.stop().await;

    let written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(
        written.contains("append_batch"),
        "the mesh was written down"
    );
    for needle in [NAME, NUMBER, OFFICER] {
        let line = written.lines().find(|line| line.contains(needle));
        assert_eq!(line, None);
    }
}
