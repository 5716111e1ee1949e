//! Running the programs of examples/python: as they are, or asking before each step, so that a
//! test can kill them there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::process::repository;

/// A command line that runs one of the programs.
pub fn python(program: &str) -> Command {
    let python = repository().join(".tools/python/bin/python");
    assert!(
        python.exists(),
        "there is no {}: run `make setup`",
        python.display()
    );
    let mut command = Command::new(python);
    command
        .arg(repository().join("examples/python").join(program))
        // A proxy of the machine is not for connections to itself.
        .env("no_grpc_proxy", "127.0.0.1")
        // Nothing is written beside the sources.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A program under `--confirm`.
pub struct Asking {
    child: Child,
    answers: ChildStdin,
    lines: BufReader<ChildStdout>,
    /// All that it has said.
    pub said: String,
}

impl Asking {
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        Self {
            answers: child.stdin.take().expect("piped"),
            lines: BufReader::new(child.stdout.take().expect("piped")),
            child,
            said: String::new(),
        }
    }

    /// What it asks next; `None` if it ends before.
    pub fn asks(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).expect("text");
            self.said.push_str(&line);
            if read == 0 {
                return None;
            }
            if let Some(question) = line.trim_end().strip_suffix('?') {
                return Some(question.to_owned());
            }
        }
    }

    /// Says yes to everything, until it asks for one of `steps`, and says for which; `None` if it
    /// ends before.
    pub fn until<'a>(&mut self, steps: &[&'a str]) -> Option<&'a str> {
        while let Some(question) = self.asks() {
            let asked = question.split(' ').next();
            if let Some(step) = steps.iter().find(|step| asked == Some(step)) {
                return Some(step);
            }
            self.yes();
        }
        None
    }

    pub fn yes(&mut self) {
        self.answers.write_all(b"yes\n").expect("it waits");
        self.answers.flush().expect("it waits");
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it is dead");
    }

    /// Lets it work to its end.
    #[track_caller]
    pub fn finish(mut self) {
        assert_eq!(self.until(&[]), None);
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}:\n{}", self.said);
    }
}
