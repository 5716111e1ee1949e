//! `tally receipt`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use tally_proto::tally::sanctions::v1 as pb;
use tally_service::jws::JwkSet;

use super::Global;
use super::output::{Failure, line};
use crate::client::Client;
use crate::data_dir::DataDir;

/// Arguments of `tally receipt`.
#[derive(Debug, Subcommand)]
pub enum Receipt {
    /// A check of your department as a signed receipt.
    Get {
        /// Id of the check.
        check_id: String,
        /// Writes it there instead of printing it; the file must not be there yet.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// The public keys of receipts, as a JWK set. Keep it: it verifies without the mesh.
    Keys,
    /// Verifies a receipt without a mesh, and prints what it says.
    Verify {
        /// The receipt.
        file: PathBuf,
        /// The keys, as `tally receipt keys` printed them.
        #[arg(long, value_name = "FILE")]
        keys: PathBuf,
    },
    /// Makes a new key in the data directory, in use from the next start; old ones stay published.
    Rotate,
}

impl Receipt {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        match self {
            Self::Get { check_id, out } => {
                if let Some(file) = out {
                    must_be_new(file)?;
                }
                let jws = signed(&global.client().await?, check_id).await?;
                match out {
                    Some(file) => keep(file, &jws)?,
                    None if global.json => line(&serde_json::json!({"jws": jws}).to_string()),
                    None => line(&jws),
                }
                Ok(ExitCode::SUCCESS)
            }
            Self::Keys => {
                let request = pb::GetReceiptKeysRequest {};
                let mut sanctions = global.client().await?.sanctions();
                let keys = sanctions.get_receipt_keys(request).await?.into_inner();
                line(&keys.jwk_set);
                Ok(ExitCode::SUCCESS)
            }
            Self::Verify { file, keys } => verify(global.json, file, keys),
            Self::Rotate => {
                let dir = DataDir::new(global.dir());
                if !dir.store(None).exists() {
                    let message = format!("there is no mesh in {}", global.dir().display());
                    return Err(Failure::environment(message));
                }
                let signer = dir.rotate_receipt_key().map_err(Failure::environment)?;
                let count = signer.published().keys.len();
                line(&if global.json {
                    signer.published().to_string()
                } else {
                    format!("a new key signs from the next start on; {count} keys are published")
                });
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn verify(json: bool, file: &Path, keys: &Path) -> Result<ExitCode, Failure> {
    let set = JwkSet::parse(&read(keys)?)
        .map_err(|error| Failure::usage(format!("{}: {error}", keys.display())))?;
    let verified = match set.verify(&read(file)?) {
        Ok(verified) => verified,
        Err(error) => {
            line(&if json {
                serde_json::json!({"holds": false, "reason": error.to_string()}).to_string()
            } else {
                format!("does not hold: {error}")
            });
            return Ok(ExitCode::from(1));
        }
    };
    if json {
        let holds =
            serde_json::json!({"holds": true, "kid": verified.kid, "receipt": verified.payload});
        line(&holds.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    line(&format!("holds, signed under key {}", verified.kid));
    let pretty = serde_json::to_string_pretty(&verified.payload);
    line(&pretty.expect("a JSON value has a JSON form"));
    Ok(ExitCode::SUCCESS)
}

/// The signed receipt of a check.
///
/// # Errors
///
/// It is refused, or the mesh does not answer.
pub async fn signed(client: &Client, check_id: &str) -> Result<String, Failure> {
    let request = pb::GetSignedReceiptRequest {
        check_id: check_id.to_owned(),
    };
    let answer = client.sanctions().get_signed_receipt(request).await?;
    Ok(answer.into_inner().jws)
}

/// Refuses a file that is there: a receipt is evidence, and none is written over.
///
/// # Errors
///
/// It is there.
pub fn must_be_new(file: &Path) -> Result<(), Failure> {
    if file.exists() {
        let message = format!("{} is there already; name a new file", file.display());
        return Err(Failure::usage(message));
    }
    Ok(())
}

/// Writes a receipt into a new file.
///
/// # Errors
///
/// It cannot be written.
pub fn keep(file: &Path, jws: &str) -> Result<(), Failure> {
    let written = std::fs::File::create_new(file)
        .and_then(|mut opened| writeln!(opened, "{jws}").and_then(|()| opened.sync_all()));
    written.map_err(|error| Failure::environment(format!("{}: {error}", file.display())))
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}
