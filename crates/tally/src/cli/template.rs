//! `tally template`: an empty table for a record type, made from the active pack.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tally_exchange::template;

use super::Global;
use super::import::pick_form;
use super::output::{Failure, line};
use crate::pack_client::active_pack;

/// Arguments of `tally template`.
#[derive(Debug, Args)]
pub struct Template {
    /// Record type.
    item: String,
    /// Form of the policy pack; without it, the one that the record type has.
    #[arg(long)]
    form: Option<String>,
    /// Where to write it; the name ends in .xlsx or .csv [default: ITEM.xlsx].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Template {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let pack = active_pack(&global.client().await?).await?;
        let form = pick_form(&pack, &self.item, self.form.as_deref())?;
        let record_type = pack.record_type(&form.record_type).ok_or_else(|| {
            Failure::usage(format!(
                "the policy pack has no record type `{}`",
                self.item
            ))
        })?;
        let path = self
            .out
            .clone()
            .unwrap_or_else(|| PathBuf::from(format!("{}.xlsx", self.item)));
        let kind = path.extension().and_then(|kind| kind.to_str());
        let bytes = match kind {
            Some("xlsx") => template::xlsx(&form, record_type).map_err(Failure::environment)?,
            Some("csv") => template::csv(&form, record_type).map_err(Failure::environment)?,
            _ => return Err(Failure::usage("a template's name ends in .xlsx or .csv")),
        };
        std::fs::write(&path, bytes)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        if global.json {
            line(
                &serde_json::json!({"template": path.display().to_string(), "form": form.id})
                    .to_string(),
            );
        } else {
            line(&format!("wrote {}", path.display()));
        }
        Ok(ExitCode::SUCCESS)
    }
}
