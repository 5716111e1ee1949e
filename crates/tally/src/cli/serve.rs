//! `tally init`, `tally serve` and `tally config`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use tally_bus_kafka::{KafkaOptions, TopicOptions};
use tally_domain::department::DepartmentId;
use tally_eventlog::shard::ShardCount;

use super::Global;
use super::output::{Failure, line};
use super::up::{announce, serve_until_stopped, stop_signals};
use crate::config::{Config, Layers};
use crate::data_dir::DataDir;
use crate::mesh::{self, Extent, Mesh, MeshOptions, Peers, Publish, Schema, Storage};
use crate::role::Role;

/// Where a configuration is from.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration file [default: tally.toml in the data directory, if it is there].
    #[arg(long, env = "TALLY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting, over file and environment; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_set)]
    sets: Vec<(String, String)>,
}

fn parse_set(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl ConfigArgs {
    pub(super) fn load(&self, global: &Global, listen: Option<&str>) -> Result<Config, Failure> {
        let beside = global.dir().join("tally.toml");
        let file = self
            .config
            .clone()
            .or_else(|| beside.exists().then_some(beside));
        let sets = self
            .sets
            .iter()
            .map(|(key, value)| ("--set".to_owned(), key.clone(), value.clone()));
        let listen = listen.map(|listen| {
            (
                "--listen".to_owned(),
                "listen".to_owned(),
                listen.to_owned(),
            )
        });
        let layers = Layers {
            file,
            environment: environment(),
            flags: sets.chain(listen).collect(),
        };
        Config::load(&layers).map_err(Failure::usage)
    }
}

/// Arguments of `tally serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Role to serve: catalog, collection, lists, sanctions, feedback, audit.
    #[arg(long)]
    role: Role,
    /// Where to listen; the setting `listen`.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Creates the store with a clock that starts at this time and can be moved. For tests only.
    #[arg(long, value_name = "TIME")]
    test_clock: Option<jiff::Timestamp>,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Serve {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let config = self.config.load(global, self.listen.as_deref())?;
        let mut stop = stop_signals().map_err(Failure::environment)?;
        let options = options(
            self.role,
            &config,
            DataDir::new(global.dir()),
            self.test_clock,
        )?;
        let had_store = options.dir.store(Some(self.role)).exists();
        let started = tokio::select! {
            started = Mesh::start(options) => started.map_err(Failure::environment)?,
            // It may wait for other roles, however long they take.
            () = stop.received() => return Err(Failure::environment("stopped before it served")),
        };
        let unused_clock = self.test_clock.filter(|_| had_store);
        announce(global.json, &started, &global.dir(), unused_clock);
        serve_until_stopped(global, started, stop).await
    }
}

fn options(
    role: Role,
    config: &Config,
    dir: DataDir,
    test_clock: Option<jiff::Timestamp>,
) -> Result<MeshOptions, Failure> {
    Ok(MeshOptions {
        extent: Extent::Role(role, Box::new(peers(config))),
        listen: config.listen(role).map_err(Failure::usage)?,
        storage: storage(role, config),
        shards: shards(config),
        check_freshness: config.seconds("checks.freshness"),
        lease_term: config.seconds("store.lease"),
        test_clock,
        ..MeshOptions::in_dir(dir)
    })
}

pub(super) fn peers(config: &Config) -> Peers {
    Peers {
        endpoints: Role::ALL.map(|role| config.endpoint(role).to_owned()),
        kafka: KafkaOptions {
            prefix: config.text("kafka.prefix").to_owned(),
            settings: config.kafka_properties().map(owned).collect(),
            ..KafkaOptions::at(config.text("kafka.brokers"))
        },
        topics: TopicOptions {
            replication: copies(config.number("kafka.replication")),
            min_insync: copies(config.number("kafka.min_insync")),
            ..TopicOptions::default()
        },
        publish: Publish {
            feedback: config.text("publish.feedback") == "true",
            list_changes: config.text("publish.list_changes") == "true",
            // It was parsed when it was read; nothing is nobody.
            registrations_to: DepartmentId::parse(config.text("publish.registrations_to")).ok(),
        },
    }
}

pub(super) fn storage(role: Role, config: &Config) -> Storage {
    let schema = |key: &str, name: String| match config.text(key) {
        "sqlite" => None,
        url => Some(Schema {
            url: url.to_owned(),
            name,
        }),
    };
    Storage {
        events: schema(
            "store.url",
            format!("{}_{role}", config.text("store.schema")),
        ),
        keyring: schema("keyring.url", config.text("keyring.schema").to_owned()),
    }
}

fn shards(config: &Config) -> ShardCount {
    let shards = u16::try_from(config.number("shards")).ok();
    let shards = shards.and_then(|count| ShardCount::new(count).ok());
    shards.expect("the setting has the range of shards")
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn copies(number: u64) -> i32 {
    i32::try_from(number).expect("the setting has a small range")
}

/// The variables that may be ours; others may be no text.
fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Arguments of `tally config`.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    config: ConfigArgs,
}

impl Show {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let config = self.config.load(global, None)?;
        for (key, value, origin) in config.shown() {
            line(&if global.json {
                serde_json::json!({"key": key, "value": value, "origin": origin.to_string()})
                    .to_string()
            } else {
                format!("{key:<22} {value:<34} {origin}")
            });
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `tally migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Only this role; without it, all, and the key ring.
    #[arg(long)]
    role: Option<Role>,
    /// Creates the stores with a clock that starts at this time and can be moved. For tests only.
    #[arg(long, value_name = "TIME")]
    test_clock: Option<jiff::Timestamp>,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Migrate {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let config = self.config.load(global, None)?;
        let roles = self
            .role
            .map_or_else(|| Role::ALL.to_vec(), |role| vec![role]);
        for role in roles {
            let storage = storage(role, &config);
            if storage == Storage::default() {
                return Err(Failure::usage(
                    "store.url and keyring.url are sqlite, which each role brings up to date when it starts; \
                     name a Postgres database",
                ));
            }
            let migrated = mesh::migrate(&storage, role, shards(&config), self.test_clock).await;
            migrated.map_err(Failure::environment)?;
            line(&if global.json {
                serde_json::json!({"migrated": role.name()}).to_string()
            } else {
                format!("{role} is at this version")
            });
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `tally init`.
#[derive(Debug, Args)]
pub struct Init {
    /// A name or address under which roles are reached from other machines; may be given several times.
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
}

/// Makes what the processes share.
pub(super) async fn init(global: &Global, command: &Init) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    let dir = DataDir::new(global.dir());
    mesh::init(&dir, &command.host)
        .await
        .map_err(Failure::environment)?;
    let place = dir.path().display();
    line(&if global.json {
        serde_json::json!({"dir": place.to_string(), "took_ms": began.elapsed().as_millis() as u64})
            .to_string()
    } else {
        format!(
            "{place} has the authority, a certificate for each role and for the operator, the key ring with its \
             master key, and the key of receipts; keep a copy of the keys elsewhere, then start each role with \
             `tally serve --role ROLE --dir {place}`"
        )
    });
    Ok(ExitCode::SUCCESS)
}
