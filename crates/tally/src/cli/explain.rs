//! `tally explain`.

use std::process::ExitCode;

use clap::Args;

use super::Global;
use super::output::{Failure, line};
use crate::reasons::{self, Reason};

/// Arguments of `tally explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Reason, as a refusal names it; without one, all.
    reason: Option<String>,
}

impl Explain {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let mut found = reasons::all();
        if let Some(asked) = &self.reason {
            let asked = asked.to_uppercase();
            let near = near(&found, &asked);
            found.retain(|reason| reason.name == asked);
            if found.is_empty() {
                let unknown = Failure::usage(format!("there is no reason `{asked}`"));
                return Err(match near.as_str() {
                    "" => unknown.or_try("`tally explain` prints all"),
                    near => unknown.or_try(format!("there are: {near}")),
                });
            }
        }
        for reason in &found {
            if global.json {
                line(&json(reason).to_string());
            } else {
                line(&text(reason));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Reasons that share a word with the one asked for.
fn near(known: &[Reason], asked: &str) -> String {
    let shares = |reason: &&Reason| {
        let mut words = reason.name.split('_');
        words.any(|word| word.len() > 3 && asked.split('_').any(|other| other == word))
    };
    let names: Vec<_> = known
        .iter()
        .filter(shares)
        .map(|reason| reason.name)
        .collect();
    names.join(", ")
}

fn json(reason: &Reason) -> serde_json::Value {
    serde_json::json!({
        "reason": reason.name,
        "section": reason.section,
        "place": reason.place,
        "cause": reason.cause,
        "remedy": reason.remedy,
        "repeat": reason.repeat,
    })
}

fn text(reason: &Reason) -> String {
    format!(
        "{} ({}; {})\n  cause   {}\n  remedy  {}\n  repeat  {}",
        reason.name, reason.section, reason.place, reason.cause, reason.remedy, reason.repeat
    )
}
