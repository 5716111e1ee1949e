//! `tally doctor`.

use std::process::ExitCode;

use clap::Args;

use super::Global;
use super::output::{Failure, line};
use super::serve::{ConfigArgs, peers, storage};
use crate::data_dir::DataDir;
use crate::doctor::{Finding, Level, Plan, examine};
use crate::role::Role;

/// Arguments of `tally doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    config: ConfigArgs,
}

impl Doctor {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let config = self.config.load(global, None)?;
        let plan = Plan {
            dir: DataDir::new(global.dir()),
            certificate: global.acting_as.clone(),
            peers: peers(&config),
            storages: Role::ALL.map(|role| storage(role, &config)),
            freshness: config.seconds("checks.freshness"),
        };
        let findings = examine(&plan).await;
        for finding in &findings {
            tell(global.json, finding);
        }
        let count = |level| findings.iter().filter(|one| one.level == level).count();
        let (faults, warnings) = (count(Level::Fault), count(Level::Warning));
        if !global.json {
            line(&format!(
                "{} checks, {faults} faults, {warnings} warnings",
                findings.len()
            ));
        }
        Ok(if faults == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        })
    }
}

fn tell(json: bool, finding: &Finding) {
    let Finding {
        level,
        what,
        detail,
        remedy,
    } = finding;
    if json {
        let value = serde_json::json!({
            "level": level.to_string(), "what": what, "detail": detail, "remedy": remedy,
        });
        return line(&value.to_string());
    }
    line(&format!("{level:<8} {what:<26} {detail}"));
    if !remedy.is_empty() {
        line(&format!("{:<8} {:<26} {remedy}", "", "what to do:"));
    }
}
