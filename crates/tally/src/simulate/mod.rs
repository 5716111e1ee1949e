//! `tally simulate`: a province at work on a running mesh, and an account of
//! everything that it was told.
//!
//! What is to happen and when ([`script`], [`plan`]) follows from parameters, policy
//! pack and seed alone; the load ([`load`], [`respond`]) waits for no answer before it
//! begins what is next; each command is noted in the [`ledger`] before it is sent and
//! when it is answered; the checker ([`check`]) holds the ledger against the mesh.

pub mod cast;
pub mod check;
mod insist;
pub mod ledger;
mod live;
mod load;
pub mod meter;
mod office;
pub mod parameters;
pub mod plan;
mod report;
mod respond;
pub mod script;
mod steps;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use tally_domain::policy::Pack;
use tally_eventlog::event::from_proto_time;
use tally_proto::tally::node::v1::GetStatusRequest;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub use live::Live;
pub use load::Begun;
pub use report::{Report, told};

use self::cast::Cast;
use self::check::{Account, ReadError};
use self::ledger::{Ledger, LedgerError, Run};
use self::office::Office;
use self::parameters::Parameters;
use self::respond::Gaps;
use self::script::{Script, ScriptFault, Taking};
use self::steps::Running;
use crate::client::{Client, ClientError};
use crate::data_dir::DataDirError;
use crate::demo::world::{Dept, World};
use crate::pack_client::active_pack;
use crate::role::Role;

/// Why there is no simulation, or no account of it.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// Correct them.
    #[error("{}", faults.join("; "))]
    Parameters {
        /// Every fault.
        faults: Vec<String>,
    },
    /// Correct the parameters, or load another pack.
    #[error(transparent)]
    Script(#[from] ScriptFault),
    /// Load one.
    #[error("the policy pack cannot be had: {status}; `tally policy load` loads one")]
    Pack {
        /// What was answered.
        status: Box<Status>,
    },
    /// The ledger is of another time of this mesh.
    #[error(
        "the ledger was written by policy pack {ledger}, and {loaded} is loaded now: what follows from its listings cannot be told any more"
    )]
    OtherPack {
        /// The pack of the run.
        ledger: String,
        /// The pack that is loaded.
        loaded: String,
    },
    /// Issue it where the authority is, and put it here.
    #[error("a certificate is missing, and cannot be issued here: where the authority of this mesh is, run `tally cert issue {name} {flags}`, and put {name}.pem and {name}.key into {}", dir.join("certs").display())]
    Certificate {
        /// Its name.
        name: String,
        /// For whom, as options.
        flags: String,
        /// The data directory.
        dir: PathBuf,
        /// Why it cannot.
        source: Box<DataDirError>,
    },
    /// The pack or the ledger is damaged.
    #[error("{urn} names no department")]
    Department {
        /// What was to be one.
        urn: String,
    },
    /// Use another seed.
    #[error(
        "the mesh has a record of this seed already: simulate with another --seed, or on another mesh"
    )]
    SeenBefore,
    /// Start the mesh, or name another directory.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// See there.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// See there.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// How a simulation is run.
#[derive(Debug, Clone)]
pub struct SimulateOptions {
    /// Data directory of the mesh.
    pub dir: PathBuf,
    /// What province, and how busy.
    pub parameters: Parameters,
    /// Where the ledger is written; it must not be there yet.
    pub ledger: PathBuf,
    /// How long the checker waits for the mesh to draw all consequences.
    pub settle: Duration,
    /// Shows progress, if standard error is a terminal.
    pub progress: bool,
}

/// Where the ledger of a seed is, unless another place is named.
pub fn ledger_path(dir: &Path, seed: u64) -> PathBuf {
    dir.join(format!("simulate-{seed}.ledger"))
}

