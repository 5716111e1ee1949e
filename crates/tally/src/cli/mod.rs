//! The command line: a client of the contracts, and what starts a mesh.

mod archives;
mod audit;
mod cert;
mod check;
pub mod commands;
mod corrections;
mod decisions;
mod doctor;
mod explain;
mod follow;
mod following;
mod heads;
mod hint;
pub(crate) mod import;
mod input;
pub(crate) mod lang;
mod list;
mod object;
pub(crate) mod output;
mod parked;
mod people;
mod policy;
mod push;
mod quarantine;
mod reader;
mod receipt;
mod reconcile;
mod record_line;
mod respond;
mod rights;
mod serve;
mod shell;
mod simulate;
mod stats;
pub(crate) mod table;
mod template;
mod timeliness;
mod up;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tally_auth::Identity;

use crate::client::Client;
use crate::data_dir::DataDir;
use output::Failure;

/// Joint action of departments on red and black lists, over a log that can be replayed and proved.
#[derive(Debug, Parser)]
#[command(name = "tally", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 something that was verified does not hold; \
    2 bad input; 3 refused; 4 not available now, try again; 5 internal error. \
    A refusal names a reason: `tally explain REASON` says what to do."
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EVERYWHERE: &str = "Options of every command";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Data directory of the mesh [default: the environment's TALLY_DIR, or tally-data].
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    dir: Option<PathBuf>,
    /// Certificate to act under: a name in the data directory's `certs`.
    #[arg(long = "as", global = true, env = "TALLY_AS", default_value = crate::data_dir::OPERATOR, value_name = "NAME", help_heading = EVERYWHERE)]
    acting_as: String,
    /// Machine-readable output: one JSON object a line.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    /// Language of tables.
    #[arg(long, global = true, env = "TALLY_LANG", value_enum, default_value_t, value_name = "LANG", help_heading = EVERYWHERE)]
    lang: lang::Lang,
    /// What is logged to standard error, in the form of RUST_LOG.
    #[arg(long, global = true, env = "TALLY_LOG", default_value = "warn", help_heading = EVERYWHERE)]
    log: String,
    /// OpenTelemetry collector that takes OTLP over gRPC, for example http://127.0.0.1:4317.
    #[arg(
        long,
        global = true,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        value_name = "URL",
        value_parser = parse_collector,
        help_heading = EVERYWHERE
    )]
    otlp: Option<String>,
}

fn parse_collector(text: &str) -> Result<String, String> {
    if text.starts_with("http://") {
        return Ok(text.to_owned());
    }
    Err("write it as http://HOST:PORT; a collector over TLS is not supported".to_owned())
}

impl Global {
    /// For a call from within: a mesh's directory, and the certificate to act under.
    fn acting_as(dir: &Path, certificate: &str) -> Self {
        Self {
            dir: Some(dir.to_owned()),
            acting_as: certificate.to_owned(),
            json: false,
            lang: lang::Lang::default(),
            log: String::new(),
            otlp: None,
        }
    }

    fn dir(&self) -> PathBuf {
        let of_environment = || std::env::var_os("TALLY_DIR").map(PathBuf::from);
        self.dir
            .clone()
            .or_else(of_environment)
            .unwrap_or_else(|| PathBuf::from("tally-data"))
    }

    /// What tells the mesh of this data directory from another one: the
    /// certificate of its authority.
    fn authority(&self) -> Result<String, Failure> {
        let dir = DataDir::new(self.dir());
        let tls = dir.client_tls(&self.acting_as);
        Ok(tls.map_err(Failure::environment)?.ca_pem)
    }

    /// Whom the certificate names under which the command acts.
    fn identity(&self) -> Result<Identity, Failure> {
        let tls = DataDir::new(self.dir()).client_tls(&self.acting_as);
        let tls = tls.map_err(Failure::environment)?;
        Identity::of_pem(&tls.certificate_pem).map_err(Failure::environment)
    }

    async fn client(&self) -> Result<Client, Failure> {
        let dir = DataDir::new(self.dir());
        let endpoints = dir.endpoints().map_err(Failure::environment)?;
        let name = &self.acting_as;
        if !dir.certificates().join(format!("{name}.pem")).exists() {
            let known = certificate_names(&dir.certificates()).join(", ");
            return Err(Failure::usage(format!(
                "there is no certificate `{name}` in {}; issue it with `tally cert issue {name} --department CODE`, \
                 or name another with --as",
                dir.certificates().display()
            ))
            .or_try(format!("there are: {known}")));
        }
        let tls = dir.client_tls(name).map_err(Failure::environment)?;
        Client::of_endpoints(&endpoints, &tls).await.map_err(|error| {
            let failure = Failure::environment(error);
            let place = dir.path().display();
            let hint = if failure.mentions("peer certificate") {
                format!("the mesh that answers there is not the one of {place}: name its directory with --dir")
            } else {
                format!("if the mesh does not run, start it with `tally up --dir {place}`")
            };
            failure.or_try(hint)
        })
    }
}

