//! The binary under test: as a server in a process of its own, and as the
//! command line that a user types.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tally::data_dir::DataDir;
use tally_auth::identity::Identity;
use tempfile::TempDir;

/// Market supervision of the small pack: province level, lists black.
pub const MARKET: &str = "11990000MB0000107X";
/// Tax bureau of the small pack: powers for both sanctions.
pub const TAX: &str = "11990100MB0000203C";
/// Public resources of the small pack: powers for both sanctions.
pub const RESOURCES: &str = "11990102MB000030XF";

/// How long a start may take before the test gives up on it. No claim about speed.
const READY_WAIT: Duration = Duration::from_secs(60);

/// A directory for one test: the data directory, and beside it what the server says.
pub struct Place {
    root: TempDir,
}

impl Place {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            root: TempDir::new().expect("a temporary directory"),
        }
    }

    /// The data directory; the first start makes it.
    pub fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// Where clients find the mesh, as a process for each role leaves it.
    pub fn tell_each_role(&self) {
        let one = self.data().join("endpoint");
        let endpoint = std::fs::read(&one).expect("the mesh listens");
        for role in tally::role::Role::ALL {
            let own = self.data().join(format!("endpoint.{role}"));
            std::fs::write(own, &endpoint).expect("written");
        }
        std::fs::remove_file(one).expect("it was there");
    }

    /// A file beside the data directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// What the servers of this place wrote to standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.file("server.log")).unwrap_or_default()
    }

    /// A command line of the binary on this data directory.
    pub fn tally(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tally"));
        // What the developer has set must not change what is tested.
        for name in [
            "TALLY_AS",
            "TALLY_LOG",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "RUST_LOG",
        ] {
            command.env_remove(name);
        }
        command.env("TALLY_DIR", self.data()).args(arguments);
        command
    }

    /// Runs a command line to its end.
    pub fn run(&self, arguments: &[&str]) -> Done {
        run(self.tally(arguments), "")
    }

    /// The same, with something on standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Done {
        run(self.tally(arguments), input)
    }

    /// Issues a client's certificate.
    pub fn issue(&self, name: &str, urn: &str) {
        let identity = Identity::parse(urn).expect("a valid identity");
        DataDir::new(self.data())
            .issue(&identity, name)
            .expect("the authority issues");
    }

    /// Starts a server, and does not wait for it.
    pub fn spawn(&self) -> Starting {
        self.spawn_with(&[])
    }

    /// The same with more arguments.
    pub fn spawn_with(&self, more: &[&str]) -> Starting {
        self.spawn_at("127.0.0.1:0", more)
    }

    /// The same at an address, for example that of a server that has ended.
    pub fn spawn_at(&self, address: &str, more: &[&str]) -> Starting {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.file("server.log"));
        let mut child = self
            .tally(&["up", "--listen", address, "--json"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.expect("a file for what the server says"))
            .spawn()
            .expect("the binary runs");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The test may have had enough of this process.
                let _ = sender.send(line);
            }
        });
        Starting {
            server: Server {
                child,
                endpoint: String::new(),
                started_in_ms: 0,
                announced: Value::Null,
                _reader: reader,
            },
            lines,
        }
    }

    /// Starts a server and waits until it serves.
    pub fn up(&self) -> Server {
        self.spawn().ready(self)
    }
}

/// A server that may not serve yet.
pub struct Starting {
    server: Server,
    lines: Receiver<String>,
}

impl Starting {
    /// Waits until it serves.
    pub fn ready(self, place: &Place) -> Server {
        let Self { mut server, lines } = self;
        let Ok(line) = lines.recv_timeout(READY_WAIT) else {
            let status = server.child.try_wait().expect("its state is known");
            panic!(
                "the server does not serve (ended: {status:?}); it said:\n{}",
                place.said()
            );
        };
        let ready: Value = serde_json::from_str(&line).expect("the ready line is JSON");
        server.endpoint = ready["serving"].as_str().expect("an endpoint").to_owned();
        server.started_in_ms = ready["started_in_ms"].as_u64().expect("a duration");
        assert_eq!(ready["pid"].as_u64(), Some(u64::from(server.pid())));
        server.announced = ready;
        server
    }

    /// Kills it where it is.
    pub fn kill(mut self) {
        self.server.kill();
    }
}

/// A server in a process of its own. Dropping it kills it.
pub struct Server {
    child: Child,
    /// Where it serves.
    pub endpoint: String,
    /// How long it says that it took to start.
    pub started_in_ms: u64,
    /// All that it announced when it was ready.
    pub announced: Value,
    _reader: JoinHandle<()>,
}

impl Server {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits until it is dead.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it is dead");
    }

    /// SIGTERM, and waits for its end.
    pub fn terminate(mut self) -> ExitStatus {
        let signal = format!("kill -TERM {}", self.pid());
        let sent = Command::new("sh")
            .args(["-c", &signal])
            .status()
            .expect("a shell runs");
        assert!(sent.success(), "the signal is sent");
        self.child.wait().expect("it ends")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command line came to.
#[derive(Debug)]
pub struct Done {
    /// What was run.
    pub command: String,
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Done {
    /// Holds it to an exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "{}\nout:\n{}\nerr:\n{}",
            self.command, self.out, self.err
        );
        self
    }

    /// Its output as JSON, a value a line.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        parsed(&self.command, &self.out)
    }

    /// Its only line of output as JSON.
    #[track_caller]
    pub fn line(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{}\n{}", self.command, self.out);
        lines.remove(0)
    }

    /// What it says on standard error under `--json`.
    #[track_caller]
    pub fn error(&self) -> Value {
        let mut lines = parsed(&self.command, &self.err);
        assert_eq!(lines.len(), 1, "{}\n{}", self.command, self.err);
        lines[0]["error"].take()
    }

    /// Holds its output to containing all of these.
    #[track_caller]
    pub fn says(self, wanted: &[&str]) -> Self {
        let said = format!("{}{}", self.out, self.err);
        for text in wanted {
            assert!(
                said.contains(text),
                "{} does not say {text:?} but:\n{said}",
                self.command
            );
        }
        self
    }
}

#[track_caller]
fn parsed(command: &str, text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{command}: {error} in {line:?}"))
        })
        .collect()
}

/// Runs a command to its end with something on standard input.
pub fn run(mut command: Command, input: &str) -> Done {
    let what = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // A command that does not read its input closes it.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the input is written or refused");
    Done {
        command: what,
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// The top of the source tree.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
