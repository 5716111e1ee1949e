//! Made-up records: about a kilobyte each as an event, on organisations of a
//! division that nobody has.

use std::ops::Range;

use tally::client::command_id;
use tally_domain::identifier::ResidentId;
use tally_proto::tally::collection::v1::{Field, PushRecordsRequest, RecordContent};
use tally_tests::harness::{COLLECTING, basis};
use tally_tests::organisations::subjects;

use crate::world::World;

/// Records about one organisation.
const RECORDS_PER_SUBJECT: usize = 10;

/// Distinct records in the order of their command ids, with these numbers; one in
/// `personal_every` has fields that are sealed.
pub fn records(
    world: &World,
    numbers: Range<usize>,
    personal_every: Option<usize>,
) -> Vec<PushRecordsRequest> {
    let subjects = subjects(numbers.len().div_ceil(RECORDS_PER_SUBJECT));
    records_about(world, numbers, &subjects, personal_every)
}

/// The same about these subjects in turn.
pub fn records_about(
    world: &World,
    numbers: Range<usize>,
    subjects: &[String],
    personal_every: Option<usize>,
) -> Vec<PushRecordsRequest> {
    numbers
        .map(|n| {
            let personal = personal_every.is_some_and(|every| n % every == 0);
            PushRecordsRequest {
                command_id: command_id(),
                // Neighbours in time are about different subjects.
                record: Some(record(world, n, &subjects[n % subjects.len()], personal)),
                ..Default::default()
            }
        })
        .collect()
}

/// Number of the document of a record with this number.
pub fn document_number(n: usize) -> String {
    format!("示市监罚〔2025〕{n}号")
}

/// Type of all records of the load.
pub const RECORD_TYPE: &str = "administrative-penalty";

fn record(world: &World, n: usize, subject: &str, personal: bool) -> RecordContent {
    let own = world.fields.iter();
    let mut fields: Vec<Field> = own
        .map(|(name, value)| field(name, (*value).to_owned()))
        .collect();
    fields.extend([
        field("party_name", format!("示例企业第{}号有限公司", n % 4_000)),
        field("violation_type", "违反市场监督管理规定".to_owned()),
        field(
            "violation_facts",
            format!(
                "经查,当事人在第{n}号案件中未按规定公示年度报告信息,且在责令限期改正后逾期未予改正"
            ),
        ),
        field(
            "penalty_ground",
            "《示例省信用条例》第十二条、第二十条第一款".to_owned(),
        ),
        field("penalty_category", "罚款".to_owned()),
        field(
            "penalty_content",
            format!("处以罚款人民币{}元,限十五日内缴清", 1_000 + n % 9_000),
        ),
        field("fine", format!("0.{}", 10 + n % 90)),
    ]);
    if personal {
        fields.push(field("legal_representative", format!("慕沐{n}")));
        fields.push(field("legal_representative_id", resident_id(n)));
    }
    let day = 1 + n % 28;
    RecordContent {
        subject: subject.to_owned(),
        record_type: RECORD_TYPE.to_owned(),
        document_number: document_number(n),
        decided_on: format!("2025-{:02}-{day:02}", 1 + n % 12),
        valid_from: String::new(),
        valid_until: format!("2028-01-{day:02}"),
        legal_basis: basis(COLLECTING),
        fields,
        check_id: String::new(),
    }
}

fn field(name: &str, value: String) -> Field {
    Field {
        name: name.to_owned(),
        value,
    }
}

/// An identity number of a region that does not exist.
fn resident_id(n: usize) -> String {
    let body = format!("999999{}0101{:03}", 1960 + n / 1_000 % 40, n % 1_000);
    let numbers = "0123456789X".chars().map(|check| format!("{body}{check}"));
    numbers
        .into_iter()
        .find(|number| ResidentId::parse(number).is_ok())
        .expect("one of the eleven check characters fits")
}
