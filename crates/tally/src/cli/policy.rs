//! `tally policy`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Subcommand;
use tally_catalog::pack::{BuiltIn, LocatedFault, load_dir};
use tally_domain::department::DepartmentId;
use tally_domain::policy::{ItemKind, Pack};
use tally_proto::tally::catalog::v1 as pb;
use tally_proto::tally::catalog::v1::get_policy_pack_response::Part;
use tally_proto::tally::node::v1::GetStatusRequest;

use super::Global;
use super::output::{Failure, line};
use crate::client::Client;
use crate::pack_client::{active_pack, load_pack};
use crate::role::Role;

/// How long processes are waited for that do not follow a new pack yet.
const FOLLOWED_WAIT: Duration = Duration::from_secs(10);

/// Pause between two looks at them.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Policy packs.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Reads a pack and names every fault with its file and line. Needs no mesh.
    Check {
        /// Directory of the pack's TOML files.
        pack: PathBuf,
    },
    /// Says in words what a pack would change, and for whom.
    Diff {
        /// Directory of the new pack's TOML files.
        pack: PathBuf,
        /// Directory of the pack it is held against; without it, the active pack of the mesh.
        #[arg(long)]
        from: Option<PathBuf>,
        /// Only what concerns this department, by its code.
        #[arg(long)]
        department: Option<DepartmentId>,
    },
    /// Loads a pack into the mesh and makes it the active one.
    Load {
        /// Directory of the pack's TOML files; without it, a pack that comes with tally.
        pack: Option<PathBuf>,
        /// Which of the packs that come with tally.
        #[arg(long, value_enum, default_value = "small", conflicts_with = "pack")]
        built_in: BuiltInName,
    },
    /// Writes a pack that comes with tally into a directory, to start one's own from.
    New {
        /// The directory, which must not exist.
        #[arg(value_name = "DIR")]
        target: PathBuf,
        /// Which of them.
        #[arg(long, value_enum, default_value = "small")]
        built_in: BuiltInName,
    },
    /// Shows the active pack, item by item.
    Show {
        /// Only items of this kind.
        #[arg(long, value_parser = ItemKind::ITEMS.map(ItemKind::as_str))]
        kind: Option<String>,
    },
}

/// A pack that comes with tally.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum BuiltInName {
    /// Three departments and two lists.
    Small,
    /// A whole fictional province.
    Province,
}

impl BuiltInName {
    fn pack(self) -> BuiltIn {
        match self {
            Self::Small => BuiltIn::Small,
            Self::Province => BuiltIn::Province,
        }
    }
}

