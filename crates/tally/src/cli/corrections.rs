//! `tally corrections`.

use std::process::ExitCode;

use clap::Args;
use tally_proto::tally::sanctions::v1 as pb;

use super::Global;
use super::output::{Failure, line, to_json};

/// Arguments of `tally corrections`.
#[derive(Debug, Args)]
pub struct Corrections {
    /// Those on what the department listed, instead of those on what it applied or was told.
    #[arg(long)]
    listed: bool,
    /// Whose; only the operator names a department.
    #[arg(long, default_value = "", hide_default_value = true)]
    department: String,
}

impl Corrections {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let side = if self.listed {
            pb::CorrectionSide::Listed
        } else {
            pb::CorrectionSide::Told
        };
        let mut request = pb::ListCorrectionsRequest {
            side: side.into(),
            department: self.department.clone(),
            ..Default::default()
        };
        let mut sanctions = global.client().await?.sanctions();
        let mut count = 0;
        loop {
            let page = sanctions.list_corrections(request.clone()).await?;
            let page = page.into_inner();
            for correction in &page.corrections {
                count += 1;
                if global.json {
                    line(&to_json(correction).to_string());
                } else {
                    line(&describe(correction));
                }
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        if count == 0 && !global.json {
            line("no corrections");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(correction: &pb::Correction) -> String {
    let what = if correction.directive_id.is_empty() {
        format!("check {}", correction.check_id)
    } else {
        format!("execution of directive {}", correction.directive_id)
    };
    format!(
        "{what} of {}: {}, entry {} listed by {}, must be put right",
        correction.department, correction.subject, correction.entry_id, correction.initiator
    )
}
