//! `tally parked`: subjects with events that a reader could not apply.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use tally_eventlog::event::from_proto_time;
use tally_proto::tally::node::v1 as pb;

use super::Global;
use super::output::{Failure, line, to_json};
use super::people::here;
use super::reader::role_of;
use crate::client::Client;
use crate::role::Role;

/// `tally parked …`.
#[derive(Debug, Subcommand)]
pub enum Parked {
    /// The subjects, each with the event that keeps its others waiting.
    List(List),
    /// The events of one subject that wait, in order.
    Show(Show),
    /// Applies what waits, in order, up to the first event that cannot be applied still. Exit code 1: some wait.
    Replay(Replay),
}

/// Arguments of `tally parked list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only of this reader.
    #[arg(long, default_value = "", hide_default_value = true)]
    reader: String,
}

/// Arguments of `tally parked show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The reader, as the list names it.
    reader: String,
    /// The subject, as the list names it.
    subject: String,
}

/// Arguments of `tally parked replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// The reader, as the list names it.
    reader: String,
    /// The subject, as the list names it; without one, all of the reader.
    subject: Option<String>,
}

impl Parked {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        match self {
            Self::List(command) => command.run(global).await,
            Self::Show(command) => command.run(global).await,
            Self::Replay(command) => command.run(global).await,
        }
    }
}

impl List {
    async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let client = global.client().await?;
        let roles = match self.reader.as_str() {
            "" => client.processes().to_vec(),
            reader => vec![role_of(&client, reader)],
        };
        let (mut count, mut failed) = (0, None);
        for role in roles {
            let subjects = match parked(&client, role, &self.reader).await {
                Ok(subjects) => subjects,
                // The other processes have something to say all the same.
                Err(failure) => {
                    failed = Some(failure);
                    continue;
                }
            };
            for one in &subjects {
                if global.json {
                    line(&to_json(one).to_string());
                } else {
                    line(&describe(one));
                }
            }
            count += subjects.len();
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        if count == 0 && !global.json {
            line("nothing is parked");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let client = global.client().await?;
        let mut node = client.node(role_of(&client, &self.reader));
        let mut request = pb::GetParkedRequest {
            consumer: self.reader.clone(),
            subject: self.subject.clone(),
            ..Default::default()
        };
        loop {
            let page = node.get_parked(request.clone()).await?.into_inner();
            for event in &page.events {
                if global.json {
                    line(&to_json(event).to_string());
                } else {
                    line(&describe_event(event));
                }
            }
            if page.next_page_token.is_empty() {
                return Ok(ExitCode::SUCCESS);
            }
            request.page_token = page.next_page_token;
        }
    }
}

impl Replay {
    async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let client = global.client().await?;
        let role = role_of(&client, &self.reader);
        let subjects = match &self.subject {
            Some(subject) => vec![subject.clone()],
            None => {
                let all = parked(&client, role, &self.reader).await?;
                all.into_iter().map(|one| one.subject).collect()
            }
        };
        if subjects.is_empty() && !global.json {
            line("nothing is parked");
        }
        let mut node = client.node(role);
        let mut left = 0;
        for subject in subjects {
            let request = pb::ReplayParkedRequest {
                consumer: self.reader.clone(),
                subject: subject.clone(),
            };
            let replayed = node.replay_parked(request).await?.into_inner();
            left += replayed.left;
            if global.json {
                let mut told = to_json(&replayed);
                told["subject"] = subject.into();
                line(&told.to_string());
                continue;
            }
            line(&format!(
                "{subject}: {} applied, {} left",
                replayed.applied, replayed.left
            ));
            if let Some(event) = &replayed.stopped_at {
                line(&format!("  stopped at {}", describe_event(event)));
            }
        }
        Ok(if left == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        })
    }
}

/// All parked subjects of a process, of one of its readers or of all.
async fn parked(
    client: &Client,
    role: Role,
    reader: &str,
) -> Result<Vec<pb::ParkedSubject>, Failure> {
    let mut node = client.node(role);
    let mut request = pb::ListParkedRequest {
        consumer: reader.to_owned(),
        ..Default::default()
    };
    let mut subjects = Vec::new();
    loop {
        let page = node.list_parked(request.clone()).await?.into_inner();
        subjects.extend(page.subjects);
        if page.next_page_token.is_empty() {
            return Ok(subjects);
        }
        request.page_token = page.next_page_token;
    }
}

fn describe(one: &pb::ParkedSubject) -> String {
    let events = match one.events {
        1 => "1 event".to_owned(),
        events => format!("{events} events"),
    };
    let first = one.first.as_ref().map(describe_event).unwrap_or_default();
    format!(
        "{} {}: {events} of {}/{}, the first {first}",
        one.consumer, one.subject, one.source, one.shard
    )
}

fn describe_event(event: &pb::ParkedEvent) -> String {
    let what = match event.event_type.as_str() {
        "" => "an event that the log does not have",
        event_type => event_type.rsplit('.').next().unwrap_or(event_type),
    };
    let at = event.recorded_at.as_ref().and_then(from_proto_time);
    let at = at.map_or_else(String::new, |at| format!(" of {}", here(at)));
    format!("{}: {what}{at}: {}", event.position, event.reason)
}
