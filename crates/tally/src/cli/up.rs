//! `tally up` and `tally demo`.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use tally_eventlog::shard::ShardCount;
use tally_rpc::ServeLimits;
use tokio::signal::unix::{SignalKind, signal};

use super::Global;
use super::output::{Failure, line};
use crate::client::Client;
use crate::data_dir::{DataDir, OPERATOR};
use crate::demo;
use crate::mesh::{Mesh, MeshOptions};
use crate::pack_client::load_pack;

/// Arguments of `tally up`.
#[derive(Debug, Args)]
pub struct Up {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7443")]
    listen: SocketAddr,
    /// Creates the store with a clock that starts at this time and can be moved; an existing store
    /// keeps the clock it has. For tests only.
    #[arg(long, value_name = "TIME")]
    test_clock: Option<jiff::Timestamp>,
    /// Shards of a new store, 1 to 1024; an existing one keeps its own.
    #[arg(long, default_value_t = ShardCount::default().get())]
    shards: u16,
    /// Leaves a new store without the small policy pack that comes with tally.
    #[arg(long)]
    no_policy: bool,
}

impl Up {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let shards = ShardCount::new(self.shards)
            .map_err(|count| Failure::usage(format!("{count} shards; choose 1 to 1024")))?;
        let stop = stop_signals().map_err(Failure::environment)?;
        let options = MeshOptions {
            listen: self.listen,
            test_clock: self.test_clock,
            shards,
            ..MeshOptions::in_dir(DataDir::new(global.dir()))
        };
        let had_store = options.dir.store(None).exists();
        let mesh = Mesh::start(options).await.map_err(Failure::environment)?;
        // A supervisor starts it again by the same line, which must not fail.
        let unused_clock = self.test_clock.filter(|_| had_store);
        if !self.no_policy && mesh.catalogue.try_active().is_none() {
            load_small_pack(global).await?;
        }
        announce(global.json, &mesh, &global.dir(), unused_clock);
        serve_until_stopped(global, mesh, stop).await
    }
}

/// Serves until a signal, or until serving fails; then stops in order.
pub(super) async fn serve_until_stopped(
    global: &Global,
    mut mesh: Mesh,
    mut stop: StopSignals,
) -> Result<ExitCode, Failure> {
    tokio::select! {
        () = stop.received() => {}
        ended = mesh.serving() => {
            let reason = ended.err().map_or_else(|| "ended".to_owned(), |error| error.to_string());
            return Err(Failure::environment(format!("serving ended: {reason}")));
        }
    }
    if !global.json {
        let seconds = ServeLimits::default().drain.as_secs();
        line(&format!(
            "stopping; calls that are open have {seconds} seconds to end, unless you stop it once more"
        ));
    }
    tokio::select! {
        stopped = mesh.stop() => stopped.map_err(Failure::environment)?,
        // Nothing acknowledged is lost: whatever was, is on disk.
        () = stop.received() => return Err(Failure::environment("stopped with calls open")),
    }
    if !global.json {
        line("stopped");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn announce(
    json: bool,
    mesh: &Mesh,
    dir: &std::path::Path,
    unused_clock: Option<jiff::Timestamp>,
) {
    let milliseconds = mesh.started_in.as_millis();
    let endpoint = format!("https://{}", mesh.address);
    if json {
        let mut ready = serde_json::json!({
            "serving": endpoint,
            "started_in_ms": u64::try_from(milliseconds).unwrap_or(u64::MAX),
            "pid": std::process::id(),
        });
        if let Some(unused) = unused_clock {
            ready["test_clock_unused"] = unused.to_string().into();
            ready["now"] = mesh.clock.now().to_string().into();
        }
        line(&ready.to_string());
    } else {
        line(&format!(
            "serving on {endpoint}, data in {}, after {milliseconds} ms",
            dir.display()
        ));
        if let Some(unused) = unused_clock {
            line(&format!(
                "the store has a clock already, which says {}: --test-clock {unused} is for a new store only; \
                 move this one with `tally clock TIME`",
                mesh.clock.now()
            ));
        }
        line("stop with Ctrl-C; certificates: `tally cert issue --help`");
    }
}

/// The operator loads the pack that comes with the binary, by the same call
/// as any other.
async fn load_small_pack(global: &Global) -> Result<(), Failure> {
    let pack =
        tally_catalog::pack::embedded().expect("a test holds that the embedded pack is consistent");
    let client = Client::of_dir(&global.dir(), OPERATOR).await?;
    load_pack(&client, &pack).await?;
    Ok(())
}

pub(super) struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    pub(super) async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

pub(super) fn stop_signals() -> std::io::Result<StopSignals> {
    Ok(StopSignals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    })
}

/// Arguments of `tally demo`. With `--dir`, the data is kept there, in a new directory.
#[derive(Debug, Args)]
pub struct Demo {
    /// Seed of the data.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Records to push.
    #[arg(long, default_value_t = 20_000)]
    records: u32,
    /// Organisations that they are about.
    #[arg(long, default_value_t = 2_000)]
    organisations: u32,
}

impl Demo {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let options = demo::DemoOptions {
            // Only where it was asked for: the demo makes a directory of its own.
            dir: global.dir.clone(),
            seed: self.seed,
            json: global.json,
            lang: global.lang,
            records: self.records,
            organisations: self.organisations,
        };
        let mut stop = stop_signals().map_err(Failure::environment)?;
        let summary = tokio::select! {
            summary = demo::run(options) => summary.map_err(Failure::environment)?,
            // Leaving this way drops the temporary directory.
            () = stop.received() => return Err(Failure::environment("the demo was interrupted")),
        };
        Ok(if summary.held() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        })
    }
}
