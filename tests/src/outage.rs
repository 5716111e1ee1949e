//! Faults of the services that a mesh stands on, and the log of them.
//!
//! They strike everybody, and only services that this checkout started.

use std::fs::File;
use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard};

use crate::load::Load;

/// Acknowledged commands between two faults.
const BETWEEN: u64 = 60;

/// One test at a time: faults of the services strike everybody.
pub async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// How long a service is away in a test: the environment says, in seconds, as
/// `TALLY_OUTAGE_SECONDS`; briefly where it does not.
///
/// # Panics
///
/// If that is no number.
pub fn outage() -> Duration {
    let seconds = std::env::var("TALLY_OUTAGE_SECONDS").unwrap_or_else(|_| "15".to_owned());
    Duration::from_secs(seconds.parse().expect("TALLY_OUTAGE_SECONDS is a number"))
}

/// Does something to the services.
///
/// # Panics
///
/// If it fails.
pub async fn services(what: &'static str) {
    let done = tokio::task::spawn_blocking(move || script(what)).await;
    let done = done.expect("no panic");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "services.sh {what}: {said}");
}

fn script(what: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services.sh");
    let mut command = Command::new(script);
    // Whoever set them in general runs the services himself.
    command
        .arg(what)
        .env_remove("DATABASE_URL")
        .env_remove("KAFKA_BROKERS");
    command.output().expect("the script runs")
}

/// A service that is away. It comes back also when the test fails.
pub struct Away {
    back: Option<&'static str>,
}

impl Away {
    /// Takes it away; `back` brings it back.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub async fn by(what: &'static str, back: &'static str) -> Self {
        services(what).await;
        Self { back: Some(back) }
    }

    /// Brings it back.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub async fn ends(mut self) {
        services(self.back.take().expect("it is away")).await;
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        if let Some(back) = self.back {
            script(back);
        }
    }
}

/// What struck when, and what came of it: on standard output, and at the end of the
/// file that `TALLY_FAULT_LOG` names.
pub struct FaultLog {
    began: Instant,
    file: Option<File>,
}

impl FaultLog {
    /// Of one test.
    ///
    /// # Panics
    ///
    /// If its file cannot be opened.
    pub fn of(test: &str) -> Self {
        let file = std::env::var_os("TALLY_FAULT_LOG").map(|path| {
            let parent = Path::new(&path).parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(parent).expect("its directory can be made");
            let opened = File::options().create(true).append(true).open(path);
            opened.expect("the file of TALLY_FAULT_LOG opens")
        });
        let mut log = Self {
            began: Instant::now(),
            file,
        };
        log.write(test);
        log
    }

    /// Strikes while commands are under way, and waits until they go on.
    ///
    /// # Panics
    ///
    /// If no command was under way, or they do not go on.
    pub async fn strike<T>(
        &mut self,
        load: &Load,
        what: &str,
        fault: impl Future<Output = T>,
    ) -> T {
        load.goes_on_by(BETWEEN).await;
        let (in_flight, failed) = load.under_way();
        assert!(in_flight > 0, "{what} strikes while commands are in flight");
        load.slowest();
        let (struck, before) = (Instant::now(), load.acknowledged());
        let came_of_it = fault.await;
        let (lasted, meanwhile) = (struck.elapsed(), load.acknowledged() - before);
        load.goes_on_by(BETWEEN).await;
        let recovered = struck.elapsed() - lasted;
        let (_, failed_after) = load.under_way();
        self.write(&format!(
            "{what} for {:.1} s: {in_flight} commands in flight, {meanwhile} acknowledged meanwhile, \
             {} attempts failed, the slowest took {:.1} s, {BETWEEN} more acknowledged {:.1} s after it",
            lasted.as_secs_f64(),
            failed_after - failed,
            load.slowest().as_secs_f64(),
            recovered.as_secs_f64(),
        ));
        came_of_it
    }

    /// Adds a line.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&mut self, text: &str) {
        let line = format!(
            "fault log: {:7.1} s  {text}",
            self.began.elapsed().as_secs_f64()
        );
        println!("{line}");
        if let Some(file) = &mut self.file {
            writeln!(file, "{line}").expect("the fault log can be written");
        }
    }
}
