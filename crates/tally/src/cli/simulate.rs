//! `tally simulate`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::Global;
use super::output::{Failure, line};
use super::up::stop_signals;
use crate::simulate::parameters::{Listings, Parameters, a_second, parse_duration};
use crate::simulate::plan::Spacing;
use crate::simulate::{self, Live, SimulateError, SimulateOptions, ledger_path, told};

/// Arguments of `tally simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// How long operations begin: 90s, 30m, 2h.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration, required_unless_present = "check")]
    lasts: Option<Duration>,
    /// Checks the ledger of an earlier run, also of one that was killed, and does nothing else.
    #[arg(long, value_name = "LEDGER", conflicts_with_all = ["lasts", "ledger"])]
    check: Option<PathBuf>,
    /// Where the ledger is written; it must not be there yet [default: simulate-SEED.ledger in the data directory].
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// The same seed gives the same content in the same intended order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Departments that push and check [default: all of the policy pack].
    #[arg(long, value_name = "NUMBER")]
    departments: Option<usize>,
    /// Departments that answer their directives [default: all that get some].
    #[arg(long, value_name = "NUMBER")]
    responders: Option<usize>,
    /// Organisations.
    #[arg(long, value_name = "NUMBER", default_value_t = Parameters::default().subjects)]
    subjects: u32,
    /// Records pushed a second.
    #[arg(long, value_name = "A_SECOND", default_value_t = Parameters::default().records, conflicts_with = "records_a_day")]
    rate: f64,
    /// Records pushed a day.
    #[arg(long, value_name = "NUMBER")]
    records_a_day: Option<f64>,
    /// Listings: so many a day as 500, or a share of the records as 1%.
    #[arg(long, value_name = "NUMBER|SHARE%", default_value = "1%")]
    listings: Listings,
    /// Checks a second.
    #[arg(long, value_name = "A_SECOND", default_value_t = Parameters::default().checks)]
    checks: f64,
    /// How arrivals are spaced.
    #[arg(long, value_enum, default_value_t)]
    arrivals: Spacing,
    /// Connections of each department's system.
    #[arg(long, value_name = "NUMBER", default_value_t = Parameters::default().connections)]
    connections: usize,
    /// Scheduled operations under way at a time, at most; what finds no place begins late.
    #[arg(long, value_name = "NUMBER", default_value_t = Parameters::default().in_flight)]
    in_flight: usize,
    /// How long a command is repeated before its outcome is called unknown.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "2m")]
    patience: Duration,
    /// How long the checker waits for the mesh to draw all consequences.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "3m")]
    settle: Duration,
}

impl Simulate {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let dir = global.dir();
        if let Some(ledger) = &self.check {
            let account = simulate::check_ledger(&dir, ledger, self.settle).await;
            let account = account.map_err(failure)?;
            if global.json {
                line(&account.to_json().to_string());
            } else {
                told(&account).iter().for_each(|text| line(text));
            }
            return Ok(code(account.holds()));
        }
        let parameters = self.parameters();
        let ledger = self.ledger.clone();
        let options = SimulateOptions {
            ledger: ledger.unwrap_or_else(|| ledger_path(&dir, parameters.seed)),
            parameters,
            settle: self.settle,
            progress: !global.json,
            dir,
        };
        let stop = CancellationToken::new();
        let mut signals = stop_signals().map_err(Failure::environment)?;
        let stopping = stop.clone();
        let waiting = tokio::spawn(async move {
            signals.received().await;
            stopping.cancel();
        });
        let report = simulate::run(&options, Arc::new(Live::default()), stop).await;
        waiting.abort();
        let report = report.map_err(failure)?;
        if global.json {
            line(&report.to_json().to_string());
        } else {
            report.lines().iter().for_each(|text| line(text));
        }
        Ok(code(report.holds()))
    }

    fn parameters(&self) -> Parameters {
        let records = self.records_a_day.map_or(self.rate, a_second);
        Parameters {
            seed: self.seed,
            lasts: self.lasts.unwrap_or_default(),
            departments: self.departments,
            responders: self.responders,
            subjects: self.subjects,
            records,
            listings: self.listings.a_second(records),
            checks: self.checks,
            spacing: self.arrivals,
            connections: self.connections,
            in_flight: self.in_flight,
            patience: self.patience,
        }
    }
}

fn code(holds: bool) -> ExitCode {
    match holds {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    }
}

fn failure(error: SimulateError) -> Failure {
    match error {
        SimulateError::Parameters { .. }
        | SimulateError::Script(_)
        | SimulateError::OtherPack { .. }
        | SimulateError::SeenBefore
        | SimulateError::Ledger(_) => Failure::usage(error),
        _ => Failure::environment(error),
    }
}
