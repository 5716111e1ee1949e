//! `tally stats timeliness`.

use std::process::ExitCode;

use clap::Args;
use tally_collection::figures;
use tally_domain::department::DepartmentId;
use tally_domain::policy::Pack;
use tally_proto::tally::collection::v1 as pb;

use super::Global;
use super::lang::{self, Lang};
use super::output::{Failure, line, to_json};
use super::table::Table;
use crate::client::Client;
use crate::pack_client::active_pack;

/// Rows asked for at a time: as many as a page may have.
const PAGE: u32 = 500;

/// Columns of the table that are texts: month, item, remarks.
const TEXTS: [usize; 3] = [0, 1, 18];

/// Arguments of `tally stats timeliness`.
#[derive(Debug, Args)]
pub struct Timeliness {
    /// First month, YYYY-MM [default: the last one].
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "MONTH"
    )]
    from: String,
    /// Last month, YYYY-MM [default: this month].
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "MONTH"
    )]
    to: String,
    /// Only of this department [default: all that you may see].
    #[arg(long, default_value = "", hide_default_value = true)]
    department: String,
    /// Only of this catalogue item.
    #[arg(long, default_value = "", hide_default_value = true)]
    item: String,
}

impl Timeliness {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let client = global.client().await?;
        let found = self.read(&client).await?;
        if global.json {
            line(&to_json(&found).to_string());
            return Ok(ExitCode::SUCCESS);
        }
        let lang = global.lang;
        if found.rows.is_empty() {
            line(lang.say(lang::NO_FIGURES));
            return Ok(ExitCode::SUCCESS);
        }
        let pack = active_pack(&client).await?;
        table(&pack, lang, &found).print();
        let reasons = found.totals.unwrap_or_default().refused_for;
        if !reasons.is_empty() {
            let counts = reasons.iter();
            let counts: Vec<String> = counts
                .map(|count| format!("{} {}", count.reason, count.rows))
                .collect();
            line(&format!(
                "{}: {}",
                lang.say(lang::REFUSED_FOR),
                counts.join(", ")
            ));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// All pages as one.
    async fn read(&self, client: &Client) -> Result<pb::GetTimelinessResponse, Failure> {
        let mut request = pb::GetTimelinessRequest {
            department: self.department.clone(),
            from_month: self.from.clone(),
            to_month: self.to.clone(),
            record_type: self.item.clone(),
            page_size: PAGE,
            page_token: String::new(),
        };
        let mut all = pb::GetTimelinessResponse::default();
        loop {
            let page = client.collection().get_timeliness(request.clone()).await?;
            let page = page.into_inner();
            all.rows.extend(page.rows);
            let totals = all.totals.get_or_insert_default();
            figures::add(totals, &page.totals.unwrap_or_default());
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            request.page_token = page.next_page_token;
        }
    }
}

fn table(pack: &Pack, lang: Lang, found: &pb::GetTimelinessResponse) -> Table {
    let headings = [
        lang::MONTH,
        lang::ITEM,
        lang::REPORTED,
        lang::IN_TIME,
        lang::LATE,
        lang::LATE_UP_TO_THREE,
        lang::LATE_UP_TO_SEVEN,
        lang::LATE_UP_TO_THIRTY,
        lang::LATE_OVER_THIRTY,
        lang::DAYS_LATE,
        lang::LATEST,
        lang::BACKFILLED,
        lang::CORRECTED,
        lang::WITHDRAWN,
        lang::REFUSED,
        lang::QUARANTINED,
        lang::RESUBMITTED,
        lang::DISCARDED,
        lang::REMARKS,
    ];
    let mut table = Table::new(headings.map(|text| lang.say(text)), &TEXTS);
    let mut department = "";
    for row in &found.rows {
        if row.department != department {
            department = &row.department;
            table.section(department_title(pack, lang, department));
        }
        let item = match row.record_type.as_str() {
            "" => lang.say(lang::NO_ITEM),
            id => pack
                .record_type(id)
                .map_or(id, |item| lang.name(&item.name, item.name_zh.as_deref())),
        };
        let figures = row.figures.clone().unwrap_or_default();
        let mut remarks = Vec::new();
        if row.silent {
            remarks.push(lang.say(lang::SILENT).to_owned());
        }
        if figures.provisional > 0 {
            remarks.push(format!(
                "{} {}",
                lang.say(lang::PROVISIONAL),
                figures.provisional
            ));
        }
        table.row(cells(&row.month, item, &figures, remarks.join(", ")));
    }
    let totals = found.totals.clone().unwrap_or_default();
    table.section(lang.say(lang::TOTAL).to_owned());
    table.row(cells("", "", &totals, String::new()));
    table
}

/// Name and code of a department; the code alone if it left the policy pack.
fn department_title(pack: &Pack, lang: Lang, code: &str) -> String {
    let id = DepartmentId::parse(code).ok();
    let known = id.and_then(|id| pack.department(&id));
    known.map_or_else(
        || code.to_owned(),
        |known| {
            let name = lang.name(&known.name, known.name_zh.as_deref());
            format!("{name} ({code})")
        },
    )
}

fn cells(month: &str, item: &str, figures: &pb::TimelinessFigures, remarks: String) -> Vec<String> {
    let late = [
        figures.late_up_to_three,
        figures.late_up_to_seven,
        figures.late_up_to_thirty,
        figures.late_over_thirty,
    ];
    let numbers = [figures.reported, figures.in_time, late.iter().sum()]
        .into_iter()
        .chain(late)
        .chain([
            figures.late_working_days,
            u64::from(figures.late_working_days_max),
            figures.backfilled,
            figures.corrected,
            figures.withdrawn,
            figures.refused,
            figures.quarantined,
            figures.resubmitted,
            figures.discarded,
        ]);
    let mut cells = vec![month.to_owned(), item.to_owned()];
    cells.extend(numbers.map(|number| number.to_string()));
    cells.push(remarks);
    cells
}
