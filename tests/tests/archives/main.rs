//! Backups, restores, and the move of a mesh from one process to several.

mod moving;
mod restoring;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// What a command did.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    /// Runs a command, while the mesh of the test goes on.
    async fn of(command: Command) -> Self {
        let mut command = command;
        let run = tokio::task::spawn_blocking(move || command.output());
        Self::from(run.await.expect("no panic").expect("the binary runs"))
    }

    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn says(&self, words: &[&str]) {
        let said = format!("{}{}", self.out, self.err);
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    }

    fn lines(&self) -> Vec<Value> {
        let lines = self.out.lines().map(serde_json::from_str);
        lines.map(|line| line.expect("a line of JSON")).collect()
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Roots of every log, as a command told them.
fn roots(told: &Done) -> Vec<(String, u64, String)> {
    let mut roots = Vec::new();
    for one in told.lines() {
        for log in one["logs"].as_array().expect("its logs") {
            let name = log["log"].as_str().expect("a name").to_owned();
            let hash = log["roots"].as_str().expect("a hash").to_owned();
            roots.push((name, log["records"].as_u64().expect("a number"), hash));
        }
    }
    roots.sort();
    roots
}

/// Copies what only the operator has: authority, certificates, keys; not the key ring.
fn copy_keys(from: &Path, to: &Path) {
    for name in ["pki", "certs", "signing"] {
        let target = to.join(name);
        std::fs::create_dir_all(&target).expect("a directory");
        for file in std::fs::read_dir(from.join(name)).expect("it is there") {
            let file = file.expect("a file");
            std::fs::copy(file.path(), target.join(file.file_name())).expect("copied");
        }
    }
    std::fs::copy(from.join("master.key"), to.join("master.key")).expect("copied");
}
