//! A mesh with a process of its own for each role, on this machine.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tally::data_dir::DataDir;
use tally::role::Role;
use tally_eventlog::BoxError;

use crate::harness::RESOURCES;
use tokio::sync::oneshot;

/// How long a process may take until it serves. No claim about speed.
const READY_WAIT: Duration = Duration::from_secs(60);

/// How long the shards of a process that died wait for another.
pub const LEASE_TERM: Duration = Duration::from_secs(4);

/// Ports are taken below those that the system gives to outgoing connections,
/// in blocks that one test holds at a time.
const FIRST_PORT: u16 = 12_000;
const BLOCK: u16 = 8;
const BLOCKS: u16 = 2_000;

/// The processes of a mesh. Dropping them kills them.
pub struct Processes {
    dir: PathBuf,
    /// Of every process, `key=value`.
    settings: Vec<String>,
    test_clock: Option<Timestamp>,
    children: [Option<Child>; Role::ALL.len()],
    /// More processes of a role, by port.
    replicas: Vec<(u16, Role, Child)>,
    first_port: u16,
    /// Held as long as the ports are ours.
    _ports: File,
}

impl Processes {
    /// Starts all roles on a directory, and waits until they serve. On an empty one with
    /// a movable clock that starts then.
    ///
    /// # Panics
    ///
    /// If one does not.
    pub async fn start(dir: &Path, test_clock: Option<Timestamp>) -> Self {
        Self::start_with(dir, test_clock, &[]).await
    }

    /// The same with other settings, `key=value`, in the place of the tests'.
    ///
    /// # Panics
    ///
    /// If one does not.
    pub async fn start_with(dir: &Path, test_clock: Option<Timestamp>, other: &[&str]) -> Self {
        let mut processes = Self::prepared_with(dir, test_clock, other).await;
        processes.serve().await;
        processes
    }

