//! `tally demo`: a real run. It starts a mesh of its own with a movable clock
//! and then is nothing but clients: every department, officer, the province and
//! the operator call it under certificates of their own. Each keeps its own
//! count, and the summary compares the server's with theirs.

mod audit;
pub(crate) mod cast;
mod checking;
pub(crate) mod content;
mod counts;
mod deciding;
mod endings;
mod error;
mod ledger;
mod listing;
mod live;
mod objection;
mod province;
mod push;
mod quarantine;
mod responder;
mod reviewing;
mod schedule;
mod sealed;
mod summary;
mod tables;
mod texts;
mod wait;
pub(crate) mod world;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::civil::Date;
use tally_catalog::pack::BuiltIn;
use tally_proto::tally::node::v1::AdvanceClockRequest;
use tempfile::TempDir;

use crate::cli::lang::Lang;
use crate::data_dir::DataDir;
use crate::mesh::{Mesh, MeshOptions};
use crate::role::Role;

pub use error::DemoError;
pub use summary::{Check, Summary};

use cast::Cast;
use content::{ORGANISATIONS_MIN, Plan, RECORDS_MIN};
use error::Answered as _;
use ledger::Ledger;
use schedule::Schedule;
use texts::Phrase;
use world::World;

/// The whole run ends within this, or it is reported as hanging.
const RUN_MAX: Duration = Duration::from_secs(15 * 60);

/// How the demo is run.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// The data directory, which must not hold a mesh yet; none: a temporary
    /// one, removed at the end.
    pub dir: Option<PathBuf>,
    /// The same seed gives the same content.
    pub seed: u64,
    /// Prints the summary as one JSON object on the last line of standard output.
    pub json: bool,
    /// Language of what is printed otherwise.
    pub lang: Lang,
    /// Records to push.
    pub records: u32,
    /// Organisations they are about.
    pub organisations: u32,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self {
            dir: None,
            seed: 1,
            json: false,
            lang: Lang::default(),
            records: 20_000,
            organisations: 2_000,
        }
    }
}

/// Runs the demo and prints it. The run is a success only if every check of
/// the summary held: see [`Summary::held`].
///
/// # Errors
///
/// [`DemoError`]: the run did not get to its end; it says where and why.
pub async fn run(options: DemoOptions) -> Result<Summary, DemoError> {
    if options.organisations < ORGANISATIONS_MIN || options.records < RECORDS_MIN {
        return Err(DemoError::TooSmall);
    }
    let began = Instant::now();
    let (dir, temporary) = data_dir(&options)?;
    let mut mesh_options = MeshOptions::in_dir(dir.clone());
    let schedule = Schedule::default();
    mesh_options.test_clock = Some(schedule.start());
    let mesh = Mesh::start(mesh_options).await.map_err(Box::new)?;
    let mut demo = Demo::new(&options, dir, schedule, &mesh).await?;
    let outcome = tokio::time::timeout(RUN_MAX, demo.run()).await;
    // The connections go first, so that stopping has nothing to wait for.
    let Demo { mut summary, .. } = demo;
    let stopped = mesh.stop().await;
    outcome.map_err(|_| DemoError::TimedOut { after: RUN_MAX })??;
    stopped?;
    if let Some(temporary) = temporary {
        temporary.close().map_err(DemoError::Directory)?;
    }
    summary.elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    summary.print_table();
    if options.json {
        summary.print_json();
    }
    Ok(summary)
}

fn data_dir(options: &DemoOptions) -> Result<(DataDir, Option<TempDir>), DemoError> {
    let Some(path) = &options.dir else {
        let temporary = TempDir::with_prefix("tally-demo-").map_err(DemoError::Directory)?;
        return Ok((DataDir::new(temporary.path()), Some(temporary)));
    };
    let dir = DataDir::new(path);
    if dir.store(None).exists() {
        return Err(DemoError::DirInUse { dir: path.clone() });
    }
    Ok((dir, None))
}

/// A run under way.
struct Demo {
    dir: DataDir,
    world: Arc<World>,
    plan: Arc<Plan>,
    cast: Cast,
    ledger: Ledger,
    schedule: Schedule,
    /// The day it is by the mesh's clock.
    today: Date,
    summary: Summary,
}

impl Demo {
    async fn new(
        options: &DemoOptions,
        dir: DataDir,
        schedule: Schedule,
        mesh: &Mesh,
    ) -> Result<Self, DemoError> {
        let pack = BuiltIn::Province.load().map_err(DemoError::pack)?;
        let world = Arc::new(World::new(pack));
        let plan = Arc::new(Plan::new(
            &world,
            schedule.first,
            options.seed,
            options.organisations,
            options.records,
        ));
        let cast = Cast::open(&dir, &world).await?;
        let summary = Summary::new(options, mesh.started_in);
        let ledger = Ledger::new(&world, &plan, &schedule);
        let today = schedule.first;
        Ok(Self {
            dir,
            world,
            plan,
            cast,
            ledger,
            schedule,
            today,
            summary,
        })
    }

    async fn run(&mut self) -> Result<(), DemoError> {
        self.open().await?;
        let live = self.follow_live().await?;
        self.push_records().await?;
        self.import_tables().await?;
        self.work_the_quarantine().await?;
        self.list_first().await?;
        self.respond().await?;
        self.list_second().await?;
        self.respond().await?;
        self.review_reports().await?;
        self.check_everyone().await?;
        self.decide().await?;
        self.object().await?;
        self.decide_objections().await?;
        self.let_reports_be_overdue().await?;
        self.let_one_expire().await?;
        self.let_the_rest_be_overdue().await?;
        self.object_again().await?;
        self.compare_live(live).await?;
        self.compare_counts().await?;
        self.compare_decisions().await?;
        self.look_at_the_province().await?;
        self.replay().await?;
        self.ask_as_of().await?;
        self.rebuild_and_verify().await?;
        self.look_for_secrets().await
    }

    async fn open(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::OPEN);
        let started = self.summary.started_in_ms;
        self.summary
            .line(&texts::STARTED.with(&[&started, &self.today]));
        let pack = &self.world.pack;
        let items = crate::pack_client::load_pack(&self.cast.operator, pack).await;
        let items = items.during("load the policy pack")?;
        let title = Phrase::named(&pack.meta.title, pack.meta.name_zh.as_ref());
        let line = texts::PACK.with(&[&title, &pack.meta.version, &items]);
        self.summary.line(&line);
        let expected = pack.items().len();
        self.summary.equal(&texts::CHECK_PACK, &expected, &items);
        let departments = pack.departments.len();
        self.summary
            .line(&texts::DEPARTMENTS.with(&[&departments, &pack.list_types.len()]));
        self.summary.count("departments", departments as u64);
        Ok(())
    }

    /// Moves the mesh's clock to nine in the morning of a later day.
    async fn advance_to(&mut self, day: Date) -> Result<(), DemoError> {
        let to = tally_eventlog::event::to_proto_time(self.schedule.at(day));
        let request = AdvanceClockRequest { to: Some(to) };
        self.cast
            .operator
            .node(Role::Catalog)
            .advance_clock(request)
            .await
            .during("advance the clock")?;
        self.today = day;
        self.summary.line(&texts::CLOCK.with(&[&day]));
        Ok(())
    }

    /// A progress bar on standard error, if that is a terminal.
    fn bar(&self, length: u64, what: &'static str) -> ProgressBar {
        if !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("  {msg} {bar:40} {pos}/{len} ({per_sec})")
            .expect("the template is a constant");
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        bar.with_style(style).with_message(what)
    }
}