/// The names under which certificates are in a directory.
fn certificate_names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.path())
        // The authority's own certificate has no key here.
        .filter(|path| path.extension().is_some_and(|kind| kind == "key"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a mesh: all roles in one process, one data directory.
    Up(up::Up),
    /// Makes the keys and certificates that the processes of a mesh share. Once, before the first `serve`.
    Init(serve::Init),
    /// Creates what the roles keep in Postgres, or brings it to this version. Before a newer version starts.
    Migrate(serve::Migrate),
    /// Serves one role of a mesh of several processes.
    Serve(serve::Serve),
    /// Prints every setting with its value and where that is from.
    Config(serve::Show),
    /// Checks directory, processes, clocks, database and topics of a mesh, and says what to do. Changes nothing. Exit code 1: something is at fault.
    Doctor(doctor::Doctor),
    /// Archives all or some roles as they are now, running or not. Never writes over anything.
    Backup(archives::Backup),
    /// Puts roles back to a backup, into stores that are empty or not there.
    Restore(archives::Restore),
    /// Archives a stopped mesh of one process, to go on as several; it takes nothing any more afterwards.
    Export(archives::Export),
    /// Moves an export into the empty stores of a mesh of several processes, and proves it. Exit code 1: not equal.
    ImportLog(archives::ImportLog),
    /// Runs the whole job once, with seeded data, and verifies it. With --dir the data is kept there.
    Demo(up::Demo),
    /// A province at work on a running mesh, for so long; then accounts for every command. Exit code 1: something is lost, twice, or out of order.
    Simulate(simulate::Simulate),
    /// Pushes records: JSON lines from files or standard input.
    Push(push::Push),
    /// Imports a table that departments exchange: CSV or XLSX.
    Import(import::Import),
    /// Writes an empty table for a record type, to be filled and imported.
    Template(template::Template),
    /// One record.
    Record {
        /// Id of the record.
        record_id: String,
        /// Your case number; needed to be shown sealed fields.
        #[arg(long, default_value = "", hide_default_value = true)]
        case: String,
    },
    /// Corrects a record: the whole content, as one JSON object on standard input.
    Correct(push::Correct),
    /// Withdraws a record.
    Withdraw(push::Withdraw),
    /// Refused rows that were kept: list, show, resubmit, discard, counts.
    #[command(subcommand)]
    Quarantine(quarantine::Quarantine),
    /// Red and black lists: nominate, notify, represent, confirm, drop, remove, show.
    #[command(subcommand)]
    List(list::List),
    /// Objections: accept (suspends at once), uphold, correct out.
    #[command(subcommand)]
    Object(object::Object),
    /// States on evidence that two identifiers are one organisation.
    Link(object::Link),
    /// Takes such a statement back.
    Unlink(object::Unlink),
    /// Streams the department's directives from a cursor on.
    Subscribe(respond::Subscribe),
    /// Answers a directive: acknowledge, start, execute, decline, confirm-lift, show.
    #[command(subcommand)]
    Directive(respond::Directive),
    /// What is in force for a subject, before a decision.
    Check(check::Check),
    /// What is in force for many subjects, each of which is a line of the input.
    CheckMany(check::CheckMany),
    /// Checks and executions that rested on a basis older than a suspension or an end.
    Corrections(corrections::Corrections),
    /// Decisions that needed a check first, and what their records' citations are worth.
    #[command(subcommand)]
    Decisions(decisions::Decisions),
    /// Signed receipts of checks: get, keys, verify (offline), rotate.
    #[command(subcommand)]
    Receipt(receipt::Receipt),
    /// Reports on a directive, or accepts or returns a report.
    #[command(subcommand)]
    Report(respond::Report),
    /// Streams feedback for the province from a cursor on.
    Feedback(respond::Feedback),
    /// Streams what is public or newly registered from a cursor on: registrations, records, lists.
    #[command(subcommand)]
    Follow(follow::Follow),
    /// Counts: records by department and type, feedback by department, month and measure.
    Stats(stats::Stats),
    /// Prints the history as JSON lines.
    Replay(audit::Replay),
    /// What was in force on a day, as known at a time.
    AsOf(audit::AsOf),
    /// Rebuilds every view from an empty store and compares.
    Rebuild,
    /// Verifies hashes, positions and roots of every log.
    Verify,
    /// Head of every shard of every log: size and Merkle root, to be kept elsewhere and compared.
    Heads(heads::Heads),
    /// What the certificate's holder may do, by contracts and active pack: each right, and on what.
    Rights,
    /// Policy packs: check, diff, load, new, show.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Certificates of the development authority.
    #[command(subcommand)]
    Cert(cert::Cert),
    /// The key ring of a stopped mesh.
    #[command(subcommand)]
    Key(cert::Key),
    /// Readers: hold one where it is, let it go on.
    #[command(subcommand)]
    Reader(reader::Reader),
    /// State of the process: readers, parked subjects, clock.
    Status,
    /// Subjects with events that a reader could not apply: list, show, replay.
    #[command(subcommand)]
    Parked(parked::Parked),
    /// Takes readers back to what their log has, after it was restored from a backup. Without --apply, says what that would do. Exit code 1: some have diverged still.
    Reconcile(reconcile::Reconcile),
    /// Moves the clock of a mesh that was created with --test-clock.
    Clock {
        /// The new time, RFC 3339.
        to: jiff::Timestamp,
    },
    /// What a reason means, and what to do.
    Explain(explain::Explain),
    /// Prints a completion script for a shell.
    Completions(shell::Completions),
    /// Writes the manual: a page for each command.
    Man(shell::Man),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    run(Cli::parse())
}

/// Runs a command line.
pub fn run(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot start: {error}");
            return ExitCode::from(5);
        }
    };
    runtime.block_on(async {
        let telemetry = tally_telemetry::init(&tally_telemetry::TelemetryOptions {
            otlp_endpoint: cli.global.otlp.clone(),
            filter: cli.global.log.clone(),
            ..Default::default()
        });
        let outcome = match telemetry {
            Ok(_guard) => dispatch(&cli).await,
            Err(error) => Err(Failure::usage(error)),
        };
        match outcome {
            Ok(code) => code,
            Err(failure) => failure.report(cli.global.json),
        }
    })
}

