//! `tally decisions`.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use tally_proto::tally::sanctions::v1 as pb;

use super::Global;
use super::output::{Failure, line, to_json};

/// Arguments of `tally decisions`.
#[derive(Debug, Subcommand)]
pub enum Decisions {
    /// The decisions of a department, one a line.
    List(List),
    /// How many there are, by department, month, kind and verdict.
    Counts {
        #[command(flatten)]
        whose: Whose,
    },
}

/// Whose decisions, of when.
#[derive(Debug, Args)]
pub struct Whose {
    /// Of this department; only the operator names one.
    #[arg(long, default_value = "", hide_default_value = true)]
    department: String,
    /// Decided in this month only: YYYY-MM.
    #[arg(long, default_value = "", hide_default_value = true)]
    month: String,
}

/// Arguments of `tally decisions list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    whose: Whose,
    /// With this verdict only.
    #[arg(long, value_enum)]
    verdict: Option<Verdict>,
}

/// What the citation of a decision is worth.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Verdict {
    CheckedClear,
    NotChecked,
    CheckUnknown,
    CheckOtherSubject,
    CheckWrongPurpose,
    CheckAfterDecision,
    CheckTooOld,
    Undetermined,
    MeasureInForce,
    Withdrawn,
}

impl From<Verdict> for pb::DecisionVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::CheckedClear => Self::CheckedClear,
            Verdict::NotChecked => Self::NotChecked,
            Verdict::CheckUnknown => Self::CheckUnknown,
            Verdict::CheckOtherSubject => Self::CheckOtherSubject,
            Verdict::CheckWrongPurpose => Self::CheckWrongPurpose,
            Verdict::CheckAfterDecision => Self::CheckAfterDecision,
            Verdict::CheckTooOld => Self::CheckTooOld,
            Verdict::Undetermined => Self::Undetermined,
            Verdict::MeasureInForce => Self::MeasureInForce,
            Verdict::Withdrawn => Self::Withdrawn,
        }
    }
}

impl Decisions {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        match self {
            Self::List(list) => list.run(global).await,
            Self::Counts { whose } => counts(global, whose).await,
        }
    }
}

impl List {
    async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let verdict = self.verdict.map(pb::DecisionVerdict::from);
        let mut request = pb::ListDecisionsRequest {
            department: self.whose.department.clone(),
            month: self.whose.month.clone(),
            verdict: verdict.unwrap_or_default().into(),
            ..Default::default()
        };
        let mut sanctions = global.client().await?.sanctions();
        let mut count = 0;
        loop {
            let page = sanctions.list_decisions(request.clone()).await?;
            let page = page.into_inner();
            for decision in &page.decisions {
                count += 1;
                line(&if global.json {
                    to_json(decision).to_string()
                } else {
                    describe(decision)
                });
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        if count == 0 && !global.json {
            line("no decisions");
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn counts(global: &Global, whose: &Whose) -> Result<ExitCode, Failure> {
    let request = pb::GetDecisionCountsRequest {
        department: whose.department.clone(),
        month: whose.month.clone(),
    };
    let mut sanctions = global.client().await?.sanctions();
    let counts = sanctions.get_decision_counts(request).await?.into_inner();
    if global.json {
        line(&to_json(&counts).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    line(&format!(
        "{:<20} {:<8} {:<22} {:<22} {:>8}",
        "department", "month", "kind", "verdict", "count"
    ));
    for count in &counts.counts {
        line(&format!(
            "{:<20} {:<8} {:<22} {:<22} {:>8}",
            count.department,
            count.month,
            count.kind,
            name(count.verdict()),
            count.count
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(decision: &pb::Decision) -> String {
    let cited = match decision.check_id.as_str() {
        "" => "cites no check".to_owned(),
        id => format!("cites check {id}"),
    };
    let found = if decision.measures.is_empty() {
        String::new()
    } else {
        format!(", which said {} in force", decision.measures.join(", "))
    };
    format!(
        "{}: {} of {} on {} for {}, document {}, record {}: {cited}{found}",
        name(decision.verdict()),
        decision.kind,
        decision.department,
        decision.decided_on,
        decision.subject,
        decision.document_number,
        decision.record_id
    )
}

/// A verdict as it is given on the command line.
fn name(verdict: pb::DecisionVerdict) -> String {
    let name = verdict.as_str_name();
    let name = name.strip_prefix("DECISION_VERDICT_").unwrap_or(name);
    name.to_lowercase().replace('_', "-")
}