/// Runs a simulation against the mesh of a data directory, and checks it. `stop` ends
/// the load early; what was done until then is checked all the same.
///
/// # Errors
///
/// [`SimulateError`]. What does not add up is no error: see [`Report::holds`].
pub async fn run(
    options: &SimulateOptions,
    live: Arc<Live>,
    stop: CancellationToken,
) -> Result<Report, SimulateError> {
    let parameters = &options.parameters;
    let faults = parameters.faults();
    if !faults.is_empty() {
        return Err(SimulateError::Parameters { faults });
    }
    let operator = cast::operator(&options.dir).await?;
    let (pack, today) = pack_and_day(&operator).await?;
    let name = pack_name(&pack);
    let world = World::new(pack.clone());
    let taking = script::taking(&world, today, parameters)?;
    let organisations = script::organisations(parameters);
    let script = Script::new(&world, today, parameters, &organisations, &taking.pushing)?;
    let running = Arc::new(open(options, &world, &taking, (name, today), live, stop).await?);

    let gaps = Gaps::default();
    let mut responders = JoinSet::new();
    for dept in &taking.responding {
        responders.spawn(respond::respond(running.clone(), *dept, gaps.clone()));
    }
    let bar = progress_bar(options);
    let began = std::time::Instant::now();
    let begun = load::drive(&running, script, parameters, &bar).await;
    running.office.stop.cancel();
    while let Some(ended) = responders.join_next().await {
        ended.expect("a responder does not panic");
    }
    bar.finish_and_clear();
    let took = began.elapsed();
    running.office.end()?;
    let account = check::check(
        &options.dir,
        &operator,
        pack,
        &options.ledger,
        options.settle,
    )
    .await?;
    let gaps = std::mem::take(
        &mut *gaps
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner),
    );
    Ok(Report {
        seed: parameters.seed,
        pack: pack_name(&world.pack),
        ledger: options.ledger.clone(),
        took,
        begun,
        kinds: running.office.meter.read(),
        gaps,
        account,
    })
}

/// Checks a ledger that an earlier run has left, also one that was killed.
///
/// # Errors
///
/// [`SimulateError`]. What does not add up is no error: see [`Account::holds`].
pub async fn check_ledger(
    dir: &Path,
    ledger: &Path,
    settle: Duration,
) -> Result<Account, SimulateError> {
    let operator = cast::operator(dir).await?;
    let (pack, _) = pack_and_day(&operator).await?;
    check::check(dir, &operator, pack, ledger, settle).await
}

async fn open(
    options: &SimulateOptions,
    world: &World,
    taking: &Taking,
    (pack, today): (String, Date),
    live: Arc<Live>,
    stop: CancellationToken,
) -> Result<Running, SimulateError> {
    let parameters = &options.parameters;
    let mut depts: Vec<Dept> = [&taking.pushing[..], &taking.addressed[..]].concat();
    depts.sort_unstable();
    depts.dedup();
    let connections = parameters.connections;
    let cast = Cast::open(&options.dir, world, depts.into_iter(), connections).await?;
    let mailboxes = taking.addressed.iter().map(|dept| {
        let id = world.id(*dept).to_string();
        let certificate = cast::certificate(&id);
        (id, certificate)
    });
    let run = Run {
        form: 0,
        seed: parameters.seed,
        pack,
        mailboxes: mailboxes.collect(),
    };
    let ledger = Ledger::create(&options.ledger, run)?;
    Ok(Running {
        cast,
        office: Office::new(ledger, live, parameters.patience, stop),
        today,
    })
}

/// The pack that is active, and the day it is there by the mesh's clock.
async fn pack_and_day(operator: &Client) -> Result<(Pack, Date), SimulateError> {
    let refused = |status| SimulateError::Pack {
        status: Box::new(status),
    };
    let pack = active_pack(operator).await.map_err(refused)?;
    let mut node = operator.node(Role::Catalog);
    let status = node
        .get_status(GetStatusRequest {})
        .await
        .map_err(refused)?;
    let now = status.get_ref().now.as_ref().and_then(from_proto_time);
    let zone = pack.meta.tz().ok();
    let today = now.zip(zone).map(|(now, zone)| now.to_zoned(zone).date());
    let today =
        today.ok_or_else(|| refused(Status::data_loss("the mesh does not say what day it is")))?;
    Ok((pack, today))
}

/// The pack that a run goes by.
fn pack_name(pack: &Pack) -> String {
    format!("{} {}", pack.meta.id, pack.meta.version)
}

fn progress_bar(options: &SimulateOptions) -> ProgressBar {
    if !options.progress || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{bar:40} {pos}/{len} s, {msg} commands acknowledged";
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    ProgressBar::new(options.parameters.lasts.as_secs()).with_style(style)
}
