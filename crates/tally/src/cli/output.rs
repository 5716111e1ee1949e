//! What commands print, and how they fail.

use std::error::Error;
use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use tally_rpc::FaultReport;
use tally_rpc::fault::BoxError;
use tally_rpc::fault::reason::{RIGHT_MISSING, UNEXPLAINED};
use tonic::Code;

use super::{hint, people};
use crate::client::ClientError;

static CONTRACTS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(tally_proto::DESCRIPTORS).expect("the contracts' own descriptors decode")
});

/// A message as canonical JSON, with the names of the contract. Every field is
/// there, also one at its default: who reads `position` finds it at 0 too.
pub fn to_json<M: Message + Name>(message: &M) -> serde_json::Value {
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(false);
    dynamic(message)
        .serialize_with_options(serde_json::value::Serializer, &options)
        .expect("a message has a JSON form")
}

/// A message with its descriptor.
pub(super) fn dynamic<M: Message + Name>(message: &M) -> DynamicMessage {
    let descriptor = CONTRACTS
        .get_message_by_name(&M::full_name())
        .expect("a message of the contracts");
    DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .expect("a message decodes as itself")
}

/// Prints a message: one JSON line, or lines for people.
pub fn print<M: Message + Name>(json: bool, message: &M) {
    if json {
        return line(&to_json(message).to_string());
    }
    let lines = people::lines(&dynamic(message));
    if lines.is_empty() {
        line("nothing");
    }
    for text in lines {
        line(&text);
    }
}

/// Prints the answer to a command: for people first what was done, and to what.
pub fn print_done<M: Message + Name>(json: bool, done: &str, message: &M) {
    if !json {
        line(done);
    }
    print(json, message);
}

/// Prints a line; a closed pipe ends the process quietly, as of other tools.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Why a command failed, and with which exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    reason: String,
    message: String,
    /// Field, reason and message of every fault.
    violations: Vec<(String, String, String)>,
    /// What to do next, where the message does not say it.
    hint: Option<String>,
}

impl Failure {
    /// Bad input of the command itself.
    pub fn usage(error: impl Into<BoxError>) -> Self {
        Self::new(2, BAD_INPUT, error.into())
    }

    /// A mesh or its directory cannot be used.
    pub fn environment(error: impl Into<BoxError>) -> Self {
        Self::new(4, "NOT_AVAILABLE", error.into())
    }

    /// The whole command is denied: the caller lacks the right.
    pub fn denied(message: String) -> Self {
        Self::new(3, RIGHT_MISSING, message.into())
    }

    /// Bad input with a list of faults: where, and what is wrong there.
    pub fn faults(message: String, faults: impl Iterator<Item = (String, String)>) -> Self {
        let violations = faults
            .map(|(place, text)| (place, BAD_INPUT.to_owned(), text))
            .collect();
        Self {
            violations,
            ..Self::usage(message)
        }
    }

    fn new(code: u8, reason: &str, error: BoxError) -> Self {
        let message = with_causes(error.to_string(), error.source());
        Self {
            code,
            reason: reason.to_owned(),
            message,
            violations: Vec::new(),
            hint: None,
        }
    }

    /// Says what to do next, after what is wrong.
    pub fn or_try(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// True if the message has this text.
    pub fn mentions(&self, text: &str) -> bool {
        self.message.contains(text)
    }

    /// Prints it to standard error and gives the exit code.
    pub fn report(self, json: bool) -> ExitCode {
        if json {
            let violations: Vec<serde_json::Value> = self
                .violations
                .iter()
                .map(|(field, reason, message)| {
                    serde_json::json!({"field": field, "reason": reason, "message": message})
                })
                .collect();
            let error = serde_json::json!({
                "error": {"reason": self.reason, "message": self.message, "violations": violations}
            });
            eprintln!("{error}");
        } else {
            self.tell();
        }
        ExitCode::from(self.code)
    }

    fn tell(&self) {
        // A fault of a field names its reason itself.
        let reason = format!("({})", self.reason);
        match self.violations.as_slice() {
            // The message of several is the first, with a count of the others.
            [(_, of_first, _), _, ..] if *of_first == self.reason && self.reason != BAD_INPUT => {
                eprintln!("error: {} faults", self.violations.len());
            }
            _ if self.message.contains(&reason) => eprintln!("error: {}", self.message),
            _ => eprintln!("error: {} {reason}", self.message),
        }
        for (field, reason, message) in &self.violations {
            let told = self.message.contains(message) && self.violations.len() == 1;
            if told {
                continue;
            }
            // Faults of a pack have no reasons of their own.
            if reason == BAD_INPUT {
                eprintln!("  {field}: {message}");
            } else {
                eprintln!("  {field}: {message} ({reason})");
            }
        }
        if let Some(hint) = &self.hint {
            eprintln!("  {hint}");
        }
    }
}

const BAD_INPUT: &str = "BAD_INPUT";

/// An error with what caused it: the cause says what to check, for example a
/// missing file, or that nobody listens.
fn with_causes(mut message: String, mut cause: Option<&(dyn Error + 'static)>) -> String {
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = inner.source();
    }
    message
}

/// What a client makes of a connection that breaks, whoever broke it.
const LOST: [Code; 4] = [
    Code::Unavailable,
    Code::Cancelled,
    Code::Unknown,
    Code::Internal,
];

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let report = FaultReport::from(&status);
        if report.reason == UNEXPLAINED && LOST.contains(&report.code) {
            // A mesh refuses a certificate after the connection is made.
            let what = with_causes(report.message, status.source());
            // A library may add where its manual explains it.
            let what = what.split(": https://").next().unwrap_or_default();
            return Self::environment(format!(
                "the connection is lost: {what}; the mesh has stopped, or does not take the \
                 certificate because another authority issued it"
            ));
        }
        let code = match report.code {
            Code::InvalidArgument | Code::OutOfRange => 2,
            Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::NotFound
            | Code::AlreadyExists => 3,
            Code::Unavailable
            | Code::Aborted
            | Code::ResourceExhausted
            | Code::DeadlineExceeded => 4,
            _ => 5,
        };
        let hint = hint::after(&report);
        let violations = report
            .violations
            .into_iter()
            .map(|violation| (violation.field, violation.reason, violation.message))
            .collect();
        Self {
            code,
            reason: report.reason,
            message: report.message,
            violations,
            hint,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::environment(error)
    }
}