async fn dispatch(cli: &Cli) -> Result<ExitCode, Failure> {
    let global = &cli.global;
    match &cli.command {
        Command::Up(command) => command.run(global).await,
        Command::Demo(command) => command.run(global).await,
        Command::Init(command) => serve::init(global, command).await,
        Command::Migrate(command) => command.run(global).await,
        Command::Serve(command) => command.run(global).await,
        Command::Config(command) => command.run(global),
        Command::Doctor(command) => command.run(global).await,
        Command::Simulate(command) => command.run(global).await,
        Command::Backup(command) => command.run(global).await,
        Command::Restore(command) => command.run(global).await,
        Command::Export(command) => command.run(global).await,
        Command::ImportLog(command) => command.run(global).await,
        Command::Push(command) => command.run(global).await,
        Command::Import(command) => command.run(global).await,
        Command::Template(command) => command.run(global).await,
        Command::Record { record_id, case } => push::show(global, record_id, case).await,
        Command::Correct(command) => command.run(global).await,
        Command::Withdraw(command) => command.run(global).await,
        Command::Quarantine(command) => command.run(global).await,
        Command::List(command) => command.run(global).await,
        Command::Object(command) => command.run(global).await,
        Command::Link(command) => command.run(global).await,
        Command::Unlink(command) => command.run(global).await,
        Command::Subscribe(command) => command.run(global).await,
        Command::Directive(command) => command.run(global).await,
        Command::Check(command) => command.run(global).await,
        Command::CheckMany(command) => command.run(global).await,
        Command::Corrections(command) => command.run(global).await,
        Command::Decisions(command) => command.run(global).await,
        Command::Receipt(command) => command.run(global).await,
        Command::Report(command) => command.run(global).await,
        Command::Feedback(command) => command.run(global).await,
        Command::Follow(command) => command.run(global).await,
        Command::Stats(command) => command.run(global).await,
        Command::Replay(command) => command.run(global).await,
        Command::AsOf(command) => command.run(global).await,
        Command::Rebuild => audit::rebuild(global).await,
        Command::Verify => audit::verify(global).await,
        Command::Heads(command) => command.run(global).await,
        Command::Rights => rights::run(global).await,
        Command::Policy(command) => command.run(global).await,
        Command::Cert(command) => command.run(global),
        Command::Key(command) => command.run(global).await,
        Command::Reader(command) => command.run(global).await,
        Command::Status => audit::status(global).await,
        Command::Parked(command) => command.run(global).await,
        Command::Reconcile(command) => command.run(global).await,
        Command::Clock { to } => audit::advance_clock(global, *to).await,
        Command::Explain(command) => command.run(global),
        Command::Completions(command) => command.run(global),
        Command::Man(command) => command.run(global),
    }
}
