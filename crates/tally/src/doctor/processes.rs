//! The processes: whether they answer, and as what.

use std::error::Error as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tally_eventlog::event::from_proto_time;
use tally_eventlog::shard::LogName;
use tally_proto::tally::log::v1 as log;
use tally_proto::tally::node::v1 as node;
use tally_rpc::ClientTls;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use super::{Finding, PATIENCE};
use crate::client::Client;
use crate::data_dir::causes;
use crate::role::Role;

/// A process, and what it said.
pub(super) struct Process {
    /// The roles that it should serve.
    pub roles: Vec<Role>,
    /// Where it should be.
    pub endpoint: String,
    /// What it says of itself, or why it says nothing.
    pub answer: Result<Answer, Silence>,
    /// The logs that it owns: the size of each shard, or why that is not known.
    pub heads: Vec<(LogName, Result<Vec<u64>, String>)>,
    client: Option<Client>,
}

/// What a process says of itself.
pub(super) struct Answer {
    /// As it said it.
    pub status: node::GetStatusResponse,
    /// How much its clock is ahead of ours, if our guess of the way is right.
    pub ahead: Option<SignedDuration>,
    /// How far that guess may be wrong: half the way there and back.
    pub either_way: Duration,
}

/// Why a process says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Silence {
    /// It was not asked.
    Unasked(String),
    /// There is nobody.
    Away(String),
    /// It takes the call and does not answer it.
    Hangs,
    /// One side does not take the other's certificate.
    Certificate(String),
    /// Whoever asks may not.
    Denied(String),
    /// Somebody else is there.
    Stranger(String),
}

impl Process {
    /// As findings name it.
    pub fn name(&self) -> &'static str {
        match self.roles[..] {
            [role] => role.name(),
            _ => "mesh",
        }
    }

    /// Asks the owner how far its logs reach.
    pub async fn ask_heads(&mut self) {
        let (Some(client), Ok(_)) = (&self.client, &self.answer) else {
            return;
        };
        for role in &self.roles {
            for log in role.logs() {
                let request = log::GetHeadsRequest {
                    log: log.0.to_owned(),
                };
                let mut owner = client.log(*role);
                let heads = match timeout(PATIENCE, owner.get_heads(request)).await {
                    Ok(Ok(heads)) => {
                        let heads = heads.into_inner().heads;
                        Ok(heads.iter().map(|head| head.size).collect())
                    }
                    Ok(Err(status)) => Err(status.message().to_owned()),
                    Err(_) => Err("no answer in time".to_owned()),
                };
                self.heads.push((*log, heads));
            }
        }
    }
}

/// Asks a process how it is.
pub(super) async fn ask(
    roles: Vec<Role>,
    endpoint: String,
    tls: Result<&ClientTls, &String>,
) -> Process {
    let client = match tls {
        Err(reason) => Err(Silence::Unasked(reason.clone())),
        Ok(_) if endpoint.is_empty() => {
            let reason = "its directory does not say where it listened last";
            Err(Silence::Away(reason.to_owned()))
        }
        Ok(tls) => Client::of_roles(|_| endpoint.clone(), tls)
            .map_err(|error| Silence::Away(causes(&error))),
    };
    let (client, answer) = match client {
        Ok(client) => {
            let asked = timeout(PATIENCE, status(&client, roles[0])).await;
            (Some(client), asked.unwrap_or(Err(Silence::Hangs)))
        }
        Err(silence) => (None, Err(silence)),
    };
    Process {
        roles,
        endpoint,
        answer,
        heads: Vec::new(),
        client,
    }
}

async fn status(client: &Client, role: Role) -> Result<Answer, Silence> {
    let mut node = client.node(role);
    // The first call pays for the connection: its way there and back says nothing of clocks.
    let first = node.get_status(node::GetStatusRequest {}).await;
    first.map_err(|status| silence(&status))?;
    let (asked_at, began) = (Timestamp::now(), Instant::now());
    let answer = node.get_status(node::GetStatusRequest {}).await;
    let either_way = began.elapsed() / 2;
    let status = answer.map_err(|status| silence(&status))?.into_inner();
    let theirs = status.now.as_ref().and_then(from_proto_time);
    let ahead = theirs.map(|now| now.duration_since(asked_at + either_way));
    Ok(Answer {
        status,
        ahead,
        either_way,
    })
}

/// What a refused call means.
fn silence(status: &Status) -> Silence {
    let mut text = status.message().to_owned();
    if let Some(source) = status.source() {
        text = format!("{text}: {}", causes(source));
    }
    let of_certificates = ["certificate", "UnknownIssuer", "UnknownCA", "BadSignature"];
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => Silence::Denied(text),
        Code::Unimplemented | Code::NotFound => Silence::Stranger(text),
        _ if of_certificates.iter().any(|word| text.contains(word)) => Silence::Certificate(text),
        _ => Silence::Away(text),
    }
}