impl Policy {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        match self {
            Self::Check { pack } => {
                let pack = read(load_dir(pack))?;
                report(global.json, &pack, pack.items().len());
            }
            Self::Diff {
                pack,
                from,
                department,
            } => diff(global, pack, from.as_deref(), department.as_ref()).await?,
            Self::New { target, built_in } => {
                write_new(target, built_in.pack())?;
                let written = target.display();
                line(&if global.json {
                    serde_json::json!({"pack": written.to_string()}).to_string()
                } else {
                    format!(
                        "wrote {written}; edit it, give pack.toml another version, then `tally policy check {written}`"
                    )
                });
            }
            Self::Load { pack, built_in } => {
                let loaded = match pack {
                    Some(dir) => load_dir(dir),
                    None => built_in.pack().load(),
                };
                let pack = read(loaded)?;
                let client = global.client().await?;
                let items = load_pack(&client, &pack).await?;
                report(global.json, &pack, items as usize);
                // A version that was loaded before stays where it is in the history.
                let active = version_of(&client, Role::Catalog).await?;
                if !global.json && active != pack.meta.version {
                    line(&format!(
                        "version {} was loaded before, and {active} stays the active one; to go back, \
                         load the old content under a new version",
                        pack.meta.version
                    ));
                }
                let behind = not_following(&client, &active).await;
                if !behind.is_empty() {
                    let roles: Vec<&str> = behind.iter().map(|role| role.name()).collect();
                    eprintln!(
                        "not followed yet by {}: `tally status` shows when it is",
                        roles.join(", ")
                    );
                }
            }
            Self::Show { kind } => show(global, kind.as_deref()).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn read(loaded: Result<Pack, Vec<LocatedFault>>) -> Result<Pack, Failure> {
    loaded.map_err(|faults| {
        let message = match faults.len() {
            1 => "the pack has a fault".to_owned(),
            count => format!("the pack has {count} faults"),
        };
        let place =
            |fault: &LocatedFault| format!("{}:{}:{}", fault.file, fault.line, fault.column);
        Failure::faults(
            message,
            faults
                .into_iter()
                .map(|fault| (place(&fault), fault.message)),
        )
    })
}

fn report(json: bool, pack: &Pack, items: usize) {
    let digest: String = pack
        .digest()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if json {
        line(&serde_json::json!({"pack": pack.meta.id, "version": pack.meta.version, "items": items, "digest": digest}).to_string());
    } else {
        line(&format!(
            "pack {} {}: {items} items, digest {digest}",
            pack.meta.id, pack.meta.version
        ));
    }
}

/// Writes the files of a pack; all of them or, where one fails, says which.
fn write_new(dir: &Path, pack: BuiltIn) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::usage(format!("{} cannot be written: {error}", path.display()))
    };
    std::fs::create_dir(dir).map_err(|error| failed(dir, error))?;
    for (name, text) in pack.files() {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

async fn diff(
    global: &Global,
    pack: &Path,
    from: Option<&Path>,
    department: Option<&DepartmentId>,
) -> Result<(), Failure> {
    let new = read(load_dir(pack))?;
    let old = match from {
        Some(dir) => read(load_dir(dir))?,
        None => active_pack(&global.client().await?).await?,
    };
    let mut changes = old.diff(&new);
    if let Some(department) = department {
        changes.retain(|change| change.departments.contains(department));
    }
    // What a mesh would refuse is said before what it would change.
    let refused = from.is_none() && is_taken(&old, &new);
    if refused && global.json {
        line(&serde_json::json!({"kind": ItemKind::Pack, "id": new.meta.id, "version": 1, "change": "refused", "reason": VERSION_EXISTS, "words": [taken(&new)], "departments": []}).to_string());
    } else if refused {
        line(&format!("{} ({VERSION_EXISTS})", taken(&new)));
    }
    if global.json {
        for change in changes {
            let departments: Vec<_> = change
                .departments
                .iter()
                .map(DepartmentId::as_str)
                .collect();
            let (item, kind) = (&change.item, change.kind.as_str());
            line(&serde_json::json!({"kind": item.kind, "id": item.id, "version": item.version, "change": kind, "words": change.words, "departments": departments}).to_string());
        }
        return Ok(());
    }
    if changes.is_empty() {
        line("nothing changes");
    }
    let name = |id: &DepartmentId| match new.department(id) {
        Some(_) => new.department_name(id),
        None => old.department_name(id),
    };
    for change in changes {
        line(&change.to_string());
        let everyone = new
            .departments
            .keys()
            .all(|id| change.departments.contains(id));
        let concerned: Vec<_> = change.departments.iter().map(name).collect();
        let whom = match concerned.len() {
            0 => "nobody".to_owned(),
            _ if everyone => "every department".to_owned(),
            _ => concerned.join(", "),
        };
        line(&format!("  concerns {whom}"));
    }
    Ok(())
}

/// The reason for which the mesh refuses a pack whose version it has.
const VERSION_EXISTS: &str = "PACK_VERSION_EXISTS";

/// True if the mesh would refuse the new pack, because its version is the active one's.
fn is_taken(active: &Pack, new: &Pack) -> bool {
    active.meta.version == new.meta.version && active.digest() != new.digest()
}

fn taken(new: &Pack) -> String {
    format!(
        "the mesh has version {} with other content, and would refuse this pack: give it another `version` in pack.toml",
        new.meta.version
    )
}

async fn version_of(client: &Client, role: Role) -> Result<String, Failure> {
    let status = client.node(role).get_status(GetStatusRequest {}).await?;
    Ok(status.into_inner().pack_version)
}

/// Waits until every process follows this version, so that what comes next is not
/// refused for want of it; those that do not in time, or are away.
async fn not_following(client: &Client, version: &str) -> Vec<Role> {
    let began = Instant::now();
    let mut behind = client.processes().to_vec();
    let mut away = Vec::new();
    while !behind.is_empty() && began.elapsed() < FOLLOWED_WAIT {
        let mut still = Vec::new();
        for role in behind {
            match version_of(client, role).await {
                Ok(of_role) if of_role == version => {}
                Ok(_) => still.push(role),
                Err(_) => away.push(role),
            }
        }
        behind = still;
        if !behind.is_empty() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    behind.extend(away);
    behind
}

async fn show(global: &Global, kind: Option<&str>) -> Result<(), Failure> {
    let client = global.client().await?;
    let mut parts = client
        .catalog()
        .get_policy_pack(pb::GetPolicyPackRequest {})
        .await?
        .into_inner();
    while let Some(message) = parts.message().await? {
        match message.part {
            Some(Part::Meta(meta)) if !global.json => {
                line(&format!(
                    "pack {} {} ({})",
                    meta.id, meta.version, meta.time_zone
                ));
            }
            Some(Part::Item(item)) if kind.is_none_or(|kind| kind == item.kind) => {
                if global.json {
                    line(&item.body);
                } else {
                    line(&format!("{} {} {}", item.kind, item.id, item.body));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