    /// Makes all that the roles need on a directory, and starts none yet.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub async fn prepared(dir: &Path, test_clock: Option<Timestamp>) -> Self {
        Self::prepared_with(dir, test_clock, &[]).await
    }

    async fn prepared_with(dir: &Path, test_clock: Option<Timestamp>, other: &[&str]) -> Self {
        let initialised = tally::mesh::init(&DataDir::new(dir), &[]).await;
        initialised.expect("a directory for a mesh");
        let (first, ports) = free_ports();
        let processes = Self {
            dir: dir.to_owned(),
            settings: replaced(settings(&prefix(dir), first), other),
            test_clock,
            children: Default::default(),
            replicas: Vec::new(),
            first_port: first,
            _ports: ports,
        };
        processes.migrate();
        processes
    }

    /// Starts all roles, and waits until they serve.
    ///
    /// # Panics
    ///
    /// If one does not.
    pub async fn serve(&mut self) {
        let started = Role::ALL.map(|role| self.spawn(role));
        for (role, ready) in Role::ALL.into_iter().zip(started) {
            self.wait(role, ready).await;
        }
    }

    /// Creates what the roles keep in Postgres.
    ///
    /// # Panics
    ///
    /// If it cannot be created.
    pub fn migrate(&self) {
        let mut command = self.configured(&["migrate"]);
        if let Some(start) = self.test_clock {
            command.args(["--test-clock", &start.to_string()]);
        }
        let done = command.output().expect("the binary runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "the stores are not made: {said}");
    }

    /// What a role's processes wrote to standard error.
    pub fn said(&self, role: Role) -> String {
        std::fs::read_to_string(self.log(role)).unwrap_or_default()
    }

    fn log(&self, role: Role) -> PathBuf {
        self.dir.join(format!("{role}.log"))
    }

    /// Where a role answers, as the others know.
    pub fn endpoint(&self, role: Role) -> String {
        at(self.first_port + role as u16)
    }

    /// Starts one more process of a role, at most two in all, and returns where it
    /// answers when it serves.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub async fn replica(&mut self, role: Role) -> String {
        let port = self.first_port + (Role::ALL.len() + self.replicas.len()) as u16;
        assert!(port < self.first_port + BLOCK, "no more ports");
        let listen = format!("127.0.0.1:{port}");
        let (child, ready) = self.launch(role, &["--listen", &listen]);
        self.replicas.push((port, role, child));
        self.wait(role, ready).await;
        at(port)
    }

    /// SIGSTOP: a role's process stands still.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn stand_still(&self, role: Role) {
        signal(
            self.children[role as usize].as_ref().expect("it runs"),
            "STOP",
        );
    }

    /// SIGCONT: it goes on.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn go_on(&self, role: Role) {
        signal(
            self.children[role as usize].as_ref().expect("it runs"),
            "CONT",
        );
    }

    /// Starts a role; what is returned is there when it serves.
    fn spawn(&mut self, role: Role) -> oneshot::Receiver<()> {
        let (child, ready) = self.launch(role, &[]);
        self.children[role as usize] = Some(child);
        ready
    }

    fn launch(&self, role: Role, more: &[&str]) -> (Child, oneshot::Receiver<()>) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log(role));
        let mut command = self.configured(&["serve", "--json", "--role", role.name()]);
        command.args(more);
        command.env("TALLY_LOG", "info");
        if let Some(start) = self.test_clock {
            command.args(["--test-clock", &start.to_string()]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.expect("a file for what it says"))
            .spawn()
            .expect("the binary runs");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, ready) = oneshot::channel();
        std::thread::spawn(move || {
            let mut lines = stdout.lines().map_while(Result::ok);
            if lines.next().is_some() {
                // The test may have given up on it.
                let _ = sender.send(());
            }
            lines.for_each(drop);
        });
        (child, ready)
    }

    /// A role's process.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn pid(&self, role: Role) -> u32 {
        self.children[role as usize].as_ref().expect("it runs").id()
    }

    /// SIGKILL, and waits until it is dead.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn kill(&mut self, role: Role) {
        let mut child = self.children[role as usize].take().expect("it runs");
        child.kill().expect("it is killed");
        child.wait().expect("it is dead");
    }

    /// Takes away all that a role keeps in Postgres, as if its disk had burned.
    ///
    /// # Panics
    ///
    /// If the database does not answer.
    pub async fn lose_store(&self, role: Role) {
        let schema = format!("{}_{role}", prefix(&self.dir));
        drop_schemas([schema]).await.expect("the database answers");
    }

    /// Starts a role that was killed, and waits until it serves.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub async fn revive(&mut self, role: Role) {
        let ready = self.spawn(role);
        self.wait(role, ready).await;
    }

    async fn wait(&self, role: Role, ready: oneshot::Receiver<()>) {
        let ready = tokio::time::timeout(READY_WAIT, ready).await;
        if !matches!(ready, Ok(Ok(()))) {
            panic!("{role} does not serve; it said:\n{}", self.said(role));
        }
    }

    /// The settings of every process, `key=value`.
    pub fn settings(&self) -> &[String] {
        &self.settings
    }

    /// A command line of the binary on the mesh's directory.
    pub fn tally(&self, arguments: &[&str]) -> Command {
        command(&self.dir, arguments)
    }

    /// The same of a command that takes the configuration of the mesh.
    pub fn configured(&self, arguments: &[&str]) -> Command {
        let mut command = self.tally(arguments);
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        command
    }

    /// Ends all with SIGTERM, and waits for them.
    ///
    /// # Panics
    ///
    /// If one does not end in order.
    pub fn stop(mut self) {
        let children = self
            .children
            .iter_mut()
            .map(|child| child.take().expect("it runs"));
        let mut children: Vec<(Role, Child)> = Role::ALL.into_iter().zip(children).collect();
        let replicas = std::mem::take(&mut self.replicas).into_iter();
        children.extend(replicas.map(|(_, role, child)| (role, child)));
        for (_, child) in &children {
            signal(child, "TERM");
        }
        for (role, mut child) in children {
            let status = child.wait().expect("it ends");
            assert!(status.success(), "{role}: {status}\n{}", self.said(role));
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let replicas = self.replicas.iter_mut().map(|(.., child)| child);
        for child in self.children.iter_mut().flatten().chain(replicas) {
            // It may be dead already.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for role in Role::ALL {
                eprintln!("{role} said:\n{}", self.said(role));
            }
        }
    }
}

fn at(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(child.id().to_string())
        .status();
    assert!(sent.expect("kill runs").success(), "SIG{name} is sent");
}

/// What the names of topics and schemas begin with: the same for every mesh of a directory, which goes on with its topics and schemas.
pub fn prefix(dir: &Path) -> String {
    let name = dir.file_name().expect("a temporary directory has a name");
    let name = name.to_string_lossy().to_ascii_lowercase();
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("t_{plain}")
}

