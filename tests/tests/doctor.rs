//! `tally doctor` on a mesh with a process for each role: what is well, and what is not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tally::role::Role;
use tally_auth::Identity;
use tally_auth::pki::{Authority, LEAF_LIFETIME, Term};
use tally_eventlog::sealing::MasterKey;
use tally_tests::patience::PATIENCE;
use tally_tests::processes::{Processes, clean, delete_topics, prefix};
use tempfile::TempDir;

/// What the doctor said.
struct Report {
    code: Option<i32>,
    findings: Vec<Value>,
}

impl Report {
    fn of(&self, what: &str) -> &Value {
        let found = self.findings.iter().find(|one| one["what"] == what);
        found.unwrap_or_else(|| panic!("nothing of {what}: {:#?}", self.findings))
    }

    /// Everything that is not well, by level.
    fn at(&self, level: &str) -> Vec<&str> {
        let at = self.findings.iter().filter(|one| one["level"] == level);
        at.map(|one| one["what"].as_str().expect("a text"))
            .collect()
    }

    /// Exactly this is at fault, and what is said of it has these words.
    fn only_fault(&self, what: &str, words: &[&str]) {
        assert_eq!(self.at("fault"), [what], "{:#?}", self.findings);
        assert_eq!(self.code, Some(1));
        let said = self.of(what).to_string();
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
}

fn doctor(mesh: &Processes, sets: &[&str]) -> Report {
    let mut command = mesh.configured(&["--json", "doctor"]);
    for set in sets {
        command.args(["--set", set]);
    }
    let output = command.output().expect("the binary runs");
    let text = String::from_utf8(output.stdout).expect("it is text");
    let findings = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    Report {
        code: output.status.code(),
        findings,
    }
}

/// Everything that is looked at.
fn checks(prefix: &str) -> Vec<String> {
    let of_roles = |what: &'static str| Role::ALL.map(|role| format!("{what} {role}"));
    let mut checks: Vec<String> = ["directory", "rights", "version", "policy pack", "shards"]
        .into_iter()
        .chain(["key ring", "kafka", "certificate ca", "certificate server"])
        .chain(["certificate operator"])
        .map(str::to_owned)
        .collect();
    for what in ["certificate", "process", "clock", "readers", "database"] {
        checks.extend(of_roles(what));
    }
    checks.extend(tally_service::logs::ALL.map(|log| format!("log {log}")));
    let relayed = [
        "catalog.log",
        "collection.log",
        "lists.log",
        "sanctions.log",
    ];
    let published = [
        "published.feedback",
        "published.list-changes",
        "published.registrations",
    ];
    let topics = relayed.into_iter().chain(published);
    checks.extend(topics.map(|topic| format!("topic {prefix}.{topic}")));
    checks.sort();
    checks
}

#[tokio::test]
async fn the_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let dir = TempDir::new().expect("a temporary directory");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).expect("ours");
    let mut mesh = Processes::start(dir.path(), None).await;

    let well = doctor(&mesh, &[]);
    assert_eq!(well.at("fault"), [""; 0], "{:#?}", well.findings);
    // Nobody has loaded one.
    assert_eq!(well.at("warning"), ["policy pack"], "{:#?}", well.findings);
    assert_eq!(well.code, Some(0));
    let mut seen: Vec<&str> = well
        .findings
        .iter()
        .map(|one| one["what"].as_str().expect("a text"))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, checks(&prefix(dir.path())));

    misplaced(&mesh);
    of_files(&mesh, dir.path());
    held_reader(&mesh);

    // It takes connections, and answers nobody.
    mesh.stand_still(Role::Audit);
    doctor(&mesh, &[]).only_fault("process audit", &["10 seconds"]);
    mesh.go_on(Role::Audit);

    mesh.kill(Role::Lists);
    let killed = doctor(&mesh, &[]);
    killed.only_fault("process lists", &["tally serve --role lists"]);
    assert_eq!(killed.of("log lists")["level"], "warning");
    let of_lists = format!("{}.lists", prefix(dir.path()));
    delete_topics(&of_lists).await.expect("it is deleted");
    // A broker may know a topic for a moment longer than the one that deletes it.
    let began = Instant::now();
    let gone = loop {
        let deleted = doctor(&mesh, &[]);
        let gone = deleted.of(&format!("topic {of_lists}.log")).clone();
        if gone["level"] == "fault" || began.elapsed() > PATIENCE {
            break gone;
        }
    };
    assert_eq!(gone["level"], "fault", "{gone}");
    assert!(gone.to_string().contains("restart lists"), "{gone}");

    // Who did as it said is well again.
    mesh.revive(Role::Lists).await;
    let well = doctor(&mesh, &[]);
    assert_eq!(well.at("fault"), [""; 0], "{:#?}", well.findings);
    mesh.stop();
    clean(dir.path());
}

