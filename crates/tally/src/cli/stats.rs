//! `tally stats`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::feedback::v1 as feedback;

use super::Global;
use super::output::{Failure, line, to_json};
use super::timeliness::Timeliness;

/// Arguments of `tally stats`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Stats {
    #[command(subcommand)]
    what: Option<What>,
    /// Only of this department.
    #[arg(long, default_value = "", hide_default_value = true)]
    department: String,
    /// Feedback of this month only: YYYY-MM.
    #[arg(long, default_value = "", hide_default_value = true)]
    month: String,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Per department, month and item: reported, late and by how much, refused, and who was silent.
    Timeliness(Timeliness),
}

impl Stats {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        match &self.what {
            None => self.counts(global).await,
            Some(What::Timeliness(timeliness)) => timeliness.run(global).await,
        }
    }

    async fn counts(&self, global: &Global) -> Result<ExitCode, Failure> {
        let client = global.client().await?;
        let request = collection::GetCountsRequest {
            department: self.department.clone(),
        };
        let records = client.collection().get_counts(request).await?.into_inner();
        let request = feedback::GetStatisticsRequest {
            department: self.department.clone(),
            month: self.month.clone(),
        };
        let reports = client
            .feedback()
            .get_statistics(request)
            .await?
            .into_inner();
        if global.json {
            line(&to_json(&records).to_string());
            line(&to_json(&reports).to_string());
            return Ok(ExitCode::SUCCESS);
        }
        line(&format!(
            "{:<20} {:<26} {:>9} {:>9} {:>9}",
            "department", "record type", "accepted", "corrected", "withdrawn"
        ));
        for count in &records.counts {
            line(&format!(
                "{:<20} {:<26} {:>9} {:>9} {:>9}",
                count.department,
                count.record_type,
                count.accepted,
                count.corrected,
                count.withdrawn
            ));
        }
        line(&format!(
            "\n{:<20} {:<8} {:<22} {:>5} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>6}",
            "department",
            "month",
            "measure",
            "due",
            "submitted",
            "executed",
            "declined",
            "accepted",
            "returned",
            "escalated",
            "closed"
        ));
        for count in &reports.counts {
            line(&format!(
                "{:<20} {:<8} {:<22} {:>5} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>6}",
                count.department,
                count.month,
                count.measure,
                count.due,
                count.submitted,
                count.executed,
                count.declined,
                count.accepted,
                count.returned,
                count.escalated,
                count.closed
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}