/// A service that tests need.
///
/// # Panics
///
/// If the environment names none.
pub fn service(variable: &str) -> String {
    let value = std::env::var(variable);
    value.unwrap_or_else(|_| {
        panic!("{variable} is not set: start the services with `make services`")
    })
}

/// Settings of which these take the place of their like.
fn replaced(mut settings: Vec<String>, by: &[&str]) -> Vec<String> {
    let key = |setting: &str| setting.split('=').next().map(str::to_owned);
    settings.retain(|setting| by.iter().all(|other| key(other) != key(setting)));
    settings.extend(by.iter().map(|other| (*other).to_owned()));
    settings
}

fn settings(prefix: &str, first_port: u16) -> Vec<String> {
    let (database, brokers) = (service("DATABASE_URL"), service("KAFKA_BROKERS"));
    let mut settings = vec![
        "shards=4".to_owned(),
        // Whoever dies in a test is not to be waited for long.
        format!("store.lease={}", LEASE_TERM.as_secs()),
        format!("store.url={database}"),
        format!("store.schema={prefix}"),
        format!("keyring.url={database}"),
        format!("keyring.schema={prefix}_keyring"),
        format!("kafka.brokers={brokers}"),
        format!("kafka.prefix={prefix}"),
        "publish.feedback=true".to_owned(),
        "publish.list_changes=true".to_owned(),
        format!("publish.registrations_to={RESOURCES}"),
        "kafka.replication=1".to_owned(),
        "kafka.min_insync=1".to_owned(),
    ];
    settings.extend(Role::ALL.map(|role| format!("mesh.{role}={}", at(first_port + role as u16))));
    settings
}

/// Takes away what the mesh of a directory leaves in the services: they may
/// outlive many of them.
pub fn clean(dir: &Path) {
    let prefix = prefix(dir);
    // Dropped within a runtime, where none other can be waited for.
    let cleaned = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let of_roles = Role::ALL.map(|role| format!("{prefix}_{role}"));
            drop_schemas(of_roles.into_iter().chain([format!("{prefix}_keyring")])).await?;
            delete_topics(&prefix).await
        })
    });
    if let Ok(Err(error)) = cleaned.join() {
        eprintln!("not cleaned up: {error}");
    }
}

async fn drop_schemas(schemas: impl IntoIterator<Item = String>) -> Result<(), BoxError> {
    let mut database = PgConnection::connect(&service("DATABASE_URL")).await?;
    for schema in schemas {
        let drop = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
        sqlx::query(AssertSqlSafe(drop))
            .execute(&mut database)
            .await?;
    }
    Ok(database.close().await?)
}

/// Deletes all topics of a mesh; with the name of a log after the prefix, that log's.
///
/// # Errors
///
/// The cluster does not answer.
pub async fn delete_topics(prefix: &str) -> Result<(), BoxError> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", service("KAFKA_BROKERS"));
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let wait = Some(Duration::from_secs(10));
    let found = admin
        .inner()
        .fetch_metadata(None, Duration::from_secs(10))?;
    let ours = format!("{prefix}.");
    let names = found.topics().iter().map(|topic| topic.name());
    let names: Vec<&str> = names.filter(|name| name.starts_with(&ours)).collect();
    if !names.is_empty() {
        admin
            .delete_topics(&names, &AdminOptions::new().operation_timeout(wait))
            .await?;
    }
    Ok(())
}

/// A command line of the binary on a directory.
pub fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    // What the developer has set must not change what is tested.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TALLY_")) {
        command.env_remove(name);
    }
    command.env("TALLY_DIR", dir).args(arguments);
    command
}

/// The binary, as this crate builds it: cargo brings it up to date for these
/// tests, as it does not do with the one of another package.
fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    // target/PROFILE/deps/test-hash
    let profile = test
        .ancestors()
        .nth(2)
        .expect("it lies in the target directory");
    profile.join("tally-of-tests")
}

/// The first port of a free block, and what holds it.
fn free_ports() -> (u16, File) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let claims = std::env::temp_dir().join("tally-test-ports");
    std::fs::create_dir_all(&claims).expect("a directory for claims");
    let start = u16::try_from(std::process::id() % u32::from(BLOCKS)).expect("in range");
    for _ in 0..BLOCKS {
        let block = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % BLOCKS;
        let claim = File::create(claims.join(block.to_string())).expect("a claim");
        let first = FIRST_PORT + block * BLOCK;
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if claim.try_lock().is_ok() && (first..first + BLOCK).all(free) {
            return (first, claim);
        }
    }
    panic!("no free ports");
}
