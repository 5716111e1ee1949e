//! `tally cert` and `tally key`.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use tally_auth::identity::{Identity, OfficerNumber};
use tally_auth::pki::PkiError;
use tally_domain::department::DepartmentId;
use tally_eventlog::clock::SystemClock;
use tally_eventlog::group::GroupOptions;
use tally_eventlog::sealing::KeyRing;
use tally_service::logs;
use tally_store_sqlite::keyring::SqliteKeyStore;
use tally_store_sqlite::{SqliteOptions, SqliteStore};

use super::Global;
use super::output::{Failure, line};
use crate::data_dir::{DataDir, DataDirError};

/// Certificates.
#[derive(Debug, Subcommand)]
pub enum Cert {
    /// Issues a client certificate.
    Issue(Issue),
}

/// Whom a certificate is for: exactly one of department, operator, mesh.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("whom").required(true).args(["department", "operator"])))]
pub struct Issue {
    /// Name of the certificate; the files are NAME.pem and NAME.key.
    name: String,
    /// Department: its unified social credit code.
    #[arg(long, value_name = "CODE")]
    department: Option<String>,
    /// Officer's number within the department; without it the certificate is for its system.
    #[arg(long, value_name = "NUMBER", requires = "department")]
    officer: Option<String>,
    /// An operator of the mesh, by a name.
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
}

impl Cert {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let Self::Issue(issue) = self;
        let identity = issue.identity()?;
        let dir = DataDir::new(global.dir());
        let files = dir.issue(&identity, &issue.name).map_err(|error| match error {
            DataDirError::Pki(PkiError::Name { .. }) => Failure::usage(format!(
                "{error}; it has letters, digits, `.`, `_` and `-`, and starts with a letter or digit"
            )),
            DataDirError::Pki(PkiError::File { .. }) if dir.endpoints().is_err() => Failure::environment(format!(
                "there is no authority in {0}; the first `tally up --dir {0}` makes it",
                dir.path().display()
            )),
            error => Failure::environment(error),
        })?;
        if global.json {
            let files = serde_json::json!({"certificate": files.certificate, "key": files.key});
            line(&files.to_string());
        } else {
            line(&format!(
                "{}\n{}",
                files.certificate.display(),
                files.key.display()
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Issue {
    fn identity(&self) -> Result<Identity, Failure> {
        if let Some(operator) = &self.operator {
            return Identity::parse(&format!("urn:tally:operator:{operator}")).map_err(|_| {
                Failure::usage(
                    "an operator's name has letters, digits, `.`, `_` and `-`, at most 64",
                )
            });
        }
        let Some(department) = &self.department else {
            return Err(Failure::usage("name a department or an operator"));
        };
        let department = DepartmentId::parse(department)
            .map_err(|fault| Failure::usage(format!("--department: {fault}")))?;
        let Some(officer) = &self.officer else {
            return Ok(Identity::Department(department));
        };
        // The number is personal, so that the message does not repeat it.
        let number = OfficerNumber::parse(officer).map_err(|_| {
            Failure::usage("--officer: a number has letters, digits, `.`, `_` and `-`, at most 64")
        })?;
        Ok(Identity::Officer { department, number })
    }
}

/// The key ring.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Erases a stream's key: its sealed fields can never be read again. The mesh must be stopped.
    Erase {
        /// The stream: `log/category/id`, for example `collection/record/<id>`.
        stream: String,
    },
}

impl Key {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let Self::Erase { stream } = self;
        let dir = DataDir::new(global.dir());
        if !dir.keyring().exists() {
            return Err(Failure::environment(format!(
                "there is no key ring in {}",
                global.dir().display()
            )));
        }
        if dir.verify_shared().is_ok() {
            return Err(Failure::usage(
                "this directory is one of a mesh of several processes, whose keys this version cannot erase: \
                 its processes would go on with those that they remember",
            ));
        }
        let log = held(&dir).await?;
        let store = Arc::new(
            SqliteKeyStore::open(dir.keyring())
                .await
                .map_err(Failure::environment)?,
        );
        let keyring = KeyRing::new(
            store.clone(),
            dir.master_key().map_err(Failure::environment)?,
        );
        let erased = keyring
            .erase_stream(stream)
            .await
            .map_err(Failure::environment)?;
        store.close().await;
        if let Some(log) = log {
            log.close().await.map_err(Failure::environment)?;
        }
        if !erased {
            return Err(Failure::usage(format!(
                "there is no key for the stream {stream}"
            )));
        }
        line(&if global.json {
            serde_json::json!({"erased": stream}).to_string()
        } else {
            format!("erased the key of {stream}")
        });
        Ok(ExitCode::SUCCESS)
    }
}

/// Opens the event store for as long as keys are worked on: a mesh that runs
/// has it, and would go on sealing with keys that it remembers.
async fn held(dir: &DataDir) -> Result<Option<SqliteStore>, Failure> {
    let path = dir.store(None);
    let Some(info) = SqliteStore::inspect(&path)
        .await
        .map_err(Failure::environment)?
    else {
        return Ok(None);
    };
    let options = SqliteOptions {
        path,
        logs: logs::ALL.to_vec(),
        shards: info.shards,
        clock: Arc::new(SystemClock::default()),
        group: GroupOptions::default(),
        linker: None,
        create: None,
    };
    SqliteStore::open(options)
        .await
        .map(Some)
        .map_err(Failure::environment)
}
