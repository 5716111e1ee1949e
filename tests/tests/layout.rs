//! Who may import whom (DESIGN.md, Layout), read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const SERVICES: [&str; 6] = [
    "tally-catalog",
    "tally-collection",
    "tally-lists",
    "tally-sanctions",
    "tally-feedback",
    "tally-audit",
];

/// What services may import of the workspace.
const SERVICE_IMPORTS: [&str; 7] = [
    "tally-domain",
    "tally-eventlog",
    "tally-proto",
    "tally-rpc",
    "tally-auth",
    "tally-telemetry",
    "tally-service",
];

/// Libraries that do input or output.
const IO: [&str; 12] = [
    "tokio",
    "sqlx",
    "rdkafka",
    "tonic",
    "hyper",
    "axum",
    "reqwest",
    "tower",
    "async-std",
    "rusqlite",
    "mio",
    "socket2",
];

struct Workspace {
    /// Normal dependencies by package.
    dependencies: BTreeMap<String, BTreeSet<String>>,
}

impl Workspace {
    fn read() -> Self {
        let output = Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--format-version",
                "1",
                "--no-deps",
                "--offline",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
        let dependencies = metadata["packages"]
            .as_array()
            .expect("packages")
            .iter()
            .map(|package| {
                let name = package["name"].as_str().expect("a name").to_owned();
                let dependencies = package["dependencies"]
                    .as_array()
                    .expect("dependencies")
                    .iter()
                    .filter(|dependency| dependency["kind"].is_null())
                    .map(|dependency| dependency["name"].as_str().expect("a name").to_owned())
                    .collect();
                (name, dependencies)
            })
            .collect();
        Self { dependencies }
    }

    fn of(&self, package: &str) -> &BTreeSet<String> {
        self.dependencies
            .get(package)
            .unwrap_or_else(|| panic!("{package} is not in the workspace"))
    }

    fn internal(&self, package: &str) -> BTreeSet<&str> {
        self.of(package)
            .iter()
            .map(String::as_str)
            .filter(|name| self.dependencies.contains_key(*name))
            .collect()
    }
}

fn is_adapter(package: &str) -> bool {
    package.starts_with("tally-store-") || package.starts_with("tally-bus-")
}

#[test]
fn the_domain_does_no_input_or_output() {
    let workspace = Workspace::read();
    for io in IO {
        assert!(
            !workspace.of("tally-domain").contains(io),
            "domain imports {io}"
        );
    }
    assert!(workspace.internal("tally-domain").is_empty());
}

#[test]
fn the_event_log_knows_no_store_and_no_transport() {
    let workspace = Workspace::read();
    for forbidden in ["sqlx", "rdkafka", "tonic"] {
        assert!(
            !workspace.of("tally-eventlog").contains(forbidden),
            "eventlog imports {forbidden}"
        );
    }
    assert_eq!(
        workspace.internal("tally-eventlog"),
        BTreeSet::from(["tally-domain", "tally-proto"])
    );
}

#[test]
fn adapters_import_the_event_log_and_no_service() {
    let workspace = Workspace::read();
    let allowed = BTreeSet::from(["tally-eventlog", "tally-domain", "tally-proto"]);
    let names = workspace.dependencies.keys();
    let adapters = names.filter(|name| is_adapter(name)).collect::<Vec<_>>();
    assert!(adapters.len() >= 3, "{adapters:?}");
    for adapter in adapters {
        let imported = workspace.internal(adapter);
        assert!(
            imported.is_subset(&allowed),
            "{adapter} imports {imported:?}"
        );
    }
}

#[test]
fn tables_are_read_without_the_mesh() {
    let workspace = Workspace::read();
    assert_eq!(
        workspace.internal("tally-exchange"),
        BTreeSet::from(["tally-domain"])
    );
}

#[test]
fn services_import_neither_adapters_nor_each_other() {
    let workspace = Workspace::read();
    let allowed = BTreeSet::from(SERVICE_IMPORTS);
    for service in SERVICES.into_iter().chain(["tally-service"]) {
        let imported = workspace.internal(service);
        assert!(
            imported.is_subset(&allowed),
            "{service} imports {imported:?}"
        );
        for forbidden in ["sqlx", "rdkafka"] {
            assert!(
                !workspace.of(service).contains(forbidden),
                "{service} imports {forbidden}"
            );
        }
    }
}

#[test]
fn only_the_binary_names_adapters() {
    let workspace = Workspace::read();
    for (package, dependencies) in &workspace.dependencies {
        let names_one = dependencies.iter().any(|name| is_adapter(name));
        let may = ["tally", "tally-tests"].contains(&package.as_str());
        assert!(may || !names_one, "{package} names an adapter");
    }
}

#[test]
fn generated_code_stands_alone() {
    assert!(Workspace::read().internal("tally-proto").is_empty());
}
