//! What commands print, and how they fail.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use tally_rpc::FaultReport;
use tally_rpc::fault::BoxError;
use tonic::Code;

use crate::client::ClientError;

static CONTRACTS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(tally_proto::DESCRIPTORS).expect("the contracts' own descriptors decode")
});

/// A message as canonical JSON, with the names of the contract. Every field is
/// there, also one at its default: who reads `position` finds it at 0 too.
pub fn to_json<M: Message + Name>(message: &M) -> serde_json::Value {
    serialised(message, false)
}

fn serialised<M: Message + Name>(message: &M, skip_defaults: bool) -> serde_json::Value {
    let descriptor = CONTRACTS
        .get_message_by_name(&M::full_name())
        .expect("a message of the contracts");
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .expect("a message decodes as itself");
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(skip_defaults);
    dynamic
        .serialize_with_options(serde_json::value::Serializer, &options)
        .expect("a message has a JSON form")
}

/// Prints a message: one JSON line, or lines for people.
pub fn print<M: Message + Name>(json: bool, message: &M) {
    if json {
        line(&to_json(message).to_string());
    } else {
        people(&serialised(message, true), 0);
    }
}

/// Prints a line; a closed pipe ends the process quietly, as of other tools.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").is_err() {
        std::process::exit(0);
    }
}

fn people(value: &serde_json::Value, indent: usize) {
    let pad = " ".repeat(indent);
    let serde_json::Value::Object(fields) = value else {
        return line(&format!("{pad}{}", plain(value)));
    };
    for (name, value) in fields {
        let name = name.replace('_', " ");
        match value {
            serde_json::Value::Object(_) => {
                line(&format!("{pad}{name}:"));
                people(value, indent + 2);
            }
            serde_json::Value::Array(items) => {
                line(&format!("{pad}{name}: {}", items.len()));
                for item in items {
                    line(&format!("{pad}  -"));
                    people(item, indent + 4);
                }
            }
            other => line(&format!("{pad}{name}: {}", plain(other))),
        }
    }
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Why a command failed, and with which exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    reason: String,
    message: String,
    violations: Vec<(String, String, String)>,
}

impl Failure {
    /// Bad input of the command itself.
    pub fn usage(error: impl Into<BoxError>) -> Self {
        Self::new(2, "BAD_INPUT", error.into())
    }

    /// A mesh or its directory cannot be used.
    pub fn environment(error: impl Into<BoxError>) -> Self {
        Self::new(4, "NOT_AVAILABLE", error.into())
    }

    /// Bad input with a list of faults: where, and what is wrong there.
    pub fn faults(message: String, faults: impl Iterator<Item = (String, String)>) -> Self {
        let violations = faults
            .map(|(place, text)| (place, "BAD_INPUT".to_owned(), text))
            .collect();
        Self {
            violations,
            ..Self::usage(message)
        }
    }

    fn new(code: u8, reason: &str, error: BoxError) -> Self {
        // The cause says what to check: a missing file, nobody listens, another authority.
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = inner.source();
        }
        Self {
            code,
            reason: reason.to_owned(),
            message,
            violations: Vec::new(),
        }
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
            // A fault of a field names its reason itself.
            let reason = format!("({})", self.reason);
            let reason = if self.message.contains(&reason) {
                String::new()
            } else {
                format!(" {reason}")
            };
            eprintln!("error: {}{reason}", self.message);
            for (field, _, message) in &self.violations {
                eprintln!("  {field}: {message}");
            }
        }
        ExitCode::from(self.code)
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let report = FaultReport::from(&status);
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
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::environment(error)
    }
}
