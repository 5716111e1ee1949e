//! `tally backup`, `tally restore`, `tally export` and `tally import-log`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use tally_bus_kafka::KafkaOptions;
use tally_eventlog::archive::{ArchiveError, hex};

use super::Global;
use super::output::{Failure, line};
use super::serve::{ConfigArgs, peers, storage};
use crate::archives::{self, Account, ArchiveSet, ArchivesError, Loading, Stores};
use crate::data_dir::DataDir;
use crate::mesh::Storage;
use crate::role::Role;

/// Arguments of `tally backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// Directory for the archives: one that is not there, or empty.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Only this role; may be given several times. Without it, all.
    #[arg(long, value_name = "ROLE")]
    role: Vec<Role>,
    /// The key ring too. Its rows are wrapped by the master key, which is never archived.
    #[arg(long)]
    keys: bool,
    /// The key ring, and no role.
    #[arg(long, conflicts_with_all = ["role", "keys"])]
    only_keys: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Backup {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let stores = stores(global, &self.config)?;
        let (roles, keys) = match self.only_keys {
            true => (Vec::new(), true),
            false => (chosen(&self.role), self.keys),
        };
        let made = archives::backup(&stores, &roles, keys, &self.to).await;
        tell_all(global.json, &made.map_err(failure)?);
        tell_keys(global.json, keys);
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `tally export`.
#[derive(Debug, Args)]
pub struct Export {
    /// Directory for the archives: one that is not there, or empty.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

impl Export {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let stores = Stores {
            dir: DataDir::new(global.dir()),
            storages: Role::ALL.map(|_| Storage::default()),
        };
        let made = archives::export(&stores, &self.to).await;
        tell_all(global.json, &made.map_err(failure)?);
        tell_keys(global.json, true);
        if !global.json {
            line(&format!(
                "{} takes nothing any more; go on with `tally import-log --from {}` where the roles are to be",
                stores.dir.path().display(),
                self.to.display()
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `tally import-log`.
#[derive(Debug, Args)]
pub struct ImportLog {
    /// Directory that `tally export` wrote.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
}

impl ImportLog {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let set = ArchiveSet::open(&self.from).map_err(|error| failure(error.into()))?;
        let stores = stores(global, &self.config)?;
        let loaded = archives::import(&stores, &set).await;
        Ok(tell_loaded(global.json, &loaded.map_err(failure)?))
    }
}

/// Arguments of `tally restore`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["role", "all", "keys"])))]
pub struct Restore {
    /// Directory that `tally backup` wrote.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// This role; may be given several times.
    #[arg(long, value_name = "ROLE", conflicts_with = "all")]
    role: Vec<Role>,
    /// All roles that the backup has.
    #[arg(long)]
    all: bool,
    /// The key ring.
    #[arg(long)]
    keys: bool,
    /// Takes nothing back from the topics. What they have after the backup is then lost: delete the topics of these roles' logs before the roles start.
    #[arg(long)]
    without_topics: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Restore {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let set = ArchiveSet::open(&self.from).map_err(|error| failure(error.into()))?;
        let stores = stores(global, &self.config)?;
        let roles = match self.all {
            true => set.roles(),
            false => self.role.clone(),
        };
        let kafka = self.kafka(global)?;
        let loaded = archives::restore(&stores, &set, &roles, self.keys, kafka.as_ref()).await;
        Ok(tell_loaded(global.json, &loaded.map_err(failure)?))
    }
}

impl Restore {
    /// Where the topics are that have more than the backup.
    fn kafka(&self, global: &Global) -> Result<Option<KafkaOptions>, Failure> {
        if self.without_topics || DataDir::new(global.dir()).is_embedded() {
            return Ok(None);
        }
        let config = self.config.load(global, None)?;
        Ok(Some(peers(&config).kafka))
    }
}

fn chosen(roles: &[Role]) -> Vec<Role> {
    let wanted = |role: &Role| roles.is_empty() || roles.contains(role);
    Role::ALL.into_iter().filter(wanted).collect()
}

fn stores(global: &Global, config: &ConfigArgs) -> Result<Stores, Failure> {
    let dir = DataDir::new(global.dir());
    // All roles in one store are always in this directory, whatever is configured.
    let storages = match dir.is_embedded() {
        true => Role::ALL.map(|_| Storage::default()),
        false => {
            let config = config.load(global, None)?;
            Role::ALL.map(|role| storage(role, &config))
        }
    };
    Ok(Stores { dir, storages })
}

fn failure(error: ArchivesError) -> Failure {
    match error {
        ArchivesError::Archive(ArchiveError::Faults { what, faults }) => {
            let fault = |fault: String| (String::new(), fault);
            Failure::faults(what, faults.into_iter().map(fault))
        }
        error @ ArchivesError::Occupied { .. } => Failure::usage(error),
        error => Failure::environment(error),
    }
}

fn name(account: &Account) -> &'static str {
    account.role.map_or("key ring", Role::name)
}

fn tell_all(json: bool, accounts: &[Account]) {
    for account in accounts {
        match json {
            true => line(&value(account).to_string()),
            false => tell(account, ""),
        }
    }
}

/// Of a log there are its shards, its records, and a hash over the Merkle roots of all
/// shards, which is the same wherever the log is.
fn tell(account: &Account, ending: &str) {
    for (log, content) in &account.logs {
        line(&format!(
            "{:<12} log {log}: {} shards, {} records, roots {}{ending}",
            name(account),
            content.shards.len(),
            content.records(),
            hex(&content.roots())
        ));
    }
    let counts: Vec<String> = account
        .counts
        .iter()
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    line(&format!(
        "{:<12} {}{ending}",
        name(account),
        counts.join(", ")
    ));
}

fn value(account: &Account) -> Value {
    let log = |(name, content): &(tally_eventlog::shard::LogName, archives::LogContent)| {
        json!({
            "log": name.0,
            "log_id": content.id.to_string(),
            "shards": content.shards.len(),
            "records": content.records(),
            "roots": hex(&content.roots()),
        })
    };
    let counts: serde_json::Map<String, Value> = account
        .counts
        .iter()
        .map(|(what, count)| (what.replace(' ', "_"), json!(count)))
        .collect();
    json!({
        "of": name(account),
        "logs": account.logs.iter().map(log).collect::<Vec<_>>(),
        "counts": counts,
    })
}

fn tell_keys(json: bool, archived: bool) {
    if json {
        return;
    }
    line(match archived {
        true => {
            "the key ring's rows are wrapped by the master key, which is not archived: keep master.key, and keep \
             it elsewhere"
        }
        false => "the key ring is not in it: it has a backup of its own, by --only-keys or --keys",
    });
}

fn tell_loaded(json: bool, loaded: &[Loading]) -> ExitCode {
    let mut holds = true;
    for Loading {
        account,
        recovered,
        before,
        differences,
    } in loaded
    {
        holds &= differences.is_empty();
        if json {
            let mut value = value(account);
            value["recovered"] = json!(recovered);
            value["loaded_before"] = json!(before);
            value["differences"] = json!(differences);
            line(&value.to_string());
            continue;
        }
        let ending = match (differences.is_empty(), before) {
            (false, _) => "",
            (true, true) => "; the same as in the archive, loaded before",
            (true, false) => "; the same as in the archive",
        };
        tell(account, ending);
        if *recovered > 0 {
            line(&format!(
                "{:<12} {recovered} of these records are of after the backup, from the topics",
                name(account)
            ));
        }
        for difference in differences {
            line(&format!(
                "{:<12} differs from the archive: {difference}",
                name(account)
            ));
        }
    }
    ExitCode::from(u8::from(!holds))
}
