//! Each path of the mesh as a ratio to its composed bare path in the same run:
//! a bare tonic server behind the same TLS that awaits a bare group-committed
//! insert of the same rows, bytes and indexes. Figures say something of this
//! machine, ratios of the mesh.
//!
//! `cargo bench -p tally-tests --bench paths -- [--gate] [--on sqlite|postgres]
//! [--only ingest|relay|checks] [--rounds N] [--records N] [--checks N] [--listings N]
//! [--produced N] [--filled] [--fill-records N] [--fill-listings N]`, or
//! `-- --growth-to N [--growth-from N] [--growth-bytes N]`. Without `--bench`, as
//! tests are run, a tiny load shows that it still works, and nothing is judged.

mod arguments;
mod bare;
mod content;
mod distributed;
mod insert;
mod load;
mod material;
mod meter;
mod ours;
mod paths;
mod report;
mod stage;
mod world;

use std::process::ExitCode;

use arguments::{Arguments, On, Only};
use report::Report;
use stage::{Filled, Stage};

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(fault) => {
            eprintln!("{fault}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads and a timer are all it takes");
    let report = runtime.block_on(measure(&arguments));
    report.print();
    if arguments.gate && !report.holds() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Runs ours and bare in turns, so that a change of the machine meets both.
async fn measure(arguments: &Arguments) -> Report {
    let options = tally_telemetry::TelemetryOptions {
        filter: "error".to_owned(),
        ..Default::default()
    };
    // As the binary runs: spans have ids and end here.
    let _telemetry = tally_telemetry::init(&options).expect("telemetry starts once per process");
    let mut report = Report::default();
    if let Some(growth) = arguments.growth {
        distributed::growth::grow(growth).await;
        return report;
    }
    if arguments.on != On::Postgres {
        on_sqlite(arguments, &mut report).await;
    }
    // What the mesh holds before is about the other one.
    if arguments.on != On::Sqlite && arguments.fill.is_none() {
        distributed::measure(arguments, &mut report).await;
    }
    report
}

async fn on_sqlite(arguments: &Arguments, report: &mut Report) {
    let mut stage = Stage::Fresh(None);
    if let Some(fill) = arguments.fill {
        eprintln!(
            "filling: {} records, {} listings",
            fill.records, fill.listings
        );
        let filled = Filled::fill(fill).await;
        eprintln!("  filled in {:.0} s", filled.took.as_secs_f64());
        report.add_start(filled.started_in);
        stage = Stage::Filled(filled);
    }
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}", arguments.rounds);
        if arguments.only.includes(Only::Ingest) {
            for personal_every in [None, Some(10)] {
                paths::ingest(&mut stage, arguments.records, personal_every, report).await;
            }
        }
        if arguments.only.includes(Only::Checks) {
            paths::checks(&mut stage, arguments.checks, report).await;
        }
    }
}