/// Whether the right process is there.
pub(super) fn judge(process: &Process) -> Finding {
    let (what, name, endpoint) = (
        format!("process {}", process.name()),
        process.name(),
        &process.endpoint,
    );
    let answer = match &process.answer {
        Ok(answer) => answer,
        Err(silence) => return silent(process, silence),
    };
    let served = &answer.status.roles;
    let lacks = |role: &&Role| !served.iter().any(|one| one == role.name());
    let detail = format!("{endpoint} serves {}", served.join(", "));
    if process.roles.iter().any(|role| lacks(&role)) {
        let remedy = format!("correct `mesh.{name}`, or start {name} there");
        return Finding::fault(what, detail, remedy);
    }
    Finding::ok(what, format!("{detail}, version {}", answer.status.version))
}

fn silent(process: &Process, silence: &Silence) -> Finding {
    let (name, endpoint) = (process.name(), &process.endpoint);
    let start = match process.roles[..] {
        [role] => format!("`tally serve --role {role}`"),
        _ => "`tally up`".to_owned(),
    };
    let (detail, remedy) = match silence {
        Silence::Unasked(reason) => (
            format!("not asked: {reason}"),
            "name a certificate of the directory with --as; `tally init` makes the operator's".to_owned(),
        ),
        Silence::Away(reason) => (
            format!("nobody answers at {endpoint}: {reason}"),
            match process.roles[..] {
                [_] => format!("start it with {start}, or correct `mesh.{name}`"),
                _ => format!("start it with {start}"),
            },
        ),
        Silence::Hangs => (
            format!("{endpoint} takes the call and says nothing for {} seconds", PATIENCE.as_secs()),
            "look at its log and at the load of its machine; a process that stays so is stopped and started again"
                .to_owned(),
        ),
        Silence::Certificate(reason) => (
            format!("{endpoint}: {reason}"),
            "either a certificate has expired, of which this report says more, or another mesh is there: \
             every machine needs the `pki` of one `tally init`"
                .to_owned(),
        ),
        Silence::Denied(reason) => (
            format!("{endpoint} does not tell us: {reason}"),
            "ask under the operator's certificate: --as operator".to_owned(),
        ),
        Silence::Stranger(reason) => (
            format!("something else answers at {endpoint}: {reason}"),
            format!("correct `mesh.{name}`, or upgrade {name} if it is older than this program"),
        ),
    };
    Finding::fault(format!("process {name}"), detail, remedy)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Level;
    use super::*;

    /// A role that answered, with nothing special about it.
    pub fn healthy(role: Role) -> Process {
        Process {
            roles: vec![role],
            endpoint: format!("https://{role}"),
            answer: Ok(Answer {
                status: node::GetStatusResponse {
                    version: "1.2.3".to_owned(),
                    pack_version: "2026.1".to_owned(),
                    roles: vec![role.to_string()],
                    ..Default::default()
                },
                ahead: Some(SignedDuration::ZERO),
                either_way: Duration::ZERO,
            }),
            heads: role
                .logs()
                .iter()
                .map(|log| (*log, Ok(vec![4, 6])))
                .collect(),
            client: None,
        }
    }

    pub fn mesh() -> Vec<Process> {
        Role::ALL.map(healthy).into_iter().collect()
    }

    impl Process {
        pub fn status_mut(&mut self) -> &mut node::GetStatusResponse {
            &mut self.answer.as_mut().expect("it answers").status
        }
    }

    #[test]
    fn a_role_that_answers_for_another_is_a_fault() {
        assert_eq!(judge(&healthy(Role::Lists)).level, Level::Ok);
        let mut strange = healthy(Role::Lists);
        strange.status_mut().roles = vec!["catalog".to_owned()];
        let finding = judge(&strange);
        assert_eq!(finding.level, Level::Fault);
        assert!(finding.detail.contains("serves catalog"), "{finding:?}");
        assert!(finding.remedy.contains("mesh.lists"), "{finding:?}");
    }

    #[test]
    fn whoever_says_nothing_is_a_fault_with_a_remedy_of_its_kind() {
        let of = |silence| {
            let mut process = healthy(Role::Lists);
            process.answer = Err(silence);
            judge(&process)
        };
        let away = of(silence(&Status::unavailable("connection refused")));
        assert!(away.remedy.contains("tally serve --role lists"), "{away:?}");
        let other = Status::unavailable("invalid peer certificate: UnknownIssuer");
        let other = of(silence(&other));
        assert!(other.remedy.contains("another mesh"), "{other:?}");
        let denied = of(silence(&Status::permission_denied("for operators")));
        assert!(denied.remedy.contains("--as operator"), "{denied:?}");
        let hangs = of(Silence::Hangs);
        assert!(hangs.detail.contains("10 seconds"), "{hangs:?}");
        for finding in [away, other, denied, hangs] {
            assert_eq!(finding.level, Level::Fault);
        }
    }
}
