//! What a run came to, for people and for programs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::check::{Account, NAMED_MAX};
use super::ledger::Kind;
use super::load::Begun;
use super::meter::Measured;

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// The policy pack that it went by.
    pub pack: String,
    /// Where its ledger is.
    pub ledger: PathBuf,
    /// How long the load took, with what was under way at its end.
    pub took: Duration,
    /// How scheduled operations were begun.
    pub begun: Begun,
    /// What became of each kind, and how long it took.
    pub kinds: BTreeMap<Kind, Measured>,
    /// Gaps that responders saw on their streams.
    pub gaps: Vec<String>,
    /// What the checker found.
    pub account: Account,
}

impl Report {
    /// True if everything adds up.
    pub fn holds(&self) -> bool {
        self.account.holds() && self.gaps.is_empty()
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let kinds = self.kinds.iter();
        let kinds: BTreeMap<String, &Measured> = kinds
            .map(|(kind, measured)| (kind.name(), measured))
            .collect();
        json!({
            "seed": self.seed,
            "pack": self.pack,
            "ledger": self.ledger.display().to_string(),
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "scheduled": self.begun,
            "operations": kinds,
            "stream_gaps": self.gaps,
            "holds": self.holds(),
            "check": self.account.to_json(),
        })
    }

    /// For people, a line each.
    pub fn lines(&self) -> Vec<String> {
        let Begun {
            intended,
            late,
            never,
        } = self.begun;
        let mut lines = vec![
            format!(
                "seed {} by policy pack {}: {intended} operations scheduled, {late} begun late, {never} never",
                self.seed, self.pack
            ),
            format!(
                "{:<16} {:>9} {:>8} {:>8} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9}",
                "ms from intended",
                "done",
                "refused",
                "unknown",
                "late",
                "p50",
                "p90",
                "p99",
                "p99.9",
                "max"
            ),
        ];
        for (kind, measured) in &self.kinds {
            let latency = measured.latency_ms;
            let refused: u64 = measured.refused.values().sum();
            let unknown: u64 = measured.unknown.values().sum();
            lines.push(format!(
                "{:<16} {:>9} {:>8} {:>8} {:>6} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>9.1}",
                kind.name(),
                measured.acknowledged,
                refused,
                unknown,
                measured.late_starts,
                latency.p50,
                latency.p90,
                latency.p99,
                latency.p999,
                latency.max
            ));
            for (what, reasons) in [
                ("refused", &measured.refused),
                ("unknown", &measured.unknown),
            ] {
                let reasons = reasons.iter();
                lines.extend(reasons.map(|(reason, count)| format!("  {what} {count}: {reason}")));
            }
        }
        let gaps = self.gaps.iter().take(NAMED_MAX);
        lines.extend(gaps.map(|gap| format!("gap: {gap}")));
        lines.push(format!("ledger {}", self.ledger.display()));
        lines.extend(told(&self.account));
        lines
    }
}

/// What the checker found, a line each.
pub fn told(account: &Account) -> Vec<String> {
    let (commands, drawn) = (&account.commands, &account.consequences);
    let unknown = commands.unknown_found + commands.unknown_absent;
    let mut lines = vec![
        format!(
            "checked: {} records read; {} commands acknowledged, {} refused, {unknown} never answered ({} are there)",
            account.records, commands.acknowledged, commands.refused, commands.unknown_found
        ),
        format!(
            "{} listings, {} directives, {} items of mailboxes",
            drawn.listings, drawn.directives, drawn.items
        ),
    ];
    if !account.ended {
        lines.push("the run did not come to its end".to_owned());
    }
    lines.extend(
        commands
            .unknown
            .iter()
            .map(|command| format!("never answered: {command}")),
    );
    lines.extend(
        account
            .behind
            .iter()
            .map(|behind| format!("behind: {behind}")),
    );
    lines.extend(
        account
            .faults
            .named()
            .iter()
            .map(|fault| format!("FAULT {fault}")),
    );
    let counts = account.faults.counts().into_iter();
    let counts: Vec<String> = counts
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    lines.push(counts.join(", "));
    lines.push(match account.holds() {
        true => "everything adds up".to_owned(),
        false => "NOT everything adds up".to_owned(),
    });
    lines
}
