//! `tally cert` and `tally key`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use tally_auth::identity::Identity;
use tally_eventlog::sealing::KeyRing;
use tally_store_sqlite::keyring::SqliteKeyStore;

use super::Global;
use super::output::{Failure, line};
use crate::data_dir::DataDir;

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
        let urn = match (&issue.department, &issue.officer, &issue.operator) {
            (Some(department), Some(officer), _) => format!("urn:tally:department:{department}:officer:{officer}"),
            (Some(department), None, _) => format!("urn:tally:department:{department}"),
            (None, _, Some(operator)) => format!("urn:tally:operator:{operator}"),
            (None, ..) => return Err(Failure::usage("name a department or an operator")),
        };
        let identity = Identity::parse(&urn).map_err(Failure::usage)?;
        let dir = DataDir::new(&global.dir);
        let files = dir.issue(&identity, &issue.name).map_err(Failure::environment)?;
        if global.json {
            let files = serde_json::json!({"certificate": files.certificate, "key": files.key});
            line(&files.to_string());
        } else {
            line(&format!("{}\n{}", files.certificate.display(), files.key.display()));
        }
        Ok(ExitCode::SUCCESS)
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
        let dir = DataDir::new(&global.dir);
        if !dir.keyring().exists() {
            return Err(Failure::environment(format!("there is no key ring in {}", global.dir.display())));
        }
        let store = std::sync::Arc::new(SqliteKeyStore::open(dir.keyring()).await.map_err(Failure::environment)?);
        let keyring = KeyRing::new(store.clone(), dir.master_key().map_err(Failure::environment)?);
        let erased = keyring.erase_stream(stream).await.map_err(Failure::environment)?;
        store.close().await;
        if !erased {
            return Err(Failure::usage(format!("there is no key for the stream {stream}")));
        }
        line(&if global.json {
            serde_json::json!({"erased": stream}).to_string()
        } else {
            format!("erased the key of {stream}")
        });
        Ok(ExitCode::SUCCESS)
    }
}
