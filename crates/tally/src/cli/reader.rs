//! `tally reader`.

use std::process::ExitCode;

use clap::Subcommand;
use tally_proto::tally::node::v1::PauseReaderRequest;
use tally_service::logs;

use super::Global;
use super::output::{Failure, line};
use crate::client::Client;
use crate::role::Role;

/// Commands on readers.
#[derive(Debug, Subcommand)]
pub enum Reader {
    /// Holds a reader where it is, for maintenance. Checks that need what it knows answer UNDETERMINED.
    Pause {
        /// Its name, for example sanctions.lists; `tally status` shows all.
        name: String,
    },
    /// Lets a held reader go on.
    Resume {
        /// Its name.
        name: String,
    },
}

/// Whose process has a reader: it is named after its role, and a relay after the log that it relays.
pub(super) fn role_of(client: &Client, reader: &str) -> Role {
    let of = |part: &str| {
        part.parse()
            .ok()
            .or(logs::by_name(part).map(Role::owner_of))
    };
    let role = reader.split('.').find_map(of);
    role.unwrap_or(client.processes()[0])
}

impl Reader {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let (name, paused) = match self {
            Self::Pause { name } => (name, true),
            Self::Resume { name } => (name, false),
        };
        let client = global.client().await?;
        let role = role_of(&client, name);
        let request = PauseReaderRequest {
            consumer: name.clone(),
            paused,
        };
        client.node(role).pause_reader(request).await?;
        line(&if global.json {
            serde_json::json!({"reader": name, "paused": paused}).to_string()
        } else if paused {
            format!("{name} is held; `tally reader resume {name}` lets it go on")
        } else {
            format!("{name} goes on")
        });
        Ok(ExitCode::SUCCESS)
    }
}