/// Addresses that lead elsewhere.
fn misplaced(mesh: &Processes) {
    let catalog = mesh.endpoint(Role::Catalog);
    let strange = doctor(mesh, &[&format!("mesh.lists={catalog}")]);
    let process = strange.of("process lists");
    assert_eq!(process["level"], "fault", "{process}");
    let said = process.to_string();
    assert!(
        said.contains("serves catalog") && said.contains("mesh.lists"),
        "{said}"
    );

    let away = doctor(mesh, &["kafka.brokers=127.0.0.1:1"]);
    away.only_fault("kafka", &["127.0.0.1:1", "start it"]);

    let elsewhere = doctor(mesh, &["store.schema=t_nobody"]);
    let of_databases = Role::ALL.map(|role| format!("database {role}"));
    assert_eq!(
        elsewhere.at("fault"),
        of_databases,
        "{:#?}",
        elsewhere.findings
    );
    let said = elsewhere.of("database lists").to_string();
    assert!(said.contains("tally migrate"), "{said}");

    let no_database = "store.url=postgres://nobody@127.0.0.1:1/none";
    let none = doctor(mesh, &[no_database]);
    assert_eq!(none.at("fault"), of_databases, "{:#?}", none.findings);
}

/// Keys and certificates that are not as they must be.
fn of_files(mesh: &Processes, dir: &Path) {
    let key = dir.join("master.key");
    let mode = |mode| fs::set_permissions(&key, Permissions::from_mode(mode)).expect("ours");
    mode(0o644);
    doctor(mesh, &[]).only_fault("rights", &["0644", "chmod 600"]);
    mode(0o600);

    let ours = fs::read(&key).expect("there");
    let other = MasterKey::generate().expect("random bytes");
    fs::write(&key, other.to_hex_file_contents().as_bytes()).expect("ours");
    doctor(mesh, &[]).only_fault("key ring", &["another master key"]);
    fs::write(&key, ours).expect("ours");

    let pki = dir.join("pki");
    let kept = fs::read(pki.join("mesh-feedback.pem")).expect("there");
    let expired = Term {
        issued_at: SystemTime::now() - LEAF_LIFETIME - Duration::from_secs(60),
        lifetime: LEAF_LIFETIME,
    };
    let elsewhere = TempDir::new().expect("a temporary directory");
    let issued = Authority::load(&pki).expect("there").issue(
        &Identity::Mesh("feedback".to_owned()),
        elsewhere.path(),
        "old",
        expired,
    );
    let issued = issued.expect("issued").certificate;
    fs::copy(issued, pki.join("mesh-feedback.pem")).expect("ours");
    doctor(mesh, &[]).only_fault("certificate feedback", &["expired", "tally init"]);
    fs::write(pki.join("mesh-feedback.pem"), kept).expect("ours");
}

/// It works, and somebody should look.
fn held_reader(mesh: &Processes) {
    let reader = |verb| {
        let done = mesh.tally(&["reader", verb, "sanctions.lists"]).status();
        assert!(done.expect("the binary runs").success());
    };
    reader("pause");
    let began = Instant::now();
    let name = "reader sanctions.lists";
    // It is held when it next looks.
    let held = loop {
        let held = doctor(mesh, &[]);
        let seen = held.findings.iter().any(|one| one["what"] == name);
        if seen || began.elapsed() > PATIENCE {
            break held;
        }
    };
    assert_eq!(held.code, Some(0), "{:#?}", held.findings);
    let said = held.of(name);
    assert_eq!(said["level"], "warning", "{said}");
    assert!(said.to_string().contains("tally reader resume"), "{said}");
    reader("resume");
}
